//! Protocols of whole frames with an id: the machinery they share, and the decoder that a declaration drives.
//!
//! A [`Codec`] knows the bytes of one protocol: where a frame ends, what it is, where its id and its routing key lie,
//! how an error is spelt. [`Server`] and [`Client`] make a wire of it: many requests on one connection, ids swapped,
//! heartbeats answered, late answers dropped. [`Declared`] is the codec of a private protocol that its owner describes
//! in a file (`docs/protocols/framed.md`); nothing of it is compiled in.
//!
//! As with Bolt a frame passes when it is whole, its id is all that changes, and its body is never read.

mod block;
mod bounds;
mod client;
mod codec;
mod compile;
mod declaration;
mod declared;
mod ids;
mod kind;
mod layout;
mod names;
mod opening;
mod runs;
mod server;
mod step;
mod template;
mod word;

#[cfg(test)]
mod tests;

pub use client::{Answer, Client};
pub use codec::{Address, Codec, Extent, Frame};
pub use compile::Protocol;
pub use declared::Declared;
pub use kind::Kind;
pub use opening::Opening;
pub use server::{Call, Server};
