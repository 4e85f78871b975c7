//! The sans-I/O engine of eventmesh: bytes, events and `now` go in, actions come out.
#![forbid(unsafe_code)]
