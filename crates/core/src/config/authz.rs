//! What is asked of authorization services, as JSON (`eventmesh/model/authz.py`).

use serde::Deserialize;

use crate::config::{Test, TextMatch};

/// Whom to ask and what becomes of it (`model.ExtAuthz`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtAuthz {
    /// Who is asked.
    pub service: AuthzService,
    /// A request of which nothing can be learned may go on.
    pub fail_open: bool,
    /// It is then marked with a header.
    pub marks_failure: bool,
    /// What it is answered otherwise.
    pub status_on_error: u16,
    /// How much of the body is sent; none: nothing.
    pub body: Option<CheckedBody>,
    /// Headers that are sent; none: those that the kind of service is sent.
    pub allowed: Option<Vec<TextMatch>>,
    /// Headers that are not.
    pub disallowed: Vec<TextMatch>,
    /// What earlier steps have noted under these namespaces is sent.
    pub namespaces: Vec<String>,
    /// Share of the requests that are asked about.
    pub enabled_millionths: u32,
    /// Only requests of which this holds are asked about.
    pub enabled_if: Option<Test>,
    /// The others are refused.
    pub deny_at_disable: bool,
}

/// What a route says of it (`model.AuthzOverride`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthzOverride {
    /// In place of the listener's; where the listener has no such step, the route's own.
    pub service: Option<AuthzService>,
    /// What the service is told of the route.
    pub extensions: Vec<(String, String)>,
    /// No body is sent.
    pub without_body: bool,
    /// In place of the listener's.
    pub body: Option<CheckedBody>,
}

/// A filter written in Python (`model.PythonFilter`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonFilter {
    /// In which file.
    pub file: String,
    /// Its name there.
    pub name: String,
    /// Longest time for its decision.
    pub timeout_s: f64,
    /// Without a decision the request may go on.
    pub fail_open: bool,
    /// What it is answered otherwise.
    pub status_on_error: u16,
    /// What it is made with.
    pub config: Option<FilterConfig>,
}

/// What a filter written in Python is made with (`model.FilterConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// As JSON.
    pub text: String,
    /// Tells it from others.
    pub digest: String,
}

/// How much of a body is sent (`model.CheckedBody`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedBody {
    /// At most; a longer one is answered 413.
    pub max_bytes: usize,
    /// The beginning of a longer one is enough.
    pub partial: bool,
    /// As bytes, whatever they are.
    pub raw: bool,
}

/// An authorization service (`model.AuthzService`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthzService {
    /// Its cluster.
    pub cluster: String,
    /// Longest time for an answer.
    pub timeout_s: f64,
    /// How it is asked.
    pub by: AskedBy,
}

/// How a service is asked (`model.AskedByGrpc`, `model.AskedByHttp`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AskedBy {
    /// `envoy.service.auth.v3.Authorization/Check`.
    AskedByGrpc {
        /// Authority; empty: the cluster's name.
        authority: String,
        /// Sent with the call.
        metadata: Vec<(String, String)>,
    },
    /// By the request's own head.
    AskedByHttp {
        /// Before its path.
        prefix: String,
        /// Set in its head.
        add: Vec<(String, String)>,
        /// Headers of a good answer that take the place of the request's.
        upstream: Vec<TextMatch>,
        /// Those that are added to the request's.
        upstream_append: Vec<TextMatch>,
        /// Headers of a refusal that the caller is told; none: all.
        client: Option<Vec<TextMatch>>,
        /// Headers of a good answer that the caller is told.
        client_on_success: Vec<TextMatch>,
    },
}
