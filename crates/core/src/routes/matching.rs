//! From a head to a route: host, path, headers; and the weighted draw behind it.

use crate::ascii;
use crate::head::Head;
use crate::random::Random;
use crate::request_parts::{from_query, without_port, without_query};
use crate::routes::{Forward, Found, Redirect, Route, Share, Table, Tables};

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
        let longer = |part: &[u8]| name.len().checked_sub(part.len()).filter(|left| *left > 0);
        let ends = |end: &[u8]| longer(end).is_some_and(|at| is_alike(name.get(at..), end));
        let starts = |start: &[u8]| longer(start).is_some() && is_alike(name.get(..start.len()), start);
        self.exact
            .get(name)
            .or_else(|| self.suffixes.iter().find(|(end, _)| ends(end)).map(|(_, host)| *host))
            .or_else(|| self.prefixes.iter().find(|(start, _)| starts(start)).map(|(_, host)| *host))
            .or(self.any)
    }
}

fn is_alike(part: Option<&[u8]>, text: &[u8]) -> bool {
    part.is_some_and(|part| part.eq_ignore_ascii_case(text))
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
