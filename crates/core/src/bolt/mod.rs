//! SOFARPC Bolt v1 (sofastack/sofa-bolt: `RpcProtocol`, `RpcCommandDecoder`): whole frames with an id, many on one connection.
//!
//! A frame passes through with its id swapped and nothing else touched, unless a route edits its header map. Class
//! name and header map are read, content never is. A frame is passed on when it is whole: a shared connection cannot
//! wait for one slow caller.

mod client;
mod frame;
mod headers;
mod server;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use frame::PROTOCOL;
pub use server::Server;
