//! Deadlines that have come.

use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::{touch, Engine};
use crate::events::Wire;
use crate::limits::LINGER_S;
use crate::slab::Id;
use crate::timers::{Owner, NEVER};

impl Engine {
    /// Do what is due at `now`.
    pub fn tick(&mut self, now: f64) {
        self.wake_at = NEVER;
        while let Some((entry, owner)) = self.timers.pop(now) {
            match owner {
                Owner::Connection(slot) => {
                    let Some((id, conn)) = self.connections.by_slot(slot) else { continue };
                    if self.timers.due(&mut conn.alarm, owner, entry, now) {
                        self.connection_due(id, now);
                    }
                }
                Owner::Exchange(slot) => {
                    let Some((id, exchange)) = self.exchanges.by_slot(slot) else { continue };
                    if self.timers.due(&mut exchange.alarm, owner, entry, now) {
                        self.overdue(id, now);
                    }
                }
                Owner::Cluster(number) => {
                    let Some(cluster) = self.clusters.get_mut(number) else { continue };
                    if self.timers.due(&mut cluster.alarm, owner, entry, now) {
                        self.cluster_due(number, now);
                    }
                }
            }
        }
        self.settle(now);
    }

    fn connection_due(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        match (conn.phase, conn.role) {
            (Phase::Connecting, Role::Upstream { cluster, endpoint }) => {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.count_connect_failure(endpoint);
                }
                self.gone(id, Ending::Abort, now);
            }
            (Phase::Lingering, _) => self.end(id, Ending::Close),
            (Phase::Open, _) if conn.streams.is_empty() => self.part(id, now),
            (Phase::Open, _) => self.check_alive(id, now),
            _ => {}
        }
    }

    /// A connection is in use from now on: its silence will be looked at, where its cluster or listener asks for that.
    pub(super) fn keep_alive(&mut self, id: Id, now: f64) {
        let (interval, _) = self.patience_with(id);
        let Some(conn) = self.connections.get_mut(id) else { return };
        (conn.heard, conn.asked) = (false, false);
        if interval > 0.0 {
            self.set_alarm(id, now + interval);
        }
    }

    /// Ask a connection that was silent whether it lives; end one that was asked and said nothing.
    fn check_alive(&mut self, id: Id, now: f64) {
        let (interval, timeout) = self.patience_with(id);
        let Some(conn) = self.connections.get_mut(id).filter(|_| interval > 0.0) else { return };
        if conn.heard {
            return self.keep_alive(id, now);
        }
        if conn.asked {
            return self.gone(id, Ending::Abort, now);
        }
        if conn.wire.ping(&mut conn.out) {
            conn.asked = true;
            touch(&mut self.touched, conn, id);
            self.set_alarm(id, now + timeout);
        }
    }

    /// Return after how much silence a connection is asked whether it lives (0: never), and how long it may take to say so.
    fn patience_with(&self, id: Id) -> (f64, f64) {
        match self.connections.get(id).map_or(Role::None, |conn| conn.role) {
            Role::None => (0.0, 0.0),
            Role::Upstream { cluster, .. } => self.clusters.get(cluster).map_or((0.0, 0.0), |cluster| {
                (cluster.config.keepalive_interval_s, cluster.config.keepalive_timeout_s)
            }),
            Role::Downstream { listener } => self.listeners.get(listener).map_or((0.0, 0.0), |listener| {
                (listener.config.keepalive_interval_s, listener.config.keepalive_timeout_s)
            }),
        }
    }

    /// Close a connection that has rested long enough; where the protocol can say goodbye, the peer's answer is awaited
    /// for a moment, since a request may be on its way.
    fn part(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let before = conn.out.len();
        conn.wire.drain(&mut conn.out);
        if conn.wire.closing() || conn.out.len() == before {
            return self.end(id, Ending::Close);
        }
        touch(&mut self.touched, conn, id);
        self.set_alarm(id, now + LINGER_S);
    }
}

/// Return the shorter of two timeouts, of which 0 or less means none.
pub(super) fn shorter(one: f64, two: f64) -> f64 {
    match (one > 0.0, two > 0.0) {
        (true, true) => one.min(two),
        (true, false) => one,
        (false, true) => two,
        (false, false) => 0.0,
    }
}
