//! Deadlines that have come.

use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::Engine;
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
            }
        }
        self.settle(now);
    }

    fn connection_due(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        match (conn.phase, conn.role) {
            (Phase::Connecting, Role::Upstream { cluster, .. }) => {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.counters.cx_connect_fail += 1;
                }
                self.gone(id, Ending::Abort, now);
            }
            (Phase::Lingering, _) => self.end(id, Ending::Close),
            (Phase::Open, _) if conn.streams.is_empty() => self.end(id, Ending::Close),
            _ => {}
        }
    }
}
