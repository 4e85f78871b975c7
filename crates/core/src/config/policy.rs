//! Policies of routes and clusters as JSON (`eventmesh/model/policy.py`).

use serde::Deserialize;

/// An outcome that is tried again, in Envoy's words (`model.RetryOn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// Any 5xx, or no answer at all.
    #[serde(rename = "5xx")]
    ServerError,
    /// 502, 503 or 504, or no answer at all.
    GatewayError,
    /// The connection could not be made.
    ConnectFailure,
    /// The endpoint refused the stream before it looked at it.
    RefusedStream,
    /// The endpoint did not answer: it closed, reset or took too long for one try.
    Reset,
    /// The same, before anything of the request was written.
    ResetBeforeRequest,
    /// 409.
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    /// One of `status_codes`.
    RetriableStatusCodes,
    /// gRPC status 1.
    Cancelled,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// gRPC status 14.
    Unavailable,
}

/// Which outcomes of a route are tried again, how often and when (`model.RetryPolicy`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// The outcomes.
    pub on: Vec<RetryOn>,
    /// Most tries beside the first.
    pub max_retries: u32,
    /// Longest time for one try; 0: none.
    pub per_try_timeout_s: f64,
    /// For `retriable-status-codes`.
    pub status_codes: Vec<u16>,
    /// First back-off, at most.
    pub base_interval_s: f64,
    /// Longest back-off.
    pub max_interval_s: f64,
    /// Endpoints tried before are passed over while there is another one.
    pub avoid_tried: bool,
}

/// How many retries may be under way, by the requests that are (`model.RetryBudget`).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBudget {
    /// Of the requests in flight and waiting.
    pub percent: f64,
    /// Always allowed.
    pub min_concurrency: usize,
}
