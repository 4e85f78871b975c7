//! Connections under TLS: their handshake, what their reads bring, how they end.

use std::sync::Arc;

use crate::config::Snapshot;
use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::{touch, Engine};
use crate::slab::Id;
use crate::timers::Owner;
use crate::tls::{ClientContext, Layer, ServerContext};

/// What a configuration's listeners and clusters that speak TLS speak it with, by name.
pub(super) struct Contexts {
    listeners: Vec<(String, Option<Arc<ServerContext>>)>,
    clusters: Vec<(String, Option<Arc<ClientContext>>)>,
}

impl Engine {
    /// Compile what is new of a configuration's TLS; the error names the field that is wrong.
    pub(super) fn contexts(&self, snapshot: &Snapshot, now: f64) -> Result<Contexts, String> {
        self.clock.set(now + self.wall_offset_s);
        let mut found = Contexts { listeners: Vec::new(), clusters: Vec::new() };
        for listener in &snapshot.listeners {
            let known = self.listener_names.get(&listener.name).and_then(|at| self.listeners.get(*at)?.tls.clone());
            let context = listener.tls.as_ref().map(|terms| match known.filter(|known| known.is_of(terms)) {
                Some(known) => Ok(known),
                None => ServerContext::new(terms, &self.clock).map(Arc::new),
            });
            let context = context.transpose().map_err(|why| format!("listeners[{:?}].tls.{why}", listener.name))?;
            found.listeners.push((listener.name.clone(), context));
        }
        for cluster in &snapshot.clusters {
            let known = self.cluster_names.get(&cluster.name).and_then(|at| self.clusters.get(*at)?.tls.clone());
            let context = cluster.tls.as_ref().map(|terms| match known.filter(|known| known.is_of(terms)) {
                Some(known) => Ok(known),
                None => ClientContext::new(terms, &self.clock).map(Arc::new),
            });
            let context = context.transpose().map_err(|why| format!("clusters[{:?}].tls.{why}", cluster.name))?;
            found.clusters.push((cluster.name.clone(), context));
        }
        Ok(found)
    }

    /// Speak TLS by `contexts` on connections that begin from now on; those that are open go on as they are.
    pub(super) fn take_over_contexts(&mut self, contexts: Contexts) {
        for (name, context) in contexts.listeners {
            let at = self.listener_names.get(&name).copied();
            if let Some(listener) = at.and_then(|at| self.listeners.get_mut(at)) {
                listener.tls = context;
            }
        }
        let mut resting: Vec<Id> = Vec::new();
        for (name, context) in contexts.clusters {
            let at = self.cluster_names.get(&name).copied();
            let Some(cluster) = at.and_then(|at| self.clusters.get_mut(at)) else { continue };
            let same = match (&cluster.tls, &context) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                (None, None) => true,
                _ => false,
            };
            if !same {
                cluster.tls = context;
                resting.extend(cluster.endpoints.iter_mut().flat_map(|endpoint| endpoint.idle.drain(..)));
            }
        }
        for id in resting {
            self.end(id, Ending::Close);
        }
    }

    /// Begin the handshake of a dialled connection; `false`: its cluster does not speak TLS.
    pub(super) fn begin_handshake(&mut self, id: Id, now: f64) -> bool {
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.phase == Phase::Connecting) else {
            return false;
        };
        let Role::Upstream { cluster, .. } = conn.role else { return false };
        let Some(context) = self.clusters.get(cluster).and_then(|cluster| cluster.tls.clone()) else { return false };
        match Layer::client(&context) {
            Ok(layer) => {
                conn.tls = Some(layer);
                touch(&mut self.touched, conn, id);
            }
            Err(why) => self.untrusted(id, &why, now),
        }
        true
    }

    /// A read of a connection under TLS (or one that may yet be) brought `data`.
    pub(super) fn received_sealed(&mut self, id: Id, data: &[u8], now: f64) {
        self.clock.set(now + self.wall_offset_s);
        let Some(conn) =
            self.connections.get_mut(id).filter(|conn| matches!(conn.phase, Phase::Open | Phase::Connecting))
        else {
            return;
        };
        let Some(layer) = conn.tls.as_mut() else { return };
        let mut plain = std::mem::take(&mut self.opened);
        plain.clear();
        let outcome = layer.receive(data, &mut plain);
        let handshaking = layer.is_handshaking();
        touch(&mut self.touched, conn, id);
        match outcome {
            Err(why) => self.untrusted(id, &why, now),
            Ok(progress) => {
                if handshaking {
                    self.hurry(id, now);
                }
                if progress.established {
                    self.established(id, now);
                }
                if !plain.is_empty() {
                    self.read(id, &plain, now);
                }
                if progress.closed {
                    self.ended(id, now);
                }
            }
        }
        self.opened = plain;
    }

    /// The socket of a connection under TLS has ended. After the peer's goodbye that is nothing new; without it what was
    /// being sent may have been cut by anybody (RFC 8446 6.1), so nothing counts as complete that only the end completes.
    pub(super) fn ended_sealed(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get(id) else { return };
        match conn.phase {
            Phase::Connecting => self.untrusted(id, "connection closed during the handshake", now),
            Phase::Lingering => self.end(id, Ending::Close),
            Phase::Open if conn.tls.as_ref().is_some_and(Layer::is_closed_by_peer) => {}
            Phase::Open => self.gone(id, Ending::Close, now),
            Phase::Ended(_) => {}
        }
    }

    /// A handshake has as long as a request head; each of its reads buys no more time.
    fn hurry(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let Role::Downstream { listener } = conn.role else { return };
        let limit = self.listeners.get(listener).map_or(0.0, |listener| listener.config.head_timeout_s);
        if limit > 0.0 && now + limit < conn.alarm.deadline {
            conn.alarm.deadline = now + limit;
            self.timers.arm(&mut conn.alarm, Owner::Connection(crate::slab::index_of(id)));
        }
    }

    fn established(&mut self, id: Id, now: f64) {
        match self.connections.get(id).map(|conn| conn.role) {
            Some(Role::Downstream { listener }) => {
                if let Some(listener) = self.listeners.get_mut(listener) {
                    listener.counters.tls_handshake += 1;
                }
                self.rest(id, now);
            }
            Some(Role::Upstream { cluster, .. }) => {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.counters.tls_handshake += 1;
                }
                self.usable(id, now);
            }
            _ => {}
        }
    }

    /// The peer cannot be talked to in confidence: it hears why, and the connection ends.
    fn untrusted(&mut self, id: Id, why: &str, now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.tls_error = format!("TLS: {why}");
        match conn.role {
            Role::Downstream { listener } => {
                if let Some(listener) = self.listeners.get_mut(listener) {
                    listener.counters.tls_error += 1;
                }
            }
            Role::Upstream { cluster, endpoint } => {
                let failed = conn.phase == Phase::Connecting;
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.counters.tls_error += 1;
                    if failed {
                        cluster.count_connect_failure(endpoint);
                    }
                }
            }
            Role::None => {}
        }
        self.gone(id, Ending::Close, now);
    }
}
