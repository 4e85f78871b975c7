//! Tracing as JSON (`eventmesh/model/tracing.py`).

use serde::de::IgnoredAny;
use serde::Deserialize;

/// Which way a listener's traffic goes (`model.Traffic`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// Neither: what serves the process itself.
    #[default]
    None,
    /// To a service.
    Inbound,
    /// From a client that this process stands beside.
    Outbound,
}

/// Which requests are recorded as spans (`model.Tracing`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// Share of those whose client asks for it.
    pub client_millionths: u32,
    /// Share of the others.
    pub random_millionths: u32,
    /// Share of both that is recorded in the end.
    pub overall_millionths: u32,
    /// Longest value of an attribute that a client chooses.
    pub max_text_bytes: usize,
    /// Where spans go: for whoever exports them.
    pub collector: IgnoredAny,
}
