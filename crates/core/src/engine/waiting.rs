//! Requests that wait, in order: for a slot, or for an endpoint of a function that sleeps.

use crate::cluster::Breaker;
use crate::engine::dispatch::Placed;
use crate::engine::exchange::{Flag, Stage};
use crate::engine::refusal::{MISMATCH, NO_ENDPOINT, OVERFLOW};
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    /// Let a request wait in its cluster's queue.
    pub(super) fn wait(&mut self, id: Id, number: usize, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        let bytes = exchange.held.len();
        if cluster.takes_no_pending() {
            return self.overflow(id, number, Breaker::Pending, now);
        }
        if cluster.waiting >= cluster.config.max_pending || cluster.held_bytes + bytes > cluster.config.max_held_bytes {
            cluster.counters.pending_overflow += 1;
            return self.refuse(id, &OVERFLOW, now);
        }
        cluster.waiting += 1;
        cluster.held_bytes += bytes;
        cluster.counters.pending_total += 1;
        cluster.pending.push_back(id);
        exchange.stage = Stage::Waiting;
        // From its beginning: an endpoint that refuses again and again does not hold a request for ever.
        exchange.wait_until = exchange.started + cluster.config.hold_timeout_s;
        let (asks, empty) = (cluster.config.hold, cluster.free_endpoints() == 0);
        self.watch(id);
        if asks && empty {
            self.asks.push((id, number));
        }
    }

    /// A breaker of the cluster is open: refuse the request.
    pub(super) fn overflow(&mut self, id: Id, number: usize, breaker: Breaker, now: f64) {
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.count_refused(breaker);
        }
        self.refuse_broken(id, Flag::Overflow, ReplyKind::Overload, "overflow", now);
    }

    /// Count body bytes of a waiting request; `false`: the cluster holds too many, and the request was refused.
    pub(super) fn hold_bytes(&mut self, id: Id, bytes: usize, now: f64) -> bool {
        let Some(number) = self.exchanges.get(id).and_then(|exchange| exchange.cluster) else { return false };
        let Some(cluster) = self.clusters.get_mut(number) else { return false };
        cluster.held_bytes += bytes;
        if cluster.held_bytes > cluster.config.max_held_bytes {
            cluster.counters.pending_overflow += 1;
            self.refuse(id, &OVERFLOW, now);
            return false;
        }
        true
    }

    /// Let waiting requests of a cluster go on, in order, for as long as there is room.
    pub(super) fn admit(&mut self, number: usize, now: f64) {
        loop {
            let Some(cluster) = self.clusters.get_mut(number) else { return };
            let Some(id) = cluster.pending.front().copied() else { return };
            let hold = cluster.config.hold;
            let waits = self.exchanges.get(id).filter(|exchange| exchange.stage == Stage::Waiting);
            let Some(bytes) = waits.map(|exchange| exchange.held.len()) else {
                cluster.pending.pop_front();
                continue;
            };
            let placed = self.place(id, now);
            match placed {
                Placed::Full => return,
                Placed::Empty if hold => return,
                Placed::Yes => self.stop_waiting(id, number, bytes),
                Placed::Empty => self.refuse(id, &NO_ENDPOINT, now),
                Placed::Broken(breaker) => self.overflow(id, number, breaker, now),
                Placed::Mismatch => self.refuse(id, &MISMATCH, now),
            }
        }
    }

    /// Take a request out of the accounts of its cluster's queue.
    pub(super) fn stop_waiting(&mut self, id: Id, number: usize, bytes: usize) {
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.waiting = cluster.waiting.saturating_sub(1);
            cluster.held_bytes = cluster.held_bytes.saturating_sub(bytes);
            if cluster.pending.front() == Some(&id) {
                cluster.pending.pop_front();
            }
        }
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.wait_until = NEVER;
        }
        self.watch(id);
    }
}
