//! One upstream address and what it carries.

use std::sync::Arc;

use crate::cluster::conduct::Conduct;
use crate::cluster::health::Check;
use crate::config;
use crate::slab::Id;

/// Counters of an endpoint, under the names of Envoy's `/clusters`. Health checks are no requests.
#[derive(Debug, Default, Clone, Copy)]
pub struct EndpointCounters {
    /// Connections dialled.
    pub cx_total: u64,
    /// Of them, those that could not be made.
    pub cx_connect_fail: u64,
    /// Requests sent.
    pub rq_total: u64,
    /// Attempts that it answered with less than 500, or with a good status of gRPC.
    pub rq_success: u64,
    /// Attempts with another answer, or none.
    pub rq_error: u64,
    /// Of them, those that it did not begin to answer in time.
    pub rq_timeout: u64,
}

/// One upstream address and what it carries.
#[derive(Debug)]
pub struct Endpoint {
    /// Address as configured.
    pub address: Arc<str>,
    /// Share of its group.
    pub weight: u32,
    /// Lower ones are taken first.
    pub priority: u32,
    /// Region, zone and sub-zone, between slashes; empty: none.
    pub locality: Arc<str>,
    pub(super) locality_weight: u32,
    /// What subsets are made by; values are JSON.
    pub metadata: Vec<(String, String)>,
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
    pub(super) resting: bool,
    pub(super) turn: i64,
    /// What it has carried.
    pub counters: EndpointCounters,
    /// How it has answered lately.
    pub conduct: Conduct,
    /// What active health checks say of it.
    pub check: Check,
}

impl Endpoint {
    /// Return an endpoint that carries nothing.
    pub fn new(config: &config::Endpoint) -> Self {
        let mut endpoint = Self {
            address: Arc::from(config.address.as_str()),
            weight: 0,
            priority: 0,
            locality: Arc::from(""),
            locality_weight: 0,
            metadata: Vec::new(),
            healthy: true,
            gone: false,
            in_flight: 0,
            connections: 0,
            idle: Vec::new(),
            shared: Vec::new(),
            resting: false,
            turn: 0,
            counters: EndpointCounters::default(),
            conduct: Conduct::default(),
            check: Check::default(),
        };
        endpoint.configure(config);
        endpoint
    }

    /// Take on what the configuration says of this address.
    pub fn configure(&mut self, config: &config::Endpoint) {
        self.gone = false;
        (self.weight, self.healthy, self.priority) = (config.weight, config.healthy, config.priority);
        self.locality = Arc::from(config.locality.as_str());
        self.locality_weight = config.locality_weight;
        self.metadata.clone_from(&config.metadata);
    }

    /// Return whether it is configured to get requests.
    pub fn is_member(&self) -> bool {
        !self.gone && self.weight > 0
    }

    /// Return what speaks against it, in the words of Envoy's `health_flags`.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            ("failed_active_hc", self.check.is_failed()),
            ("failed_outlier_check", self.conduct.is_ejected()),
            ("failed_eds_health", !self.healthy),
        ];
        flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag)
    }

    /// Return whether nothing speaks against it: neither the configuration, nor its conduct, nor a health check.
    pub fn is_healthy(&self) -> bool {
        self.healthy && !self.conduct.is_ejected() && !self.check.is_failed()
    }
}
