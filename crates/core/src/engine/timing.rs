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
            (Phase::Connecting, Role::Upstream { cluster, .. }) => {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.counters.cx_connect_fail += 1;
                }
                self.gone(id, Ending::Abort, now);
            }
            (Phase::Lingering, _) => self.end(id, Ending::Close),
            (Phase::Open, _) if conn.streams.is_empty() => self.part(id, now),
            _ => {}
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
