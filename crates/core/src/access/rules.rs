//! Rules by roles, compiled (Envoy: `extensions/filters/common/rbac`).

use std::net::IpAddr;

use serde_json::Value;

use crate::access::network::Network;
use crate::access::request::Request;
use crate::conditions::{condition, Condition};
use crate::config::{self, Caller, RuleAction, Test as Wanted, ValueTest as WantedValue};
use crate::limits::MAX_RULE_DEPTH;
use crate::request_parts::without_query;
use crate::text::Text;

/// Compiled policies under one action.
#[derive(Debug)]
pub struct Rules {
    action: RuleAction,
    policies: Vec<Policy>,
}

/// Rules that are only counted; what they say is noted for later steps.
#[derive(Debug)]
pub struct Shadow {
    /// They.
    pub rules: Rules,
    /// Before the names under which it is noted (Envoy: `shadow_rules_stat_prefix`).
    pub prefix: String,
}

/// Namespace under which shadow rules are noted: Envoy's name of the filter.
pub const NAMESPACE: &str = "envoy.filters.http.rbac";

impl Shadow {
    /// Return whether they would let a request through, and what is noted of that (Envoy: `RoleBasedAccessControlFilter`).
    pub fn judge(&self, request: &Request<'_>) -> (bool, Value) {
        let (allowed, meant) = self.rules.judge(request);
        let mut noted = serde_json::Map::new();
        let result = if allowed { "allowed" } else { "denied" };
        noted.insert(format!("{}shadow_engine_result", self.prefix), result.into());
        if let Some(name) = meant {
            noted.insert(format!("{}shadow_effective_policy_id", self.prefix), name.into());
        }
        (allowed, Value::Object(noted))
    }
}

#[derive(Debug)]
struct Policy {
    name: Box<str>,
    permissions: Vec<Test>,
    principals: Vec<Test>,
}

/// A compiled question.
#[derive(Debug)]
pub(super) enum Test {
    Anything,
    All(Vec<Test>),
    AnyOf(Vec<Test>),
    Not(Box<Test>),
    Header(Condition),
    UrlPath(Text),
    DestinationPort(u16, u16),
    DestinationIp(Network),
    SourceIp(Caller, Network),
    ServerName(Text),
    Principal(Option<Text>),
    Metadata { namespace: Box<str>, path: Vec<Box<str>>, value: ValueTest, invert: bool },
}

/// What a value of metadata must be.
#[derive(Debug)]
pub(super) enum ValueTest {
    Null,
    Number(f64, f64),
    Text(Text),
    Flag(bool),
    There(bool),
    Member(Box<ValueTest>),
    One(Vec<ValueTest>),
}

impl Rules {
    /// Compile rules; the error names what is wrong behind `field`.
    pub fn compile(rules: &config::Rules, field: &str) -> Result<Self, String> {
        let policies = rules.policies.iter().map(|policy| {
            let field = format!("{field}.policies[{:?}]", policy.name);
            Ok(Policy {
                name: policy.name.as_str().into(),
                permissions: tests(&policy.permissions, &format!("{field}.permissions"), 0)?,
                principals: tests(&policy.principals, &format!("{field}.principals"), 0)?,
            })
        });
        Ok(Self { action: rules.action, policies: policies.collect::<Result<_, String>>()? })
    }

    /// Return whether a request may go on.
    pub fn allow(&self, request: &Request<'_>) -> bool {
        self.judge(request).0
    }

    /// Return whether a request may go on, and the first policy that means it.
    pub fn judge(&self, request: &Request<'_>) -> (bool, Option<&str>) {
        let meant = self.policies.iter().find(|policy| policy.means(request)).map(|policy| &*policy.name);
        match self.action {
            RuleAction::Allow => (meant.is_some(), meant),
            RuleAction::Deny => (meant.is_none(), meant),
            RuleAction::Log => (true, meant),
        }
    }
}

impl Policy {
    fn means(&self, request: &Request<'_>) -> bool {
        self.permissions.iter().any(|test| test.holds(request))
            && self.principals.iter().any(|test| test.holds(request))
    }
}

fn tests(wanted: &[Wanted], field: &str, depth: usize) -> Result<Vec<Test>, String> {
    wanted.iter().map(|one| Test::compile(one, field, depth)).collect()
}

impl Test {
    /// Compile a question; the error names what is wrong behind `field`.
    pub(super) fn compile(wanted: &Wanted, field: &str, depth: usize) -> Result<Self, String> {
        if depth > MAX_RULE_DEPTH {
            return Err(format!("{field}: nested deeper than the limit of {MAX_RULE_DEPTH}"));
        }
        let within = |what: String| format!("{field}: {what}");
        Ok(match wanted {
            Wanted::Anything {} => Self::Anything,
            Wanted::All { of } => Self::All(tests(of, field, depth + 1)?),
            Wanted::AnyOf { of } => Self::AnyOf(tests(of, field, depth + 1)?),
            Wanted::Not { of } => Self::Not(Box::new(Self::compile(of, field, depth + 1)?)),
            Wanted::Header { wanted } => Self::Header(condition(wanted, &format!("{field}.header"))?),
            Wanted::UrlPath { text } => Self::UrlPath(Text::of(text).map_err(within)?),
            Wanted::DestinationPort { first, last } => Self::DestinationPort(*first, *last),
            Wanted::DestinationIp { network } => Self::DestinationIp(Network::parse(network).map_err(within)?),
            Wanted::SourceIp { of, network } => Self::SourceIp(*of, Network::parse(network).map_err(within)?),
            Wanted::ServerName { text } => Self::ServerName(Text::of(text).map_err(within)?),
            Wanted::Principal { text } => Self::Principal(text.as_ref().map(Text::of).transpose().map_err(within)?),
            Wanted::Metadata { namespace, path, value, invert } => Self::Metadata {
                namespace: namespace.as_str().into(),
                path: path.iter().map(|key| key.as_str().into()).collect(),
                value: ValueTest::compile(value, field, depth + 1)?,
                invert: *invert,
            },
        })
    }

    /// Return whether it holds of a request.
    pub(super) fn holds(&self, request: &Request<'_>) -> bool {
        let among = |network: &Network, address: Option<IpAddr>| address.is_some_and(|one| network.holds(one));
        match self {
            Self::Anything => true,
            Self::All(tests) => tests.iter().all(|test| test.holds(request)),
            Self::AnyOf(tests) => tests.iter().any(|test| test.holds(request)),
            Self::Not(test) => !test.holds(request),
            Self::Header(condition) => condition.holds(request.head),
            Self::UrlPath(text) => text.matches(without_fragment(without_query(request.head.path()))),
            Self::DestinationPort(first, last) => {
                request.destination.is_some_and(|(_, port)| (*first..=*last).contains(&port))
            }
            Self::DestinationIp(network) => among(network, request.destination.map(|(address, _)| address)),
            Self::SourceIp(Caller::Direct, network) => among(network, request.caller()),
            Self::SourceIp(Caller::Told, network) => among(network, request.told_caller()),
            Self::ServerName(text) => text.matches(request.server_name().as_bytes()),
            Self::Principal(text) => match (request.names(), text) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(names), Some(text)) => names.iter().any(|name| text.matches(name.as_bytes())),
            },
            Self::Metadata { namespace, path, value, invert } => {
                let root = request.metadata(namespace);
                let found = path.iter().try_fold(root, |at, key| at.and_then(|at| at.get(key.as_ref())).map(Some));
                value.holds(found.flatten()) != *invert
            }
        }
    }
}

impl ValueTest {
    fn compile(wanted: &WantedValue, field: &str, depth: usize) -> Result<Self, String> {
        if depth > MAX_RULE_DEPTH {
            return Err(format!("{field}: nested deeper than the limit of {MAX_RULE_DEPTH}"));
        }
        Ok(match wanted {
            WantedValue::IsNull {} => Self::Null,
            WantedValue::IsNumber { start, end } => Self::Number(*start, *end),
            WantedValue::IsText { text } => Self::Text(Text::of(text).map_err(|what| format!("{field}: {what}"))?),
            WantedValue::IsFlag { flag } => Self::Flag(*flag),
            WantedValue::IsThere { flag } => Self::There(*flag),
            WantedValue::HasMember { of } => Self::Member(Box::new(Self::compile(of, field, depth + 1)?)),
            WantedValue::IsOne { of } => {
                let each = of.iter().map(|one| Self::compile(one, field, depth + 1));
                Self::One(each.collect::<Result<_, String>>()?)
            }
        })
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Null => value.is_some_and(Value::is_null),
            // As in Envoy, nothing is met by asking for nothing: `invert` of the whole condition is.
            Self::There(wanted) => *wanted && value.is_some(),
            Self::Text(text) => value.and_then(Value::as_str).is_some_and(|value| text.matches(value.as_bytes())),
            Self::Flag(wanted) => value.and_then(Value::as_bool) == Some(*wanted),
            Self::Number(start, end) => value.and_then(Value::as_f64).is_some_and(|number| {
                // An exact number is a range without room.
                number.total_cmp(start).is_eq() || (*start..*end).contains(&number)
            }),
            Self::Member(test) => {
                value.and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| test.holds(Some(one))))
            }
            Self::One(tests) => tests.iter().any(|test| test.holds(value)),
        }
    }
}

/// Return a path without what a browser would not have sent.
fn without_fragment(path: &[u8]) -> &[u8] {
    memchr::memchr(b'#', path).and_then(|at| path.get(..at)).unwrap_or(path)
}
