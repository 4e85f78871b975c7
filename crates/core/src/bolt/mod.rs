//! SOFARPC Bolt, versions 1 and 2 (sofastack/sofa-bolt: `RpcProtocol`, `RpcProtocolV2` and their decoders): whole frames with
//! an id, many on one connection.
//!
//! A frame passes through with its id swapped and nothing else touched, unless a route edits its header map. Where a frame
//! has a checksum it is verified, and made anew for the new id: a wrong one must not become a right one on the way. Class
//! name and header map are read, content never is. A frame is passed on when it is whole: a shared connection cannot
//! wait for one slow caller.

mod codec;
mod frame;
mod headers;

#[cfg(test)]
mod tests;

pub use codec::Codec;
pub use frame::PROTOCOLS;
