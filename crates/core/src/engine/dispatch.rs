//! From a routed request to an endpoint and a connection, and off that connection again.

use std::sync::Arc;

use crate::cluster::{Breaker, Pick};
use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::exchange::{Exchange, Flag, Stage};
use crate::engine::flow::Way;
use crate::engine::refusal::{MISMATCH, NO_ENDPOINT, OVERFLOW};
use crate::engine::wires::{self, AnyWire, Family};
use crate::engine::{lend, touch, Engine};
use crate::events::{Cause, ReplyKind, Wire};
use crate::limits::{KEEP_BUFFER, REFUSED_REST_S};
use crate::routes::Failure;
use crate::slab::Id;

/// What came of looking for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// The request is on a connection, or on one that is being opened.
    Yes,
    /// There is room for it later.
    Full,
    /// A breaker is open: there is no waiting for room.
    Broken(Breaker),
    /// There is no endpoint.
    Empty,
    /// The cluster does not speak the request's protocol.
    Mismatch,
}

impl Engine {
    /// Find a place for a routed request, or let it wait, or refuse it.
    pub(super) fn dispatch(&mut self, id: Id, now: f64) {
        let Some(cluster) = self.exchanges.get(id).and_then(|exchange| exchange.cluster) else { return };
        let queue = self.clusters.get(cluster).is_some_and(|cluster| cluster.waiting > 0);
        let placed = if queue { Placed::Full } else { self.place(id, now) };
        self.stand(id, cluster, placed, now);
    }

    /// Do what follows from what came of looking for a place in `cluster`.
    pub(super) fn stand(&mut self, id: Id, cluster: usize, placed: Placed, now: f64) {
        let hold = self.clusters.get(cluster).is_some_and(|cluster| cluster.config.hold);
        let patient = self.exchanges.get(id).is_some_and(Exchange::is_patient);
        match placed {
            Placed::Yes => {}
            Placed::Mismatch => self.refuse(id, &MISMATCH, now),
            Placed::Broken(breaker) => self.overflow(id, cluster, breaker, now),
            Placed::Full if !patient => self.refuse(id, &OVERFLOW, now),
            Placed::Empty if !patient || !hold => self.refuse(id, &NO_ENDPOINT, now),
            Placed::Full | Placed::Empty => self.wait(id, cluster, now),
        }
    }

    /// Choose an endpoint with room and put the request on a connection to it.
    pub(super) fn place(&mut self, id: Id, now: f64) -> Placed {
        let Some(exchange) = self.exchanges.get(id) else { return Placed::Yes };
        let (Some(number), version) = (exchange.cluster, exchange.head.version) else { return Placed::Empty };
        let Some(cluster) = self.clusters.get_mut(number) else { return Placed::Empty };
        if wires::family(cluster.config.protocol, version).is_none() {
            return Placed::Mismatch;
        }
        let pick = cluster.pick(&mut self.random, exchange.wish(&self.tables));
        self.place_at(id, number, pick, now)
    }

    /// Put a request on a connection to the endpoint that was chosen for it.
    pub(super) fn place_at(&mut self, id: Id, number: usize, pick: Pick, now: f64) -> Placed {
        let at = match pick {
            Pick::Endpoint(at) => at,
            Pick::Broken => return Placed::Broken(Breaker::Requests),
            Pick::Full => return Placed::Full,
            Pick::Empty => return Placed::Empty,
        };
        let (Some(exchange), Some(cluster)) = (self.exchanges.get(id), self.clusters.get(number)) else {
            return Placed::Empty;
        };
        let (waits, version) = (exchange.stage == Stage::Waiting, exchange.head.version);
        let (protocol, judged) = (cluster.config.protocol, cluster.config.outlier.is_some());
        let Some(family) = wires::family(protocol, version) else { return Placed::Mismatch };
        let conn = match family {
            Family::Http1 => self.take_idle(number, at),
            Family::Http2 | Family::Frames(_) => self.find_shared(number, at, family, self.companion(id)),
        };
        let Some(cluster) = self.clusters.get_mut(number) else { return Placed::Empty };
        let (full, no_pending) = (cluster.is_full_of_connections(), cluster.takes_no_pending());
        let none_yet = cluster.has_no_connection(at);
        let conn = match conn {
            Some(conn) if !waits && no_pending && self.is_connecting(conn) => return Placed::Broken(Breaker::Pending),
            Some(conn) => conn,
            None if full && !self.evict_idle(number) && !none_yet => {
                self.count_overflow(number, waits);
                return Placed::Full;
            }
            None if !waits && no_pending => return Placed::Broken(Breaker::Pending),
            None => {
                let Some(wire) = AnyWire::client(protocol, version, &self.protocols, self.backlog.lender()) else {
                    return Placed::Mismatch;
                };
                self.dial(number, at, wire, now)
            }
        };
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.judged = judged;
            exchange.outcome_known = false;
            if let Some(retry) = &mut exchange.retry {
                retry.goes_to(at);
            }
        }
        self.take_slot(number, at);
        self.accompany(id, conn);
        self.board(id, conn, now);
        Placed::Yes
    }

    /// One request more at an endpoint.
    pub(super) fn take_slot(&mut self, number: usize, at: usize) {
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.in_flight += 1;
            if let Some(endpoint) = cluster.endpoints.get_mut(at) {
                endpoint.in_flight += 1;
            }
        }
    }

    fn is_connecting(&self, id: Id) -> bool {
        self.connections.get(id).is_some_and(|conn| conn.phase == Phase::Connecting)
    }

    /// A request found every connection taken; it is counted once, however long it then waits.
    fn count_overflow(&mut self, number: usize, waits: bool) {
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.counters.cx_overflow += u64::from(!waits);
        }
    }

    /// Bind a request to a connection; if that is up, send it.
    pub(super) fn board(&mut self, id: Id, conn_id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(conn_id) else { return };
        if conn.phase == Phase::Connecting {
            conn.boarding.push(id);
            if let Role::Upstream { cluster, .. } = conn.role {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.boarding += 1;
                    cluster.counters.pending_total += 1;
                }
            }
            if let Some(exchange) = self.exchanges.get_mut(id) {
                exchange.stage = Stage::Boarding { conn: conn_id };
                exchange.endpoint = Some(Arc::clone(&conn.peer));
            }
        } else {
            self.launch(id, conn_id, now);
        }
    }

    /// Send a request on an open connection.
    pub(super) fn launch(&mut self, id: Id, conn_id: Id, now: f64) {
        let Some(conn) = self.connections.get_mut(conn_id) else { return };
        if conn.streams.is_empty() {
            conn.alarm.disarm();
            self.keep_alive(conn_id, now);
        }
        let Some(conn) = self.connections.get_mut(conn_id) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let stream = conn.wire.open();
        conn.streams.insert(stream, id);
        exchange.stage = Stage::Sent { conn: conn_id, stream };
        (exchange.carrier, exchange.endpoint) = (Some(conn_id), None);
        exchange.sent_at = now;
        exchange.on_reused = conn.reused;
        conn.reused = true;
        let trailers = exchange.trailers.take();
        let whole = exchange.request_done && trailers.is_none();
        lend(&mut self.spare, &mut conn.out, exchange.held.len());
        let queued = conn.wire.head(stream, &exchange.head, &exchange.held, whole, &mut conn.out);
        if let Some(retry) = &mut exchange.retry {
            retry.keep(&exchange.held);
            if let Some(trailers) = &trailers {
                retry.keep_trailers(trailers);
            }
        }
        if let Some(trailers) = trailers {
            conn.wire.trailers(stream, &trailers, &mut conn.out);
        }
        exchange.held.clear();
        exchange.held.shrink_to(KEEP_BUFFER);
        exchange.up.queued += queued;
        touch(&mut self.touched, conn, conn_id);
        let counted = exchange.pinned.is_none();
        let timed = exchange.request_done && exchange.retry.is_some();
        let oneway = exchange.head.frame.oneway;
        if exchange.up.withheld > 0 && conn.writable {
            self.release_way(id, Way::Up);
        }
        if let Some(endpoint) = self.endpoint_of(conn_id).filter(|_| counted) {
            endpoint.counters.rq_total += 1;
        }
        if oneway {
            self.complete(id, now);
        } else if timed {
            self.start_try(id, now);
        }
    }

    /// A connection that could carry `id` could not be made.
    pub(super) fn connect_failed(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let Stage::Boarding { conn } = exchange.stage else { return };
        let role = self.connections.get(conn).map_or(Role::None, |conn| conn.role);
        let reason = self.connections.get(conn).map_or(String::new(), |conn| conn.tls_error.clone());
        let check = exchange.pinned.is_some();
        self.judge(id, 503, now);
        self.leave_upstream(id, Some(Cause::Closed), now);
        if let (Role::Upstream { cluster: number, endpoint }, false) = (role, check) {
            let patient = self.exchanges.get(id).is_some_and(Exchange::is_patient);
            if patient && self.spare(number, endpoint, now) {
                return self.try_again(id, None, now);
            }
            if self.retry_failure(id, Failure::Connect, Cause::Closed, now) {
                return;
            }
            let retried = self.exchanges.get(id).is_some_and(|exchange| exchange.retried);
            if !retried && self.clusters.get(number).is_some_and(|cluster| cluster.has_other(endpoint)) {
                return self.try_again(id, Some(endpoint), now);
            }
        }
        let mut failure = "connection failure".to_owned();
        if !reason.is_empty() {
            failure.push_str(", transport failure reason: ");
            failure.push_str(&reason);
        }
        self.refuse_broken(id, Flag::ConnectFailed, ReplyKind::NoEndpoint, &failure, now);
    }

    /// Spare an endpoint that refused a connection for a moment; `false`: its cluster's requests cannot wait for it.
    fn spare(&mut self, number: usize, endpoint: usize, now: f64) -> bool {
        let Some(cluster) = self.clusters.get_mut(number).filter(|cluster| !cluster.gone) else { return false };
        if !cluster.rest(endpoint) {
            return false;
        }
        cluster.rested_at = cluster.rested_at.min(now + REFUSED_REST_S);
        self.arm_cluster(number);
        true
    }

    /// Send a request that no endpoint has seen once more.
    pub(super) fn try_again(&mut self, id: Id, avoid: Option<usize>, now: f64) {
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.retried = true;
        }
        self.send_again(id, avoid, now);
    }

    /// Send a request to wherever it may go now, as if it had been sent nowhere yet.
    pub(super) fn send_again(&mut self, id: Id, avoid: Option<usize>, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.note_retry(now, 0);
        exchange.avoid = avoid;
        exchange.stage = Stage::Begun;
        if let Some(cluster) = exchange.cluster.and_then(|cluster| self.clusters.get_mut(cluster)) {
            cluster.counters.rq_retry += 1;
        }
        self.dispatch(id, now);
    }

    /// Take an exchange off its connection or out of its queue. `cause`: it is given up; `None`: it is through.
    pub(super) fn leave_upstream(&mut self, id: Id, cause: Option<Cause>, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.passing = false;
        let (stage, held, pinned) = (exchange.stage, exchange.held.len(), exchange.pinned);
        match stage {
            Stage::Waiting => {
                if let Some(number) = exchange.cluster {
                    self.stop_waiting(id, number, held);
                }
            }
            Stage::Boarding { conn } => {
                if let Some(conn) = self.connections.get_mut(conn) {
                    conn.boarding.retain(|other| *other != id);
                }
                self.boarded(conn);
                self.free_slot(conn);
                self.recall(conn);
                if pinned.is_some_and(|pinned| pinned.connects_only) {
                    self.end(conn, Ending::Abort);
                }
            }
            Stage::Sent { conn, stream } => {
                if cause.is_some() {
                    self.note_endpoint(id, conn);
                }
                self.clear_flow(id, Way::Down);
                self.free_slot(conn);
                self.release_connection(conn, stream, cause, now);
            }
            Stage::Checked => self.call_off(id, now),
            Stage::Begun | Stage::Served | Stage::Delayed => {}
        }
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.stage = Stage::Begun;
        }
    }

    /// Remember where an exchange was that leaves `conn` without being through: the connection may be forgotten before it.
    fn note_endpoint(&mut self, id: Id, conn: Id) {
        if let (Some(exchange), Some(conn)) = (self.exchanges.get_mut(id), self.connections.get(conn)) {
            exchange.endpoint = Some(Arc::clone(&conn.peer));
        }
    }

    /// A request no longer waits for `conn` to come up.
    pub(super) fn boarded(&mut self, conn: Id) {
        if let Some(Role::Upstream { cluster, .. }) = self.connections.get(conn).map(|conn| conn.role) {
            if let Some(cluster) = self.clusters.get_mut(cluster) {
                cluster.boarding = cluster.boarding.saturating_sub(1);
            }
        }
    }

    /// One request less at the endpoint of `conn`.
    pub(super) fn free_slot(&mut self, conn: Id) {
        let role = self.connections.get(conn).map_or(Role::None, |conn| conn.role);
        let Role::Upstream { cluster: number, endpoint } = role else { return };
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        cluster.in_flight = cluster.in_flight.saturating_sub(1);
        if let Some(endpoint) = cluster.endpoints.get_mut(endpoint) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        }
        if cluster.waiting > 0 {
            self.woken.push(number);
        }
    }

    /// An upstream connection has come up or its peer takes no more: make its wire say hello.
    pub(super) fn publish(&mut self, id: Id) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (_, _) = conn.wire.decode(&[], &mut self.scratch, &mut conn.out);
        if !conn.out.is_empty() {
            touch(&mut self.touched, conn, id);
        }
    }
}
