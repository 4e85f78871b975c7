//! Circuit breakers: how much a cluster may carry (Envoy: `config/cluster/v3/circuit_breaker.proto`).
//!
//! A breaker that is open refuses at once. Clusters with a queue of our own (functions at zero, container concurrency) let
//! requests wait instead, and bound the queue.

use crate::cluster::Cluster;

/// A breaker that refuses at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// `max_requests`.
    Requests,
    /// `max_pending_requests`.
    Pending,
}

impl Cluster {
    /// Count a request that `breaker` refused.
    pub fn count_refused(&mut self, breaker: Breaker) {
        match breaker {
            Breaker::Requests => self.counters.active_overflow += 1,
            Breaker::Pending => self.counters.pending_overflow += 1,
        }
    }

    /// Return whether requests wait here for a slot or an endpoint, instead of for a connection alone.
    pub fn has_own_queue(&self) -> bool {
        self.config.hold || self.config.max_requests_per_endpoint > 0
    }

    /// Return whether no more request may be in flight (`max_requests`; 0: no limit).
    pub fn is_full_of_requests(&self) -> bool {
        self.config.max_requests > 0 && self.in_flight >= self.config.max_requests
    }

    /// Return whether the cluster has all the connections it may have (`max_connections`).
    pub fn is_full_of_connections(&self) -> bool {
        self.connections >= self.config.max_connections.max(1)
    }

    /// Return whether endpoint `at` has no connection: then it may always have one, or its requests would wait for those
    /// of others to be done with theirs.
    pub fn has_no_connection(&self, at: usize) -> bool {
        self.endpoints.get(at).is_some_and(|endpoint| endpoint.connections == 0)
    }

    /// Return whether no more request may wait for a connection (`max_pending_requests`).
    pub fn takes_no_pending(&self) -> bool {
        !self.has_own_queue() && self.waiting + self.boarding >= self.config.max_pending
    }

    /// Return whether one more retry may be under way (`max_retries`, or `retry_budget` in its place).
    pub fn takes_retry(&self) -> bool {
        self.retries < self.most_retries()
    }

    fn most_retries(&self) -> usize {
        let Some(budget) = self.config.retry_budget else { return self.config.max_retries };
        #[allow(clippy::cast_precision_loss)] // requests in flight are far below 2^52
        let share = (self.in_flight + self.waiting) as f64 * budget.percent / 100.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a percentage of a count: from 0 to that count
        let share = share as usize;
        share.max(budget.min_concurrency)
    }

    /// Return (name, open) of each breaker, as Envoy's gauges `circuit_breakers.default.*` have them.
    pub fn breakers(&self) -> [(&'static str, bool); 4] {
        [
            ("cx_open", self.is_full_of_connections()),
            ("rq_pending_open", self.takes_no_pending()),
            ("rq_open", self.is_full_of_requests()),
            ("rq_retry_open", !self.takes_retry()),
        ]
    }
}
