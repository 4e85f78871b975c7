//! Why a response was not what it could have been, in Envoy's words.

use std::borrow::Cow;

/// Why a response was not what it could have been: Envoy's response flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flag {
    /// All is well.
    #[default]
    None,
    /// No route.
    NoRoute,
    /// No such cluster.
    NoCluster,
    /// No healthy endpoint.
    NoEndpoint,
    /// Connecting failed.
    ConnectFailed,
    /// The upstream connection ended too early.
    UpstreamClosed,
    /// The upstream reset the stream.
    UpstreamReset,
    /// The upstream broke its protocol.
    UpstreamProtocol,
    /// A limit was reached.
    Overflow,
    /// A deadline passed.
    Timeout,
    /// The client went away.
    DownstreamClosed,
    /// The client broke its protocol.
    DownstreamProtocol,
    /// Answered by a fault on purpose.
    FaultInjected,
    /// Kept back by a fault on purpose.
    DelayInjected,
    /// Beyond the rate limit.
    RateLimited,
    /// Whoever was asked did not let it through.
    Unauthorized,
}

impl Flag {
    /// Return Envoy's abbreviation.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::NoRoute => "NR",
            Self::NoCluster => "NC",
            Self::NoEndpoint => "UH",
            Self::ConnectFailed => "UF",
            Self::UpstreamClosed => "UC",
            Self::UpstreamReset => "UR",
            Self::UpstreamProtocol => "UPE",
            Self::Overflow => "UO",
            Self::Timeout => "UT",
            Self::DownstreamClosed => "DC",
            Self::DownstreamProtocol => "DPE",
            Self::FaultInjected => "FI",
            Self::DelayInjected => "DI",
            Self::RateLimited => "RL",
            Self::Unauthorized => "UAEX",
        }
    }

    /// Return Envoy's abbreviations of this flag and, if `exhausted`, of "no retry was left".
    pub fn with_exhausted(self, exhausted: bool) -> Cow<'static, str> {
        match (self, exhausted) {
            (_, false) => Cow::Borrowed(self.name()),
            (Self::None, true) => Cow::Borrowed("URX"),
            (_, true) => Cow::Owned(format!("{},URX", self.name())),
        }
    }
}
