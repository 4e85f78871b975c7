//! The sans-I/O engine of eventmesh: bytes, events and `now` go in, actions come out.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod events;
pub mod grpc;
pub mod head;
pub mod hpack;
pub mod http2;
