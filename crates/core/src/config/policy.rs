//! Policies of routes and clusters as JSON (`eventmesh/model/policy.py`).

use serde::Deserialize;

use crate::config::{AccessStep, TextKind};

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

/// When an endpoint that answers badly is given nothing for a while (`model.OutlierDetection`); names are Envoy's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// 5xx in a row; 0: not looked at.
    pub consecutive_5xx: u32,
    /// 502, 503 or 504 in a row; 0: not looked at.
    pub consecutive_gateway_failure: u32,
    /// Time between two sweeps.
    pub interval_s: f64,
    /// First ejection; the n-th is n times as long.
    pub base_ejection_time_s: f64,
    /// Longest.
    pub max_ejection_time_s: f64,
    /// Most endpoints that may be out.
    pub max_ejection_percent: usize,
    /// One may be out whatever the percentage says.
    pub always_eject_one: bool,
    /// How many of the detected are ejected, in per cent.
    pub enforcing_consecutive_5xx: usize,
    /// The same.
    pub enforcing_consecutive_gateway_failure: usize,
    /// The same.
    pub enforcing_success_rate: usize,
    /// Fewest endpoints with enough requests.
    pub success_rate_minimum_hosts: usize,
    /// Fewest requests in an interval.
    pub success_rate_request_volume: u32,
    /// Thousandths of a standard deviation below the mean.
    pub success_rate_stdev_factor: u32,
    /// The same for failure percentages.
    pub enforcing_failure_percentage: usize,
    /// Share of failures that is too much.
    pub failure_percentage_threshold: u32,
    /// Fewest endpoints with enough requests.
    pub failure_percentage_minimum_hosts: usize,
    /// Fewest requests in an interval.
    pub failure_percentage_request_volume: u32,
}

/// How an endpoint is asked whether it is well (`model.HttpProbe`, `TcpProbe`, `GrpcProbe`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// By a request.
    HttpProbe {
        /// Authority; empty: the cluster's name.
        host: String,
        /// Path and query.
        path: String,
        /// Method.
        method: String,
        /// Statuses that are well: from, up to and without.
        expected: Vec<(u16, u16)>,
    },
    /// By a connection.
    TcpProbe {},
    /// By `grpc.health.v1.Health/Check`.
    GrpcProbe {
        /// Service; empty: the server as a whole.
        service: String,
        /// Authority; empty: the cluster's name.
        authority: String,
    },
}

/// Active health checks of a cluster's endpoints (`model.HealthCheck`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// How.
    pub probe: Probe,
    /// Longest time for an answer.
    pub timeout_s: f64,
    /// Between two checks of a healthy endpoint.
    pub interval_s: f64,
    /// Between two checks of one that is not.
    pub unhealthy_interval_s: f64,
    /// In place of both while the cluster has had no request.
    pub no_traffic_interval_s: f64,
    /// At most added to an interval.
    pub interval_jitter_s: f64,
    /// At most added to an interval, in per cent of it.
    pub interval_jitter_percent: u32,
    /// Silences in a row.
    pub unhealthy_threshold: u32,
    /// Good answers in a row.
    pub healthy_threshold: u32,
}

/// Endpoints by metadata (`model.Subsets`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subsets {
    /// Sets of keys; a route must name the values of all keys of one of them.
    pub selectors: Vec<Vec<String>>,
    /// Where requests go that name no subset, or one without endpoints.
    pub fallback: Fallback,
    /// For the fallback `default`.
    pub default: Vec<(String, String)>,
}

/// Where requests without a subset go (`model.Fallback`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Nowhere.
    None,
    /// To any endpoint.
    Any,
    /// To the default subset.
    Default,
}

/// What of a request is hashed (`model.HashPart`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashPart {
    /// The values of a header.
    Header,
    /// The value of a cookie.
    Cookie,
    /// The value of a parameter of the query.
    Query,
    /// The client's address.
    SourceIp,
}

/// One part of a hash (`model.HashOn`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashOn {
    /// What.
    pub part: HashPart,
    /// Which one.
    pub name: String,
    /// Later parts are left out when this one is there.
    pub terminal: bool,
}

/// Failures made on purpose (`model.Fault`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// How long.
    pub delay_s: f64,
    /// Share of the requests.
    pub delay_millionths: u32,
    /// With what.
    pub abort_status: u16,
    /// Share of the requests.
    pub abort_millionths: u32,
}

/// A token bucket (`model.RateLimit`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// At once.
    pub max_tokens: u32,
    /// More each interval.
    pub tokens_per_fill: u32,
    /// The interval.
    pub fill_interval_s: f64,
    /// Share of the requests that are counted.
    pub enabled_millionths: u32,
    /// Share of those beyond the limit that are refused.
    pub enforced_millionths: u32,
    /// With what.
    pub status: u16,
    /// What gRPC callers are told.
    pub resource_exhausted: bool,
}

/// What happens to a request before its route is followed (`model.Filters`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// Failures.
    pub fault: Option<Fault>,
    /// A limit.
    pub rate_limit: Option<RateLimit>,
    /// Requests from other origins.
    pub cors: Option<Cors>,
    /// Who may do what.
    #[serde(default)]
    pub access: Vec<AccessStep>,
}

/// A condition on a text (`model.TextMatch`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextMatch {
    /// How it is compared.
    pub kind: TextKind,
    /// With what.
    pub value: String,
    /// Letters of either case are the same.
    #[serde(default)]
    pub ignore_case: bool,
}

/// What browsers are told of requests from other origins (`model.Cors`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Allowed origins.
    pub origins: Vec<TextMatch>,
    /// `Access-Control-Allow-Methods`.
    pub methods: String,
    /// `Access-Control-Allow-Headers`.
    pub headers: String,
    /// `Access-Control-Expose-Headers`.
    pub expose: String,
    /// `Access-Control-Max-Age`.
    pub max_age: String,
    /// `Access-Control-Allow-Credentials`.
    pub credentials: bool,
}
