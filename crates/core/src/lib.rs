//! The sans-I/O engine of eventmesh: bytes, events and `now` go in, actions come out.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod access;
mod access_log;
mod ascii;
mod base64;
pub mod bolt;
mod calendar;
pub mod cloudevents;
mod cluster;
mod conditions;
pub mod config;
pub mod dubbo;
pub mod engine;
pub mod events;
pub mod framed;
pub mod grpc;
pub mod head;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod limits;
mod names;
mod numbers;
pub mod pattern;
mod protobuf;
mod random;
mod request_parts;
mod routes;
mod short;
pub mod slab;
mod stats;
mod text;
mod timers;
pub mod tls;
mod trace;
mod version;

pub use access::{checked, Keys, Said, Token};

#[cfg(test)]
mod hearing;
#[cfg(test)]
mod vectors;
