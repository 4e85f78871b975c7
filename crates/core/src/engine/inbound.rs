//! What the transport reports: connections that come, open, bring bytes, fill, drain and go.

use std::sync::Arc;

use crate::engine::connection::{Connection, Ending, Phase, Role};
use crate::engine::exchange::Flag;
use crate::engine::wires::{AnyWire, Family};
use crate::engine::{touch, Engine};
use crate::events::{Cause, Wire};
use crate::http1::HeadLimits;
use crate::limits::{LINGER_S, PARTING_S};
use crate::slab::{index_of, Id};
use crate::timers::{Owner, NEVER};
use crate::tls;

impl Engine {
    /// Register a connection accepted by `listener`; `None` if there is no such listener.
    pub fn accepted(&mut self, listener: &str, peer: &str, now: f64) -> Option<Id> {
        let number = *self.listener_names.get(listener)?;
        let listener = self.listeners.get_mut(number)?;
        let layer = listener.tls.as_ref().map(tls::Layer::server).transpose().ok()?;
        listener.counters.cx_total += 1;
        listener.counters.cx_active += 1;
        let limits = HeadLimits { bytes: listener.config.max_head_bytes, fields: listener.config.max_head_count };
        let wire = AnyWire::server(listener.config.protocol, limits, &self.protocols, &listener.offers);
        let id = self.connections.take();
        if let Some(conn) = self.connections.get_mut(id) {
            conn.wire = wire;
            conn.role = Role::Downstream { listener: number };
            conn.peer = Arc::from(peer);
            conn.tls = layer;
        }
        self.rest(id, now);
        Some(id)
    }

    /// A dialled connection is up; where TLS is spoken, its handshake begins.
    pub fn opened(&mut self, id: Id, now: f64) {
        if !self.begin_handshake(id, now) {
            self.usable(id, now);
        }
        self.settle(now);
    }

    /// A dialled connection can carry requests.
    pub(super) fn usable(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.phase == Phase::Connecting) else { return };
        conn.phase = Phase::Open;
        let boarding = std::mem::take(&mut conn.boarding);
        self.set_alarm(id, NEVER);
        self.publish(id);
        for exchange in boarding {
            if !self.connected(exchange, id, now) {
                self.boarded(id);
                self.launch(exchange, id, now);
            }
        }
        self.settle_connection(id, now);
    }

    /// A dialled connection could not be made.
    pub fn open_failed(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.phase == Phase::Connecting) else { return };
        let boarding = std::mem::take(&mut conn.boarding);
        if let Role::Upstream { cluster, endpoint } = conn.role {
            if let Some(cluster) = self.clusters.get_mut(cluster) {
                cluster.count_connect_failure(endpoint);
            }
        }
        self.end(id, Ending::Lost);
        for exchange in boarding {
            self.connect_failed(exchange, now);
        }
        self.settle(now);
    }

    /// A read brought `data`.
    pub fn received(&mut self, id: Id, data: &[u8], now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.heard = true;
        if conn.tls.is_some() {
            self.received_sealed(id, data, now);
        } else {
            self.read(id, data, now);
        }
        self.settle(now);
    }

    /// The wire of an open connection gets `data`.
    pub(super) fn read(&mut self, id: Id, data: &[u8], now: f64) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { return };
        // An HTTP/2 connection that has carried a request may talk (pings, windows) without beginning another.
        let begins = conn.streams.is_empty() && conn.carry.is_empty() && !conn.holds_back();
        let begins = begins && !(conn.reused && conn.wire.family() == Family::Http2);
        if begins {
            self.await_head(id, now);
        }
        self.pump(id, data, now);
    }

    /// A request begins on a client's connection: its head is awaited for as long as the listener says.
    fn await_head(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let Role::Downstream { listener } = conn.role else { return };
        let head_timeout = self.listeners.get(listener).map_or(0.0, |listener| listener.config.head_timeout_s);
        conn.alarm.deadline = if head_timeout > 0.0 { now + head_timeout } else { NEVER };
        self.timers.arm(&mut conn.alarm, Owner::Connection(index_of(id)));
    }

    /// Nobody rides on a client's connection any more: what lies behind its last request is the next one's, whose time runs
    /// from the moment that it is looked at.
    pub(super) fn turn_to_next(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get(id) else { return };
        let (more, waits, family) = (!conn.carry.is_empty(), conn.holds_back(), conn.wire.family());
        if more && !waits && family != Family::Http2 {
            self.await_head(id, now);
        } else {
            self.rest(id, now);
        }
        if more && !waits {
            self.resumable.push(id);
        }
    }

    /// The peer has closed its side.
    pub fn eof(&mut self, id: Id, now: f64) {
        if self.connections.get(id).is_some_and(Connection::is_secure) {
            self.ended_sealed(id, now);
        } else {
            self.ended(id, now);
        }
        self.settle(now);
    }

    /// The wire of a connection gets no more.
    pub(super) fn ended(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        match conn.phase {
            Phase::Lingering => self.end(id, Ending::Close),
            Phase::Open => {
                let rest = conn.carry.len();
                if let Some(event) = conn.wire.eof(rest) {
                    let tables = Arc::clone(&self.tables);
                    self.event(id, &event, &[], &tables, now);
                } else {
                    self.gone(id, Ending::Close, now);
                }
            }
            Phase::Connecting | Phase::Ended(_) => {}
        }
        self.close_if_over(id, now);
    }

    /// The transport's write buffer has filled (`false`), so that `backlog` bytes wait in it, or drained (`true`).
    pub fn writable(&mut self, id: Id, yes: bool, backlog: usize, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let held_back = yes && conn.holds_back() && !conn.carry.is_empty();
        conn.writable = yes;
        // With room again the rest is as little as anybody's who always had some, and nothing would tell that it has left.
        self.backlog.set(conn, if yes { 0 } else { backlog });
        if yes {
            let exchanges = conn.streams.exchanges();
            for exchange in exchanges {
                self.release_credit(exchange, id);
            }
            if held_back {
                self.turn_to_next(id, now);
            }
            if let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.wants_pause() != conn.paused) {
                touch(&mut self.touched, conn, id);
            }
        } else {
            self.stall_riders(id);
        }
        self.settle(now);
    }

    /// The connection is gone.
    pub fn lost(&mut self, id: Id, now: f64) {
        self.gone(id, Ending::Lost, now);
        self.settle(now);
    }

    /// Finish what is in flight and no more.
    pub fn drain(&mut self, now: f64) {
        self.draining = true;
        let all: Vec<Id> = self.connections.ids().collect();
        for id in all {
            let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { continue };
            if matches!(conn.role, Role::Downstream { .. }) && !(self.moving && conn.is_movable()) {
                conn.wire.drain(&mut conn.out);
                touch(&mut self.touched, conn, id);
                if conn.wire.is_untold() {
                    self.end(id, Ending::Close);
                }
                self.close_if_over(id, now);
            }
        }
        self.settle(now);
    }

    /// End a connection that is broken or unwanted, and everything that rides on it.
    pub(super) fn gone(&mut self, id: Id, ending: Ending, now: f64) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| !matches!(conn.phase, Phase::Ended(_))) else {
            return;
        };
        let (role, riders) = (conn.role, conn.streams.exchanges());
        let boarding = std::mem::take(&mut conn.boarding);
        self.end(id, ending);
        for exchange in riders {
            match role {
                Role::Upstream { .. } => self.upstream_failed(exchange, Cause::Closed, now),
                _ => self.abandoned(exchange, Flag::DownstreamClosed, now),
            }
        }
        for exchange in boarding {
            self.connect_failed(exchange, now);
        }
    }

    /// Mark a connection as ended and take it out of every list but those of its exchanges.
    pub(super) fn end(&mut self, id: Id, ending: Ending) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| !matches!(conn.phase, Phase::Ended(_))) else {
            return;
        };
        conn.phase = Phase::Ended(ending);
        conn.alarm.disarm();
        touch(&mut self.touched, conn, id);
        match conn.role {
            Role::None => {}
            Role::Downstream { listener } => {
                if let Some(listener) = self.listeners.get_mut(listener) {
                    listener.counters.cx_active = listener.counters.cx_active.saturating_sub(1);
                }
            }
            Role::Upstream { cluster: number, endpoint } => {
                let Some(cluster) = self.clusters.get_mut(number) else { return };
                cluster.connections = cluster.connections.saturating_sub(1);
                if let Some(endpoint) = cluster.endpoints.get_mut(endpoint) {
                    endpoint.connections = endpoint.connections.saturating_sub(1);
                    endpoint.idle.retain(|idle| *idle != id);
                    endpoint.shared.retain(|shared| *shared != id);
                }
                if cluster.waiting > 0 {
                    self.woken.push(number);
                }
            }
        }
    }

    /// Close a downstream connection whose wire wants that, once nobody rides on it; else see to its alarm.
    pub(super) fn close_if_over(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { return };
        if !conn.wire.closing() || !conn.streams.is_empty() {
            return;
        }
        match conn.role {
            // Closing while the peer still sends would reset the connection and destroy the answer on its way.
            Role::Downstream { .. } if conn.wire.owed_input() || !conn.carry.is_empty() => {
                conn.phase = Phase::Lingering;
                conn.shutdown = true;
                conn.carry.clear();
                touch(&mut self.touched, conn, id);
                self.set_alarm(id, now + LINGER_S);
            }
            Role::Downstream { .. } if self.draining && matches!(conn.wire.family(), Family::Frames(_)) => {
                self.set_alarm(id, now + PARTING_S);
            }
            Role::Downstream { .. } | Role::Upstream { .. } => self.end(id, Ending::Close),
            Role::None => {}
        }
    }

    /// The peer broke its protocol: what its wire had to say about that is flushed, then the connection ends.
    pub(super) fn faulted(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let role = conn.role;
        for exchange in conn.streams.exchanges() {
            match role {
                Role::Upstream { .. } => self.upstream_failed(exchange, Cause::Protocol, now),
                _ => self.abandoned(exchange, Flag::DownstreamProtocol, now),
            }
        }
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { return };
        if matches!(role, Role::Downstream { .. }) && !conn.out.is_empty() {
            conn.phase = Phase::Lingering;
            conn.shutdown = true;
            touch(&mut self.touched, conn, id);
            self.set_alarm(id, now + LINGER_S);
        } else {
            self.end(id, Ending::Close);
        }
    }
}
