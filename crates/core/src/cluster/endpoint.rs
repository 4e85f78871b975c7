//! One upstream address and what it carries.

use std::sync::Arc;

use crate::cluster::health::Check;
use crate::cluster::outlier::Conduct;
use crate::config;
use crate::slab::Id;

/// One upstream address and what it carries.
#[derive(Debug)]
pub struct Endpoint {
    /// Address as configured.
    pub address: Arc<str>,
    pub(super) weight: u32,
    pub(super) priority: u32,
    pub(super) locality: Arc<str>,
    pub(super) locality_weight: u32,
    pub(super) metadata: Vec<(String, String)>,
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

    /// Return whether nothing speaks against it: neither the configuration, nor its conduct, nor a health check.
    pub fn is_healthy(&self) -> bool {
        self.healthy && !self.conduct.is_ejected() && !self.check.is_failed()
    }
}
