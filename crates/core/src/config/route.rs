//! Route tables as JSON (`eventmesh/model/route.py`).

use serde::Deserialize;

use crate::config::{Filters, HashOn, RetryPolicy};

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
    /// Matches, all of it.
    Regex,
}

/// How a text is compared (`model.TextKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextKind {
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
    /// Matches, all of it.
    Regex,
}

/// A condition on a header (`model.HeaderMatch`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Lower-case name, or `:method`.
    pub name: String,
    /// How it is compared.
    pub kind: TextKind,
    /// With what.
    #[serde(default)]
    pub value: String,
    /// The condition must not hold.
    #[serde(default)]
    pub invert: bool,
    /// Letters of either case are the same.
    #[serde(default)]
    pub ignore_case: bool,
}

/// When a route is taken (`model.RouteMatch`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// Conditions on parameters of the query, by name.
    #[serde(default)]
    pub query: Vec<HeaderMatch>,
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
    /// Metadata its endpoints must have: values as JSON.
    #[serde(default)]
    pub subset: Vec<(String, String)>,
    /// Edits of requests that take this share.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Edits of their responses.
    #[serde(default)]
    pub response_headers: HeaderEdits,
}

/// A cluster that gets copies of requests (`model.Mirror`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Cluster.
    pub cluster: String,
    /// Share of the requests.
    pub millionths: u32,
    /// `-shadow` is put behind the host.
    pub marks_host: bool,
    /// New authority; empty: that of the request.
    pub host_rewrite: String,
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
        /// Replaces the whole path.
        #[serde(default)]
        path_rewrite: String,
        /// What is tried again.
        #[serde(default)]
        retry: Option<RetryPolicy>,
        /// What of the request is hashed.
        #[serde(default)]
        hash_on: Vec<HashOn>,
        /// Who else gets it.
        #[serde(default)]
        mirrors: Vec<Mirror>,
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
        /// New port, or 0.
        #[serde(default)]
        port: u16,
        /// New path, or empty.
        #[serde(default)]
        path: String,
        /// Replaces the matched prefix; or empty.
        #[serde(default)]
        prefix_rewrite: String,
    },
    /// Hand to this process.
    Serve {
        /// Name of the handler.
        handler: String,
        /// Longest body.
        #[serde(default = "mebibyte")]
        max_body_bytes: usize,
    },
    /// Hand to this process, piece by piece.
    Converse {
        /// Name of the handler.
        handler: String,
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
    /// In place of the listener's.
    #[serde(default)]
    pub filters: Option<Filters>,
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

fn prefix() -> PathKind {
    PathKind::Prefix
}
fn slash() -> String {
    "/".to_owned()
}
fn one() -> u32 {
    1
}
fn fifteen() -> f64 {
    15.0
}
fn mebibyte() -> usize {
    1024 * 1024
}
fn moved() -> u16 {
    301
}
