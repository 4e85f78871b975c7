//! Route tables, compiled: from a request head to what is to be done with it.
//!
//! Immutable and shared: a request holds on to the [`Tables`] it began with. Names of clusters are resolved to
//! the engine's own numbers once, in `compile`.

mod compile;
mod edits;
mod filters;
mod hash;
mod hosts;
mod matching;
mod mirror;
mod retries;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use compile::compile;
pub use edits::Edits;
pub use filters::{drawn, ledger_key, Bucket, Cors, Filters, Ledger};
pub use mirror::Mirror;
pub use retries::{Failure, Retries};

use crate::conditions::Match;
use crate::config::{HashOn, PathKind};
use crate::routes::hosts::Hosts;

/// One compiled configuration.
#[derive(Debug, Default)]
pub struct Tables {
    by_name: HashMap<String, usize>,
    all: Vec<Table>,
}

/// The virtual hosts of one route table, by host.
#[derive(Debug, Default)]
struct Table {
    exact: Hosts,
    /// `*.suffix`, longest first.
    suffixes: Vec<(Box<[u8]>, usize)>,
    /// `prefix.*`, longest first.
    prefixes: Vec<(Box<[u8]>, usize)>,
    any: Option<usize>,
    hosts: Vec<Host>,
    /// Some route asks nothing of what it passes on, and looks at nothing but whom that is for.
    passes_any: bool,
}

/// A virtual host.
#[derive(Debug)]
pub struct Host {
    routes: Vec<Route>,
    /// Its routes look at paths and at nothing else.
    by_path: bool,
    /// Edits of requests.
    pub request_edits: Edits,
    /// Edits of responses.
    pub response_edits: Edits,
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    when: Match,
    /// What to do.
    pub action: Action,
    /// The engine's number of this route's counters and label.
    pub label: usize,
    /// Edits of requests.
    pub request_edits: Edits,
    /// Edits of responses.
    pub response_edits: Edits,
    /// What happens before it is followed.
    pub filters: Option<Filters>,
    /// The cluster that requests are sent to as they came; `None`: something is asked of them, or of their answers.
    pub passes_to: Option<usize>,
}

impl Route {
    /// Return the path that requests are compared with, and how.
    pub fn path(&self) -> (&[u8], PathKind) {
        (&self.when.path, self.when.path_kind)
    }
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Send on to one of the shares.
    Forward(Forward),
    /// Answer at once.
    Direct {
        /// With this status.
        status: u16,
        /// And this text.
        body: Box<[u8]>,
    },
    /// Answer with a Location.
    Redirect(Redirect),
    /// Hand to this process.
    Serve {
        /// Name of the handler.
        handler: Arc<str>,
        /// Longest body.
        max_body_bytes: usize,
    },
    /// Hand to this process, piece by piece.
    Converse {
        /// Name of the handler.
        handler: Arc<str>,
    },
}

impl Action {
    /// Return the cluster that requests are sent to as they came; `None`: something is asked of them.
    fn passes_to(&self) -> Option<usize> {
        let Self::Forward(forward) = self else { return None };
        let texts =
            [&forward.host_rewrite, &forward.host_rewrite_header, &forward.prefix_rewrite, &forward.path_rewrite];
        let asks = forward.retry.is_some() || !forward.hash_on.is_empty() || !forward.mirrors.is_empty();
        match &*forward.shares {
            [share] if !asks && texts.into_iter().all(|text| text.is_empty()) => share.passes_to(),
            _ => None,
        }
    }
}

/// Where a request goes.
#[derive(Debug)]
pub struct Forward {
    shares: Vec<Share>,
    total: usize,
    /// Whole request to whole response; 0: none.
    pub timeout_s: f64,
    host_rewrite: Box<[u8]>,
    host_rewrite_header: Box<[u8]>,
    prefix_rewrite: Box<[u8]>,
    path_rewrite: Box<[u8]>,
    /// What is tried again.
    pub retry: Option<Retries>,
    /// What of the request is hashed, for clusters that balance by hash.
    pub hash_on: Vec<HashOn>,
    /// Who else gets the request.
    pub mirrors: Vec<Arc<Mirror>>,
}

/// One share of a split.
#[derive(Debug)]
pub struct Share {
    /// The engine's number of the cluster; `None`: the Snapshot has no such cluster.
    pub cluster: Option<usize>,
    weight: usize,
    /// The subset of the cluster it is for, sorted by key; empty: none.
    pub subset: Vec<(String, String)>,
    /// Edits of requests.
    pub request_edits: Edits,
    /// Edits of responses.
    pub response_edits: Edits,
}

impl Share {
    fn passes_to(&self) -> Option<usize> {
        let plain = self.subset.is_empty() && self.request_edits.is_empty() && self.response_edits.is_empty();
        self.cluster.filter(|_| plain)
    }
}

/// Parts of a Location; empty ones come from the request.
#[derive(Debug)]
pub struct Redirect {
    /// Status.
    pub status: u16,
    scheme: Box<[u8]>,
    host: Box<[u8]>,
    port: u16,
    path: Box<[u8]>,
    prefix_rewrite: Box<[u8]>,
}

/// Names a route inside its [`Tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    table: usize,
    host: usize,
    route: usize,
}

impl Tables {
    /// Return the number of the table called `name`.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Return whether every head with this authority and path leads to `found`, which asks nothing of what it passes on.
    pub fn passes(&self, found: Found) -> bool {
        self.resolve(found).is_some_and(|(host, route)| host.by_path && route.passes_to.is_some())
    }

    /// Return whether there is such a route in a table.
    pub fn passes_any(&self, table: usize) -> bool {
        self.all.get(table).is_some_and(|table| table.passes_any)
    }

    /// Return the virtual host and route behind `found`.
    pub fn resolve(&self, found: Found) -> Option<(&Host, &Route)> {
        let host = self.all.get(found.table)?.hosts.get(found.host)?;
        Some((host, host.routes.get(found.route)?))
    }
}
