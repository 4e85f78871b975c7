//! Requests that wait, in order: for a slot, or for an endpoint of a function that sleeps.

use crate::cluster::Breaker;
use crate::engine::dispatch::Placed;
use crate::engine::exchange::{Exchange, Flag, Stage};
use crate::engine::refusal::{MISMATCH, NO_ENDPOINT, OVERFLOW};
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::limits::MAX_LEFT_BEHIND;
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
        // The first tells for all: the load of those behind it is reported with everything else.
        let asks = cluster.config.hold && cluster.waiting == 1 && cluster.free_endpoints() == 0;
        self.watch(id);
        if asks {
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
            } else if cluster.pending.len() > 2 * cluster.waiting + MAX_LEFT_BEHIND {
                let waits = |exchange: &Exchange| exchange.stage == Stage::Waiting;
                cluster.pending.retain(|other| *other != id && self.exchanges.get(*other).is_some_and(waits));
            }
        }
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.wait_until = NEVER;
        }
        self.watch(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDING: &str = r#"{"version": "1", "listeners": [{"name": "in", "address": "", "route_table": "t"}],
        "clusters": [{"name": "up", "hold": true}],
        "route_tables": [{"name": "t", "virtual_hosts": [{"name": "h", "domains": ["*"], "routes": [
            {"match": {}, "action": {"forward": {"clusters": [{"name": "up"}]}}}]}]}]}"#;

    #[test]
    fn clients_that_give_up_leave_nothing_in_a_queue_that_stands_still() {
        let mut engine = Engine::new(1, 0.0);
        engine.apply(HOLDING.as_bytes(), 0.0).unwrap();
        let ask = |engine: &mut Engine| {
            let conn = engine.accepted("in", "peer", 0.0).unwrap();
            engine.received(conn, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 0.0);
            conn
        };
        ask(&mut engine);
        for _ in 0..1_000 {
            let conn = ask(&mut engine);
            engine.lost(conn, 0.0);
        }
        let cluster = engine.clusters.first().unwrap();
        assert_eq!((cluster.waiting, cluster.held_bytes, engine.asks.len()), (1, 5, 1));
        assert!(cluster.pending.len() <= 2 + MAX_LEFT_BEHIND, "{} numbers are kept", cluster.pending.len());
    }
}
