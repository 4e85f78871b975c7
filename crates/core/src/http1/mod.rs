//! HTTP/1.1 (RFC 9112), strict: what two parsers may read differently is refused, what is understood is written anew
//! in one canonical form. `Server` speaks with downstreams, `Client` with upstreams.

mod body;
mod client;
mod encode;
mod fields;
mod message;
mod server;

pub use client::Client;
pub use message::HeadLimits;
pub use server::Server;
