//! Distributed tracing: which trace a request belongs to, whether it is recorded, and what is told of it.
//!
//! `context` reads and writes W3C Trace Context and B3, `sofa` what `SOFATracer` sends; `propagation` chooses between them.
//! `sampling` draws, `span` is one hop of one request as OTLP bytes (`otlp`), `spans` holds them until somebody takes them.
//! When all of this happens is the engine's business (`engine::tracing`).

mod context;
mod otlp;
mod propagation;
mod sampling;
mod sofa;
mod span;
mod spans;

pub use propagation::{is_name, join, pass_on};
pub use sampling::Tracer;
pub use span::{Kind, Rpc, Span, Trace};
pub use spans::Spans;
