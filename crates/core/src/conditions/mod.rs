//! Conditions on the head of a request: what routes, rules and filters ask of its path, its headers and its query.

mod compile;

pub use compile::{compile_match, condition};

use crate::config::PathKind;
use crate::head::Head;
use crate::pattern::Pattern;
use crate::request_parts::query_of;
use crate::text::Text;

/// When something holds for a request: its path and headers.
#[derive(Debug)]
pub struct Match {
    /// What paths are compared with.
    pub path: Box<[u8]>,
    /// How.
    pub path_kind: PathKind,
    path_pattern: Option<Pattern>,
    headers: Vec<Condition>,
    /// On the first value of a parameter of the query, as it is written.
    query: Vec<Condition>,
}

/// A condition on a header, compiled.
#[derive(Debug)]
pub struct Condition {
    name: Box<[u8]>,
    text: Text,
    invert: bool,
}

impl Match {
    /// Return whether it looks at paths and at nothing else.
    pub fn is_by_path(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// Return whether a request with this path (without its query) and this head is one of those it means.
    pub fn matches(&self, path: &[u8], head: &Head) -> bool {
        let fits = match self.path_kind {
            PathKind::Exact => path == &*self.path,
            PathKind::Prefix => path.starts_with(&self.path),
            PathKind::Regex => self.path_pattern.as_ref().is_some_and(|pattern| pattern.matches(path)),
            PathKind::SeparatedPrefix => path
                .strip_prefix(&*self.path)
                .is_some_and(|rest| matches!(rest, [] | [b'/', ..]) || self.path.ends_with(b"/")),
        };
        fits && self.headers.iter().all(|condition| condition.holds(head))
            && (self.query.is_empty() || self.asks(query_of(head.path())))
    }

    /// Return whether a query meets every condition on its parameters: a parameter's first value counts (Envoy).
    fn asks(&self, query: &[u8]) -> bool {
        self.query.iter().all(|condition| {
            let mut pairs = query.split(|byte| *byte == b'&').map(|pair| {
                let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
                (pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default())
            });
            let found = pairs.find(|(name, _)| **name == *condition.name);
            found.is_some_and(|(_, value)| condition.compare(value)) != condition.invert
        })
    }
}

impl Condition {
    /// Return whether a head meets the condition.
    pub fn holds(&self, head: &Head) -> bool {
        let met = match &*self.name {
            b":method" => self.compare(head.method()),
            b":path" => self.compare(head.path()),
            b":authority" | b"host" => self.compare(head.authority()),
            b":scheme" => self.compare(head.scheme()),
            // Bolt's keys have capitals; names of conditions are lower case.
            name => {
                let mut values = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name)).peekable();
                // What is not there has no value that could be another one (Envoy: a missing header never matches).
                if values.peek().is_none() && !self.text.is_presence() {
                    return false;
                }
                values.any(|(_, value)| self.compare(value))
            }
        };
        met != self.invert
    }

    /// Return whether `value` alone meets the condition.
    pub fn compare(&self, value: &[u8]) -> bool {
        self.text.matches(value)
    }
}
