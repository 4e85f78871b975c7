//! Upstream connections: which one carries a request, how a new one begins, and where one goes that carries nothing.

use std::sync::Arc;

use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::exchange::Origin;
use crate::engine::wires::{AnyWire, Family};
use crate::engine::{touch, Engine};
use crate::events::{Cause, Wire};
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    /// Take the idle connection that was used last.
    pub(super) fn take_idle(&mut self, cluster: usize, at: usize) -> Option<Id> {
        let endpoint = self.clusters.get_mut(cluster)?.endpoints.get_mut(at)?;
        while let Some(id) = endpoint.idle.pop() {
            if self.connections.get(id).is_some_and(|conn| conn.is_open() && conn.wire.room() > 0) {
                return Some(id);
            }
        }
        None
    }

    /// Close a connection that rests at some endpoint, so that another endpoint can have one; `false`: all are busy.
    pub(super) fn evict_idle(&mut self, number: usize) -> bool {
        let endpoints =
            self.clusters.get_mut(number).map(|cluster| cluster.endpoints.as_mut_slice()).unwrap_or_default();
        let oldest = endpoints.iter().find_map(|endpoint| endpoint.idle.first().copied());
        if let Some(id) = oldest {
            self.end(id, Ending::Close);
        }
        oldest.is_some()
    }

    /// Find a connection with room for one more stream: `wanted` before any other.
    pub(super) fn find_shared(&self, cluster: usize, at: usize, family: Family, wanted: Option<Id>) -> Option<Id> {
        let shared = &self.clusters.get(cluster)?.endpoints.get(at)?.shared;
        let has_room =
            |id: &Id| self.connections.get(*id).is_some_and(|conn| conn.wire.family() == family && conn.has_room());
        let wanted = wanted.filter(|id| shared.contains(id) && has_room(id));
        wanted.or_else(|| shared.iter().copied().find(has_room))
    }

    /// Return the upstream connection that the last request of the same client's connection went by.
    ///
    /// Streams that come together and go up together are answered together: one read and one write for all of them,
    /// where they would be one each for every connection they were spread over.
    pub(super) fn companion(&self, id: Id) -> Option<Id> {
        let Origin::Stream { conn, .. } = self.exchanges.get(id)?.origin else { return None };
        self.connections.get(conn)?.companion
    }

    /// Remember which upstream connection a client's request goes by.
    pub(super) fn accompany(&mut self, id: Id, upstream: Id) {
        let Some(Origin::Stream { conn, .. }) = self.exchanges.get(id).map(|exchange| exchange.origin) else { return };
        if let Some(conn) = self.connections.get_mut(conn) {
            conn.companion = Some(upstream);
        }
    }

    /// Take back the order of a connection that nobody wants any more, as long as the transport has not heard of it: streams
    /// that are opened and given up in one read would dial one each (CVE-2023-44487).
    pub(super) fn recall(&mut self, id: Id) {
        let unheard = self.opens.iter().rev().any(|ordered| *ordered == id);
        if unheard && self.connections.get(id).is_some_and(|conn| conn.boarding.is_empty()) {
            self.end(id, Ending::Lost);
        }
    }

    /// Order a new connection.
    pub(super) fn dial(&mut self, number: usize, at: usize, wire: AnyWire, now: f64) -> Id {
        let id = self.connections.take();
        let mut timeout = 0.0;
        let mut address = Arc::from("");
        if let Some(cluster) = self.clusters.get_mut(number) {
            timeout = cluster.config.connect_timeout_s;
            cluster.connections += 1;
            cluster.counters.cx_total += 1;
            if let Some(endpoint) = cluster.endpoints.get_mut(at) {
                endpoint.connections += 1;
                endpoint.counters.cx_total += 1;
                address = Arc::clone(&endpoint.address);
                if wire.family() != Family::Http1 {
                    endpoint.shared.push(id);
                }
            }
        }
        if let Some(conn) = self.connections.get_mut(id) {
            conn.wire = wire;
            conn.role = Role::Upstream { cluster: number, endpoint: at };
            conn.phase = Phase::Connecting;
            conn.peer = address;
        }
        self.set_alarm(id, if timeout > 0.0 { now + timeout } else { NEVER });
        self.opens.push(id);
        id
    }

    /// Put a connection back into its pool, or close it.
    pub(super) fn release_connection(&mut self, id: Id, stream: u64, cause: Option<Cause>, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.streams.remove(stream);
        if !conn.is_open() {
            return;
        }
        if let Some(cause) = cause {
            let usable = conn.wire.reset(stream, cause, &mut conn.out);
            if !conn.out.is_empty() {
                touch(&mut self.touched, conn, id);
            }
            if !usable {
                return self.end(id, Ending::Abort);
            }
        }
        self.settle_connection(id, now);
    }

    /// Nobody may ride on an upstream connection any more: let it rest in its pool, or close it.
    pub(super) fn settle_connection(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get(id).filter(|conn| conn.is_open() && conn.streams.is_empty()) else {
            return;
        };
        let Role::Upstream { cluster, endpoint } = conn.role else { return };
        let (single, room) = (conn.wire.family() == Family::Http1, conn.wire.room() > 0);
        let Some(found) = self.clusters.get_mut(cluster) else { return };
        if found.waiting > 0 {
            self.woken.push(cluster);
        }
        let Some(endpoint) = found.endpoints.get_mut(endpoint).filter(|endpoint| !endpoint.gone && room) else {
            return self.end(id, Ending::Close);
        };
        if single && !endpoint.idle.contains(&id) {
            endpoint.idle.push(id);
        }
        self.rest(id, now);
    }
}
