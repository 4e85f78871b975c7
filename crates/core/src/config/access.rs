//! Who may do what, as JSON (`eventmesh/model/access.py`, `question.py`).

use serde::Deserialize;

use crate::config::{AuthzOverride, ExtAuthz, HeaderMatch, PythonFilter, RouteMatch, TextMatch};

/// One step of the chain that decides whether a request may go on, or what a route says in its place
/// (`model.AccessStep`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessStep {
    /// By which a route's step takes the place of its listener's.
    pub name: String,
    /// What is done.
    pub step: Step,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Rules by roles (`model.Rbac`).
    Rbac {
        /// What is enforced.
        rules: Option<Rules>,
        /// What is only counted, and noted.
        shadow: Option<Rules>,
        /// Before the names under which it is noted.
        #[serde(default)]
        shadow_prefix: String,
    },
    /// Tokens (`model.Jwt`).
    Jwt {
        /// Whose tokens are taken.
        providers: Vec<JwtProvider>,
        /// What is asked of which requests; the first that fits counts.
        rules: Vec<JwtRule>,
        /// What routes may ask by name.
        named: Vec<(String, Requirement)>,
        /// Preflights of browsers, which bear no token, are let through.
        bypass_preflight: bool,
    },
    /// Of a route: what its listener's `jwt` has under this name (`model.Named`).
    Named {
        /// Which.
        requirement: String,
    },
    /// Whoever is asked says it.
    ExtAuthz(ExtAuthz),
    /// This process's own filter says it.
    PythonFilter(PythonFilter),
    /// Of a route: what is asked of whom.
    AuthzOverride(AuthzOverride),
    /// Of a route: nothing (`model.Off`).
    Off {},
}

/// Whose tokens are taken, and where they are (`model.JwtProvider`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtProvider {
    /// Its name in requirements.
    pub name: String,
    /// `iss`; empty: any.
    pub issuer: String,
    /// Of which one must be in `aud`; empty: any.
    pub audiences: Vec<String>,
    /// `sub`.
    pub subject: Option<TextMatch>,
    /// Tokens without an end are refused.
    pub must_end: bool,
    /// Longest life of a token; 0: any.
    pub max_lifetime_s: f64,
    /// How far clocks may be apart.
    pub clock_skew_s: u64,
    /// The key set; empty: it is fetched.
    pub keys: String,
    /// From where.
    pub remote: Option<RemoteKeys>,
    /// Headers that hold the token, each with what stands before it.
    pub headers: Vec<(String, String)>,
    /// Parameters of the query that do.
    pub params: Vec<String>,
    /// Cookies that do.
    pub cookies: Vec<String>,
    /// The token is sent on.
    pub forward: bool,
    /// Header that is given the payload; empty: none.
    pub payload_header: String,
    /// With padding.
    pub padded: bool,
    /// Headers that are given claims: header, and the way to the claim.
    pub claim_headers: Vec<(String, String)>,
    /// Key under which the payload is noted; empty: it is not.
    pub payload_key: String,
    /// Key under which the token's header is noted.
    pub header_key: String,
    /// Claims that are noted as lists of their words.
    pub split_claims: Vec<String>,
}

/// Where keys are fetched (`model.RemoteKeys`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteKeys {
    /// From which cluster.
    pub cluster: String,
    /// By which name.
    pub authority: String,
    /// Path.
    pub path: String,
    /// Longest time for an answer.
    pub timeout_s: f64,
    /// How long they are good.
    pub cache_s: f64,
    /// After that requests are judged by them until there are new ones.
    pub background: bool,
    /// How long nobody asks again after a failure.
    pub retry_s: f64,
}

/// What is asked of which requests (`model.JwtRule`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRule {
    /// Which.
    #[serde(rename = "match")]
    pub when: RouteMatch,
    /// What; none: nothing.
    pub requires: Option<Requirement>,
}

/// What tokens a request must bear (`model.Requirement`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Requirement {
    /// One of a provider.
    TokenOf {
        /// Which.
        provider: String,
        /// In place of the provider's.
        audiences: Option<Vec<String>>,
    },
    /// One of these.
    OneRequired {
        /// Which.
        of: Vec<Requirement>,
    },
    /// All of these.
    AllRequired {
        /// Which.
        of: Vec<Requirement>,
    },
    /// None; but one that is there must be good.
    MayBeMissing {},
    /// None; one that is good is noted.
    MayFail {},
}

/// What becomes of requests that a policy is for (`model.RuleAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// They alone may go on.
    Allow,
    /// They may not.
    Deny,
    /// All may.
    Log,
}

/// Policies under one action (`model.Rules`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// What they do.
    pub action: RuleAction,
    /// Each of them is enough.
    pub policies: Vec<Policy>,
}

/// What may be done by whom (`model.Policy`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// What: one of them must hold.
    pub permissions: Vec<Test>,
    /// By whom: one of them must hold.
    pub principals: Vec<Test>,
}

/// Which address of a caller is meant (`model.Caller`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// That of the connection.
    Direct,
    /// That which trusted proxies tell of.
    Told,
}

/// One question about a request (`model.Test`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// Always holds.
    Anything {},
    /// All hold.
    All {
        /// Which.
        of: Vec<Test>,
    },
    /// One holds.
    AnyOf {
        /// Which.
        of: Vec<Test>,
    },
    /// The other does not hold.
    Not {
        /// Which.
        of: Box<Test>,
    },
    /// A header.
    Header {
        /// Which.
        wanted: HeaderMatch,
    },
    /// The path without query and fragment.
    UrlPath {
        /// What it must be.
        text: TextMatch,
    },
    /// The listener's port.
    DestinationPort {
        /// From.
        first: u16,
        /// Up to, and with.
        last: u16,
    },
    /// The listener's address.
    DestinationIp {
        /// In this network.
        network: String,
    },
    /// The caller's address.
    SourceIp {
        /// Which of its addresses.
        of: Caller,
        /// In this network.
        network: String,
    },
    /// The host that the caller named in its TLS handshake.
    ServerName {
        /// What it must be.
        text: TextMatch,
    },
    /// A name in the caller's certificate.
    Principal {
        /// What it must be; none: that there be a certificate.
        text: Option<TextMatch>,
    },
    /// What an earlier step has noted: a verified token's payload.
    Metadata {
        /// Which step's.
        namespace: String,
        /// Keys, from outside in.
        path: Vec<String>,
        /// What is there.
        value: ValueTest,
        /// It must not be so.
        invert: bool,
    },
}

/// What a value of metadata must be (`model.ValueTest`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueTest {
    /// null.
    IsNull {},
    /// A number from and up to, without the last.
    IsNumber {
        /// From.
        start: f64,
        /// Up to; equal to the first: that number alone.
        end: f64,
    },
    /// A text.
    IsText {
        /// What it must be.
        text: TextMatch,
    },
    /// A truth.
    IsFlag {
        /// Which.
        flag: bool,
    },
    /// Whether there is something.
    IsThere {
        /// Whether.
        flag: bool,
    },
    /// A list with a member like this.
    HasMember {
        /// Like what.
        of: Box<ValueTest>,
    },
    /// One of these.
    IsOne {
        /// Which.
        of: Vec<ValueTest>,
    },
}
