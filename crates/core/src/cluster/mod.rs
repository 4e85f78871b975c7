//! Clusters at run time: endpoints, the choice among them, pooled connections, limits and counters.
//!
//! A cluster keeps its number, pools and counters across configurations as long as its name stays; an endpoint as long
//! as its address stays. What was removed finishes what it carries.

mod balance;
mod breakers;
mod choice;
mod conduct;
mod endpoint;
mod hashing;
mod health;
mod load;
mod outlier;
mod subsets;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub use balance::{Pick, Wish};
pub use breakers::Breaker;
pub use endpoint::Endpoint;
pub use hashing::xxh64;
pub use health::Outcome;
pub use load::Load;
pub use outlier::SuccessRates;

use crate::cluster::choice::Choice;
use crate::cluster::outlier::Ejections;
use crate::cluster::subsets::SubsetChoices;
use crate::config;
use crate::slab::Id;
use crate::stats::{Histogram, Responses};
use crate::timers::{Alarm, NEVER};
use crate::tls;

/// Counters of a cluster, under Envoy's names.
#[derive(Debug, Default)]
pub struct Counters {
    /// `upstream_cx_total`.
    pub cx_total: u64,
    /// `upstream_cx_connect_fail`.
    pub cx_connect_fail: u64,
    /// `ssl.handshake`.
    pub tls_handshake: u64,
    /// `ssl.connection_error`.
    pub tls_error: u64,
    /// `upstream_rq_total`.
    pub rq_total: u64,
    /// `upstream_rq_xx`.
    pub responses: Responses,
    /// `upstream_rq_timeout`.
    pub rq_timeout: u64,
    /// `upstream_rq_retry`.
    pub rq_retry: u64,
    /// `upstream_rq_retry_success`.
    pub rq_retry_success: u64,
    /// `upstream_rq_retry_overflow`.
    pub rq_retry_overflow: u64,
    /// `upstream_rq_retry_limit_exceeded`.
    pub rq_retry_limit_exceeded: u64,
    /// `upstream_rq_per_try_timeout`.
    pub rq_per_try_timeout: u64,
    /// `retry.upstream_rq_xx`: responses that were not passed on.
    pub retry_responses: Responses,
    /// `upstream_cx_overflow`.
    pub cx_overflow: u64,
    /// `upstream_rq_pending_total`.
    pub pending_total: u64,
    /// `upstream_rq_active_overflow`: refused for want of `max_requests`.
    pub active_overflow: u64,
    /// Copies of requests that were too large to be kept.
    pub mirror_overflow: u64,
    /// `upstream_rq_pending_overflow`.
    pub pending_overflow: u64,
    /// `upstream_rq_time`, milliseconds.
    pub time: Histogram,
    /// `lb_healthy_panic`: requests that were balanced in a panic.
    pub healthy_panic: u64,
    /// `outlier_detection.*`.
    pub ejections: Ejections,
    /// `health_check.attempt`.
    pub checks: u64,
    /// `health_check.success`.
    pub checks_well: u64,
    /// `health_check.failure`.
    pub checks_failed: u64,
    /// `health_check.network_failure`: those of them that were not answered.
    pub checks_silent: u64,
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Its configuration; the endpoints in it are not kept up.
    pub config: config::Cluster,
    /// Name, for actions.
    pub name: Arc<str>,
    /// How its endpoints are spoken to under TLS, if they are.
    pub tls: Option<Arc<tls::ClientContext>>,
    /// No longer configured.
    pub gone: bool,
    is_configured: bool,
    /// Endpoints by number; removed ones keep theirs until they carry nothing.
    pub endpoints: Vec<Endpoint>,
    choice: Choice,
    subsets: Option<SubsetChoices>,
    born: f64,
    /// When endpoints that rest are tried again.
    pub rested_at: f64,
    /// When outliers are looked for next.
    pub sweep_at: f64,
    /// Requests that wait, in order; some may have left.
    pub pending: VecDeque<Id>,
    /// Requests that wait.
    pub waiting: usize,
    /// Bytes of their bodies.
    pub held_bytes: usize,
    /// Requests in flight upstream.
    pub in_flight: usize,
    /// Requests bound to connections that are not up yet.
    pub boarding: usize,
    /// Retries under way, those that wait for their back-off included.
    pub retries: usize,
    /// Connections, connecting ones included.
    pub connections: usize,
    /// Counters.
    pub counters: Counters,
    /// What its endpoints came to when outliers were looked for last, if enough of them were busy.
    pub success_rates: Option<SuccessRates>,
    /// Concurrency over time.
    pub load: Load,
    /// When something must happen.
    pub alarm: Alarm,
}

impl Cluster {
    /// Return a cluster without endpoints.
    pub fn new(config: &config::Cluster, now: f64) -> Self {
        Self {
            config: config.clone(),
            name: Arc::from(config.name.as_str()),
            tls: None,
            gone: false,
            is_configured: false,
            endpoints: Vec::new(),
            choice: Choice::default(),
            subsets: None,
            born: now,
            rested_at: NEVER,
            sweep_at: NEVER,
            pending: VecDeque::new(),
            waiting: 0,
            held_bytes: 0,
            in_flight: 0,
            boarding: 0,
            retries: 0,
            connections: 0,
            counters: Counters::default(),
            success_rates: None,
            load: Load::new(now),
            alarm: Alarm::default(),
        }
    }

    /// Take on a new configuration; return the idle connections of endpoints that are gone.
    pub fn configure(&mut self, config: &config::Cluster, now: f64) -> Vec<Id> {
        if !self.gone && self.config == *config && self.is_configured {
            return Vec::new(); // its tables may be large, and are as they should be
        }
        (self.gone, self.is_configured) = (false, true);
        self.config = config.clone();
        let mut wanted: HashMap<&str, &config::Endpoint> =
            config.endpoints.iter().map(|endpoint| (endpoint.address.as_str(), endpoint)).collect();
        let mut orphans = Vec::new();
        for endpoint in &mut self.endpoints {
            if let Some(found) = wanted.remove(&*endpoint.address) {
                endpoint.configure(found);
            } else if !endpoint.gone {
                endpoint.gone = true;
                orphans.append(&mut endpoint.idle);
                orphans.extend_from_slice(&endpoint.shared);
            }
        }
        for endpoint in config.endpoints.iter().filter(|endpoint| wanted.remove(endpoint.address.as_str()).is_some()) {
            self.add(endpoint);
        }
        let checked = config.health_check.is_some();
        for endpoint in &mut self.endpoints {
            endpoint.check.configure(checked && !endpoint.gone, now);
        }
        if self.config.outlier.is_none() {
            self.pardon_all();
        }
        self.refresh();
        orphans
    }

    /// Remove it from the configuration; return its idle connections.
    pub fn retire(&mut self, now: f64) -> Vec<Id> {
        let config = config::Cluster { endpoints: Vec::new(), hold: false, ..self.config.clone() };
        let orphans = self.configure(&config, now);
        self.gone = true;
        orphans
    }

    /// Give an endpoint that has refused a connection nothing before `wake`; return whether requests can wait so long.
    pub fn rest(&mut self, at: usize) -> bool {
        if let Some(endpoint) = self.endpoints.get_mut(at).filter(|_| self.config.hold) {
            endpoint.resting = true;
        }
        self.config.hold
    }

    /// Give an endpoint that is about to go nothing before `wake`, if there is another; return whether that was done.
    pub fn let_go(&mut self, at: usize) -> bool {
        let takes = |endpoint: &Endpoint| endpoint.is_member() && endpoint.is_healthy() && !endpoint.resting;
        let other = self.endpoints.iter().enumerate().any(|(other, endpoint)| other != at && takes(endpoint));
        if let Some(endpoint) = self.endpoints.get_mut(at).filter(|_| other) {
            endpoint.resting = true;
        }
        other
    }

    /// Try every endpoint again.
    pub fn wake(&mut self) {
        self.rested_at = NEVER;
        for endpoint in &mut self.endpoints {
            endpoint.resting = false;
        }
    }

    /// Count a connection to endpoint `at` that could not be made.
    pub fn count_connect_failure(&mut self, at: usize) {
        self.counters.cx_connect_fail += 1;
        if let Some(endpoint) = self.endpoints.get_mut(at) {
            endpoint.counters.cx_connect_fail += 1;
        }
    }

    /// Count how endpoint `at` has answered so many attempts.
    pub fn count_answers(&mut self, at: usize, status: u16, count: u32) {
        if let Some(endpoint) = self.endpoints.get_mut(at) {
            let counter =
                if status < 500 { &mut endpoint.counters.rq_success } else { &mut endpoint.counters.rq_error };
            *counter += u64::from(count);
        }
    }

    /// Return whether its number can be given to another cluster.
    pub fn is_spent(&self) -> bool {
        self.gone && self.connections == 0 && self.in_flight == 0 && self.load.current() == 0
    }

    /// Return when something must happen here.
    pub fn deadline(&self) -> f64 {
        let checks = self.endpoints.iter().map(|endpoint| endpoint.check.due).fold(NEVER, f64::min);
        self.rested_at.min(self.sweep_at).min(checks)
    }

    /// Take the endpoints whose next health check is due.
    pub fn due_checks(&mut self, now: f64) -> Vec<usize> {
        let due = self.endpoints.iter_mut().enumerate().filter(|(_, endpoint)| endpoint.check.due <= now);
        let take = |(at, endpoint): (usize, &mut Endpoint)| {
            endpoint.check.due = NEVER;
            at
        };
        due.map(take).collect()
    }

    /// Return (all, healthy) endpoints.
    pub fn membership(&self) -> (usize, usize) {
        let members = || self.endpoints.iter().filter(|endpoint| endpoint.is_member());
        (members().count(), members().filter(|endpoint| endpoint.is_healthy()).count())
    }

    /// Work out anew who gets requests: the endpoints or their health have changed.
    pub fn refresh(&mut self) {
        let mut choice = Choice::of(&self.endpoints, &self.config, |_| true);
        choice.inherit(&self.choice);
        self.choice = choice;
        let subsets = self.config.subsets.as_ref();
        self.subsets = subsets.map(|subsets| SubsetChoices::of(&self.endpoints, &self.config, subsets));
    }

    fn add(&mut self, endpoint: &config::Endpoint) {
        let fresh = Endpoint::new(endpoint);
        let spent = |old: &&mut Endpoint| old.gone && old.connections == 0 && old.in_flight == 0;
        match self.endpoints.iter_mut().find(spent) {
            Some(slot) => *slot = fresh,
            None => self.endpoints.push(fresh),
        }
    }
}
