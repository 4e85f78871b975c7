//! Clusters at run time: endpoints, the choice among them, pooled connections, limits and counters.
//!
//! A cluster keeps its number, pools and counters across configurations as long as its name stays; an endpoint as long
//! as its address stays. What was removed finishes what it carries.

mod balance;
mod breakers;
mod load;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub use balance::Pick;
pub use breakers::Breaker;
pub use load::Load;

use crate::config;
use crate::slab::Id;
use crate::stats::{Histogram, Responses};
use crate::timers::Alarm;
use crate::tls;

/// One upstream address and what it carries.
#[derive(Debug)]
pub struct Endpoint {
    /// Address as configured.
    pub address: Arc<str>,
    weight: u32,
    healthy: bool,
    /// No longer configured.
    pub gone: bool,
    /// Requests in flight.
    pub in_flight: usize,
    /// Connections, connecting ones included.
    pub connections: usize,
    /// HTTP/1 connections without a request; the last one used is taken first, so that the others can grow old.
    pub idle: Vec<Id>,
    /// Connections that carry many requests.
    pub shared: Vec<Id>,
    /// It has just refused a connection: nothing more for the moment.
    resting: bool,
    turn: i64,
}

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
    /// `upstream_rq_pending_overflow`.
    pub pending_overflow: u64,
    /// `upstream_rq_time`, milliseconds.
    pub time: Histogram,
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
    /// Endpoints by number; removed ones keep theirs until they carry nothing.
    pub endpoints: Vec<Endpoint>,
    live: Vec<usize>,
    even: bool,
    cursor: usize,
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
    /// Concurrency over time.
    pub load: Load,
    /// When the endpoints that rest are tried again.
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
            endpoints: Vec::new(),
            live: Vec::new(),
            even: true,
            cursor: 0,
            pending: VecDeque::new(),
            waiting: 0,
            held_bytes: 0,
            in_flight: 0,
            boarding: 0,
            retries: 0,
            connections: 0,
            counters: Counters::default(),
            load: Load::new(now),
            alarm: Alarm::default(),
        }
    }

    /// Take on a new configuration; return the idle connections of endpoints that are gone.
    pub fn configure(&mut self, config: &config::Cluster) -> Vec<Id> {
        self.gone = false;
        self.config = config.clone();
        let mut wanted: HashMap<&str, &config::Endpoint> =
            config.endpoints.iter().map(|endpoint| (endpoint.address.as_str(), endpoint)).collect();
        let mut orphans = Vec::new();
        for endpoint in &mut self.endpoints {
            if let Some(found) = wanted.remove(&*endpoint.address) {
                (endpoint.gone, endpoint.weight, endpoint.healthy) = (false, found.weight, found.healthy);
            } else if !endpoint.gone {
                endpoint.gone = true;
                orphans.append(&mut endpoint.idle);
                orphans.extend_from_slice(&endpoint.shared);
            }
        }
        for endpoint in config.endpoints.iter().filter(|endpoint| wanted.remove(endpoint.address.as_str()).is_some()) {
            self.add(endpoint);
        }
        self.refresh();
        orphans
    }

    /// Remove it from the configuration; return its idle connections.
    pub fn retire(&mut self) -> Vec<Id> {
        let config = config::Cluster { endpoints: Vec::new(), hold: false, ..self.config.clone() };
        let orphans = self.configure(&config);
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

    /// Try every endpoint again.
    pub fn wake(&mut self) {
        for endpoint in &mut self.endpoints {
            endpoint.resting = false;
        }
    }

    /// Return whether its number can be given to another cluster.
    pub fn is_spent(&self) -> bool {
        self.gone && self.connections == 0 && self.in_flight == 0 && self.load.current() == 0
    }

    fn add(&mut self, endpoint: &config::Endpoint) {
        let fresh = Endpoint {
            address: Arc::from(endpoint.address.as_str()),
            weight: endpoint.weight,
            healthy: endpoint.healthy,
            gone: false,
            in_flight: 0,
            connections: 0,
            idle: Vec::new(),
            shared: Vec::new(),
            resting: false,
            turn: 0,
        };
        let spent = |old: &&mut Endpoint| old.gone && old.connections == 0 && old.in_flight == 0;
        match self.endpoints.iter_mut().find(spent) {
            Some(slot) => *slot = fresh,
            None => self.endpoints.push(fresh),
        }
    }

    fn refresh(&mut self) {
        let usable = |endpoint: &Endpoint| endpoint.healthy && !endpoint.gone && endpoint.weight > 0;
        let live = self.endpoints.iter().enumerate().filter(|(_, endpoint)| usable(endpoint));
        self.live = live.map(|(at, _)| at).collect();
        let mut weights = self.live.iter().filter_map(|at| self.endpoints.get(*at)).map(|endpoint| endpoint.weight);
        let first = weights.next();
        self.even = weights.all(|weight| Some(weight) == first);
    }
}
