//! The Snapshot as JSON: the mirror of `eventmesh/model`, field for field, with the same defaults.
//!
//! Reading only; what the tables mean is compiled in `routes` and `cluster`. An unknown field is an error, so that
//! the two sides cannot drift apart in silence.

use serde::Deserialize;

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
    /// SOFARPC Bolt v1.
    Bolt,
    /// Clusters only: whatever the request came in with.
    Downstream,
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
    /// Longest head.
    #[serde(default = "head_bytes")]
    pub max_head_bytes: usize,
    /// Most fields in a head.
    #[serde(default = "head_count")]
    pub max_head_count: usize,
}

/// How a cluster's endpoint is chosen (`model.Balancing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    /// In turn.
    RoundRobin,
    /// The less loaded of two drawn at random.
    LeastRequest,
    /// Drawn at random.
    Random,
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
    /// How one is chosen.
    #[serde(default = "round_robin")]
    pub balancing: Balancing,
    /// Longest time to connect.
    #[serde(default = "five")]
    pub connect_timeout_s: f64,
    /// Longest life of a pooled connection without a request.
    #[serde(default = "hour")]
    pub idle_timeout_s: f64,
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
}

/// How a path is compared (`model.PathKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Begins with.
    Prefix,
    /// Is.
    Exact,
    /// Begins with, up to a `/` or the end.
    SeparatedPrefix,
}

/// How a header value is compared (`model.HeaderKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderKind {
    /// Is.
    Exact,
    /// Begins with.
    Prefix,
    /// Ends with.
    Suffix,
    /// Holds.
    Contains,
    /// Is there.
    Present,
}

/// A condition on a header (`model.HeaderMatch`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Lower-case name, or `:method`.
    pub name: String,
    /// How it is compared.
    pub kind: HeaderKind,
    /// With what.
    #[serde(default)]
    pub value: String,
    /// The condition must not hold.
    #[serde(default)]
    pub invert: bool,
}

/// When a route is taken (`model.RouteMatch`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// Path to compare with.
    #[serde(default = "slash")]
    pub path: String,
    /// How.
    #[serde(default = "prefix")]
    pub path_kind: PathKind,
    /// Further conditions.
    #[serde(default)]
    pub headers: Vec<HeaderMatch>,
}

/// Header edits in the order remove, set, append (`model.HeaderEdits`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEdits {
    /// Replaced.
    pub set: Vec<(String, String)>,
    /// Added.
    pub append: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}

impl HeaderEdits {
    /// Return whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.append.is_empty() && self.remove.is_empty()
    }
}

/// One share of a split (`model.WeightedCluster`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedCluster {
    /// Cluster.
    pub name: String,
    /// Share.
    #[serde(default = "one")]
    pub weight: u32,
    /// Edits of requests that take this share.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Edits of their responses.
    #[serde(default)]
    pub response_headers: HeaderEdits,
}

/// What a route does, tagged by kind (`model.Forward`, `DirectResponse`, `Redirect`, `Serve`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Send on.
    Forward {
        /// The split.
        clusters: Vec<WeightedCluster>,
        /// Whole request to whole response.
        #[serde(default = "fifteen")]
        timeout_s: f64,
        /// New authority.
        #[serde(default)]
        host_rewrite: String,
        /// Header whose value, when there is one, becomes the authority.
        #[serde(default)]
        host_rewrite_header: String,
        /// Replaces the matched prefix.
        #[serde(default)]
        prefix_rewrite: String,
    },
    /// Answer at once.
    DirectResponse {
        /// With this status.
        status: u16,
        /// And this text.
        #[serde(default)]
        body: String,
    },
    /// Answer with a Location.
    Redirect {
        /// Status.
        #[serde(default = "moved")]
        status: u16,
        /// New scheme, or empty.
        #[serde(default)]
        scheme: String,
        /// New host, or empty.
        #[serde(default)]
        host: String,
        /// New path, or empty.
        #[serde(default)]
        path: String,
    },
    /// Hand to this process.
    Serve {
        /// Name of the handler.
        handler: String,
        /// Longest body.
        #[serde(default = "mebibyte")]
        max_body_bytes: usize,
    },
}

/// A match, what to do, and edits (`model.Route`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// When.
    #[serde(rename = "match")]
    pub when: RouteMatch,
    /// What.
    pub action: Action,
    /// Label in metrics and logs.
    #[serde(default)]
    pub name: String,
    /// Edits of requests.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Edits of responses.
    #[serde(default)]
    pub response_headers: HeaderEdits,
}

/// Routes of a set of hosts (`model.VirtualHost`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualHost {
    /// Name.
    pub name: String,
    /// Hosts: exact, `*.suffix`, `prefix.*` or `*`.
    pub domains: Vec<String>,
    /// In order.
    pub routes: Vec<Route>,
    /// Edits of requests.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Edits of responses.
    #[serde(default)]
    pub response_headers: HeaderEdits,
}

/// What one listener consults (`model.RouteTable`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// Name.
    pub name: String,
    /// Its hosts.
    #[serde(default)]
    pub virtual_hosts: Vec<VirtualHost>,
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
fn prefix() -> PathKind {
    PathKind::Prefix
}
fn slash() -> String {
    "/".to_owned()
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
fn fifteen() -> f64 {
    15.0
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
fn mebibyte() -> usize {
    1024 * 1024
}
fn moved() -> u16 {
    301
}
