//! Who may do what, as JSON (`eventmesh/model/access.py`).

use serde::Deserialize;

use crate::config::{HeaderMatch, TextMatch};

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
        /// What is only counted.
        shadow: Option<Rules>,
    },
    /// Of a route: nothing (`model.Off`).
    Off {},
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
