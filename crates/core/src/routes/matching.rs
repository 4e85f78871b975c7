//! From a head to a route: host, path, headers; and the weighted draw behind it.

use crate::ascii;
use crate::config::PathKind;
use crate::head::Head;
use crate::random::Random;
use crate::routes::{Condition, Forward, Found, Match, Redirect, Route, Share, Table, Tables};

/// Longest host that can match exactly or by wildcard (DNS names end at 253 bytes, Bolt service names are shorter).
const MAX_HOST: usize = 512;

/// Length that nearly every host keeps to.
const SHORT_HOST: usize = 64;

impl Tables {
    /// Return the first route of `table` that matches `head`.
    pub fn find(&self, table: usize, head: &Head) -> Option<Found> {
        let hosts = self.all.get(table)?;
        let host = hosts.host(head.authority())?;
        let path = without_query(head.path());
        let routes = &hosts.hosts.get(host)?.routes;
        let route = routes.iter().position(|route| route.when.matches(path, head))?;
        Some(Found { table, host, route })
    }
}

impl Table {
    /// Return the virtual host of `authority`: exact, then the longest suffix, the longest prefix, any.
    fn host(&self, authority: &[u8]) -> Option<usize> {
        let name = without_port(authority);
        // To clear room for the longest name would take longer than to look a usual one up.
        let (mut short, mut long);
        let buffer: &mut [u8] = if name.len() <= SHORT_HOST {
            short = [0; SHORT_HOST];
            &mut short
        } else {
            long = [0; MAX_HOST];
            &mut long
        };
        let Some(lower) = buffer.get_mut(..name.len()) else { return self.any };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let lower = &*lower;
        let longer = |end: &[u8]| lower.len() > end.len();
        self.exact
            .get(lower)
            .copied()
            .or_else(|| {
                self.suffixes.iter().find(|(end, _)| longer(end) && lower.ends_with(end)).map(|(_, host)| *host)
            })
            .or_else(|| {
                self.prefixes.iter().find(|(start, _)| longer(start) && lower.starts_with(start)).map(|(_, host)| *host)
            })
            .or(self.any)
    }
}

impl Match {
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

impl Route {
    /// Rewrite path and authority as `forward` says.
    pub fn rewrite(&self, forward: &Forward, head: &mut Head) {
        if !forward.host_rewrite.is_empty() {
            head.set_authority(&forward.host_rewrite);
        }
        if !forward.host_rewrite_header.is_empty() {
            let original = head.find(&forward.host_rewrite_header);
            if let Some(host) = original.filter(|host| ascii::is_authority(head.bytes(*host))) {
                head.place_authority(host);
            }
        }
        if !forward.prefix_rewrite.is_empty() {
            let mut path = forward.prefix_rewrite.to_vec();
            path.extend_from_slice(head.path().get(self.when.path.len()..).unwrap_or_default());
            head.set_path(&path);
        }
        if !forward.path_rewrite.is_empty() {
            let mut path = forward.path_rewrite.to_vec();
            path.extend_from_slice(from_query(head.path()));
            head.set_path(&path);
        }
    }

    /// Return the Location that `redirect` sends `head` to. The query stays, unless the new path has one.
    pub fn location(&self, redirect: &Redirect, head: &Head) -> Vec<u8> {
        let pick = |ours: &[u8], theirs: &[u8]| if ours.is_empty() { theirs.to_vec() } else { ours.to_vec() };
        let scheme = if head.scheme().is_empty() { b"http" } else { head.scheme() };
        let mut location = pick(&redirect.scheme, scheme);
        location.extend_from_slice(b"://");
        let host = pick(&redirect.host, head.authority());
        if redirect.port == 0 {
            location.extend_from_slice(&host);
        } else {
            location.extend_from_slice(without_port(&host));
            location.extend_from_slice(format!(":{}", redirect.port).as_bytes());
        }
        if redirect.path.is_empty() {
            let kept = if redirect.prefix_rewrite.is_empty() { 0 } else { self.when.path.len() };
            location.extend_from_slice(&redirect.prefix_rewrite);
            location.extend_from_slice(head.path().get(kept..).unwrap_or_default());
        } else {
            location.extend_from_slice(&redirect.path);
            if !redirect.path.contains(&b'?') {
                location.extend_from_slice(from_query(head.path()));
            }
        }
        location
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
    pub(super) fn compare(&self, value: &[u8]) -> bool {
        self.text.matches(value)
    }
}

impl Forward {
    /// Draw a share by weight; return its number.
    pub fn draw(&self, random: &mut Random) -> usize {
        if self.shares.len() == 1 {
            return 0;
        }
        let mut left = random.below(self.total);
        for (at, share) in self.shares.iter().enumerate() {
            if left < share.weight {
                return at;
            }
            left -= share.weight;
        }
        0
    }

    /// Return the share called `at`.
    pub fn share(&self, at: usize) -> Option<&Share> {
        self.shares.get(at)
    }
}

/// Return the path without its query.
pub fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr(b'?', path).and_then(|at| path.get(..at)).unwrap_or(path)
}

/// Return the query of a path with its question mark; empty: it has none.
fn from_query(path: &[u8]) -> &[u8] {
    path.get(without_query(path).len()..).unwrap_or_default()
}

/// Return the query of a path, without its question mark; empty: it has none.
pub fn query_of(path: &[u8]) -> &[u8] {
    from_query(path).get(1..).unwrap_or_default()
}

/// Return the authority without its port. Only digits are a port: a Bolt service name ends in `:1.0`.
pub fn without_port(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    authority
        .len()
        .checked_sub(digits + 1)
        .filter(|colon| digits > 0 && authority.get(*colon) == Some(&b':'))
        .and_then(|colon| authority.get(..colon))
        .unwrap_or(authority)
}
