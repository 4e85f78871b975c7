//! HTTP/2 over one connection (RFC 9113), either side of it.
//!
//! [`Connection`] is a [`Wire`](crate::events::Wire): frames, header blocks, stream states, both levels of flow control, and the bounds
//! that keep a hostile peer from making us work or remember for nothing. It is thin where HTTP/2 proved too thick:
//! no server push, no priorities (RFC 9113 deprecates them), no extended CONNECT.
//!
//! A stream's number is its [`StreamId`](crate::events::StreamId).

mod budget;
mod connection;
mod control;
mod data;
mod encode;
mod error;
mod fields;
mod frame;
mod lending;
pub mod limits;
mod receive;
mod role;
mod send;
mod settings;
mod stream;

pub use connection::{Connection, Untaken};
pub use fields::HeadLimits;
pub use frame::{ErrorCode, PREFACE};
pub use lending::Lender;
pub use role::Role;

#[cfg(test)]
mod tests;
