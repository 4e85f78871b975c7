//! The Snapshot as JSON: the mirror of `eventmesh/model`, field for field, with the same defaults.
//!
//! Reading only; what the tables mean is compiled in `routes` and `cluster`. An unknown field is an error, so that
//! the two sides cannot drift apart in silence.

mod access;
mod authz;
mod checks;
mod policy;
mod route;
mod tracing;

use serde::Deserialize;

use crate::tls::{ClientTerms, ServerTerms};
pub use access::*;
pub use authz::*;
pub use checks::{check_seconds, printable};
pub use policy::*;
pub use route::*;
pub use tracing::*;

/// One configuration of a data plane (`model.Snapshot`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshot {
    /// Name of this version.
    pub version: String,
    /// Where traffic comes in.
    pub listeners: Vec<Listener>,
    /// Where it may go.
    pub route_tables: Vec<RouteTable>,
    /// How it gets there.
    pub clusters: Vec<Cluster>,
    /// How listeners trace that do not say it themselves, and what this process sends.
    pub tracing: Option<Tracing>,
}

/// What is spoken on a connection (`model.WireProtocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireProtocol {
    /// Listeners only: told from the first bytes.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// Clear-text HTTP/2 by prior knowledge.
    Http2,
    /// SOFARPC Bolt, versions 1 and 2.
    Bolt,
    /// Dubbo 2.
    Dubbo,
    /// A declared protocol; its number is found when the snapshot is taken over.
    Framed(#[serde(skip)] Option<u16>),
    /// Clusters only: whatever the request came in with.
    Downstream,
}

/// A private protocol (`model.Declaration`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Name.
    pub name: String,
    /// The declaration in JSON (`framed::Protocol`).
    pub text: String,
}

/// One address that accepts connections (`model.Listener`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Address, for the transport.
    pub address: String,
    /// Name of the route table.
    pub route_table: String,
    /// What is spoken.
    #[serde(default = "auto")]
    pub protocol: WireProtocol,
    /// Declared protocols that are spoken here.
    #[serde(default)]
    pub declarations: Vec<Declaration>,
    /// Name of this hop in `Via`.
    #[serde(default)]
    pub via: String,
    /// Callers are clients: `X-Forwarded-For` and `-Proto` tell about them.
    #[serde(default)]
    pub use_remote_address: bool,
    /// Requests without `Forwarded` get one.
    #[serde(default)]
    pub forwarded_header: bool,
    /// Path of the access log.
    #[serde(default)]
    pub access_log: String,
    /// Longest time for one head.
    #[serde(default = "sixty")]
    pub head_timeout_s: f64,
    /// Longest time without a request.
    #[serde(default = "hour")]
    pub idle_timeout_s: f64,
    /// A connection of HTTP/2 in use that is silent for this long is asked whether it lives; 0: never.
    #[serde(default)]
    pub keepalive_interval_s: f64,
    /// Longest time for the answer.
    #[serde(default)]
    pub keepalive_timeout_s: f64,
    /// Longest head.
    #[serde(default = "head_bytes")]
    pub max_head_bytes: usize,
    /// Most fields in a head.
    #[serde(default = "head_count")]
    pub max_head_count: usize,
    /// What happens before a route is followed.
    #[serde(default)]
    pub filters: Option<Filters>,
    /// How it speaks TLS; none: it does not.
    #[serde(default)]
    pub tls: Option<ServerTerms>,
    /// Which way its traffic goes.
    #[serde(default)]
    pub traffic: Traffic,
    /// Which requests are recorded; none: as the snapshot says, if its traffic goes anywhere.
    #[serde(default)]
    pub tracing: Option<Tracing>,
}

/// How a cluster's endpoint is chosen (`model.Balancing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    /// In turn.
    RoundRobin,
    /// The less loaded of two drawn at random.
    LeastRequest,
    /// The first with room, in the order of addresses.
    FirstAvailable,
    /// Drawn at random.
    Random,
    /// By hash, on a ring.
    RingHash,
    /// By hash, through a table.
    Maglev,
}

/// One upstream address (`model.Endpoint`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `10.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`.
    pub address: String,
    /// Its share.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether it is given requests.
    #[serde(default = "yes")]
    pub healthy: bool,
    /// Lower ones are taken first.
    #[serde(default)]
    pub priority: u32,
    /// Where it is.
    #[serde(default)]
    pub locality: String,
    /// Share of that place.
    #[serde(default)]
    pub locality_weight: u32,
    /// What subsets are made by: values as JSON.
    #[serde(default)]
    pub metadata: Vec<(String, String)>,
}

/// A set of interchangeable endpoints (`model.Cluster`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Name.
    pub name: String,
    /// Its members.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// What they speak.
    #[serde(default = "http1")]
    pub protocol: WireProtocol,
    /// How they are spoken to under TLS; none: in clear text.
    #[serde(default)]
    pub tls: Option<ClientTerms>,
    /// Name of the declared protocol they speak.
    #[serde(default)]
    pub declaration: String,
    /// How one is chosen.
    #[serde(default = "round_robin")]
    pub balancing: Balancing,
    /// Longest time to connect.
    #[serde(default = "five")]
    pub connect_timeout_s: f64,
    /// Longest life of a pooled connection without a request.
    #[serde(default = "hour")]
    pub idle_timeout_s: f64,
    /// A connection of HTTP/2 in use that is silent for this long is asked whether it lives; 0: never.
    #[serde(default)]
    pub keepalive_interval_s: f64,
    /// Longest time for the answer.
    #[serde(default)]
    pub keepalive_timeout_s: f64,
    /// Most connections.
    #[serde(default = "thousand")]
    pub max_connections: usize,
    /// Most requests in flight.
    #[serde(default = "thousand")]
    pub max_requests: usize,
    /// Most requests in flight to one endpoint.
    #[serde(default)]
    pub max_requests_per_endpoint: usize,
    /// Most requests that wait.
    #[serde(default = "thousand")]
    pub max_pending: usize,
    /// Requests wait while there is no endpoint.
    #[serde(default)]
    pub hold: bool,
    /// How long.
    #[serde(default = "five_minutes")]
    pub hold_timeout_s: f64,
    /// Most bytes of requests that wait.
    #[serde(default = "held_bytes")]
    pub max_held_bytes: usize,
    /// Most retries under way.
    #[serde(default = "three")]
    pub max_retries: usize,
    /// In place of `max_retries`.
    #[serde(default)]
    pub retry_budget: Option<RetryBudget>,
    /// Fewer healthy endpoints than this are a panic: all get requests.
    #[serde(default)]
    pub panic_percent: f64,
    /// Localities share by their weights.
    #[serde(default)]
    pub locality_weighted: bool,
    /// Fewest points of a ring.
    #[serde(default = "thousand")]
    pub min_ring_size: usize,
    /// Most points of a ring.
    #[serde(default = "ring_points")]
    pub max_ring_size: usize,
    /// Places of a Maglev table, a prime number.
    #[serde(default = "maglev_places")]
    pub maglev_table_size: usize,
    /// Endpoints by metadata.
    #[serde(default)]
    pub subsets: Option<Subsets>,
    /// Passive health.
    #[serde(default)]
    pub outlier: Option<OutlierDetection>,
    /// Active health.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
}

fn auto() -> WireProtocol {
    WireProtocol::Auto
}
fn http1() -> WireProtocol {
    WireProtocol::Http1
}
fn round_robin() -> Balancing {
    Balancing::RoundRobin
}
fn yes() -> bool {
    true
}
fn one() -> u32 {
    1
}
fn five() -> f64 {
    5.0
}
fn sixty() -> f64 {
    60.0
}
fn five_minutes() -> f64 {
    300.0
}
fn hour() -> f64 {
    3600.0
}
fn head_bytes() -> usize {
    61_440
}
fn head_count() -> usize {
    100
}
fn thousand() -> usize {
    1024
}
fn held_bytes() -> usize {
    16 * 1024 * 1024
}
fn three() -> usize {
    3
}
fn ring_points() -> usize {
    8 * 1024 * 1024
}
fn maglev_places() -> usize {
    65_537
}
