//! TLS as a layer between the socket's bytes and a protocol's: bytes in, bytes out, no socket, no clock of its own.
//!
//! `terms` is the configuration as JSON, `context` what is compiled of it once, `verify` who is believed, `layer` one
//! connection. Configuration and defaults are Envoy's (`envoy.extensions.transport_sockets.tls.v3`).

mod context;
mod layer;
mod terms;
mod verify;

#[cfg(test)]
mod tests;

pub use context::{ClientContext, Clock, ServerContext};
pub use layer::Layer;
pub use terms::{Certificate, ClientTerms, ServerTerms};
