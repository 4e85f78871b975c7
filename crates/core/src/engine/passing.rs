//! Calls that are passed on as they lie: protocols of whole frames, by a route that asks nothing of them.
//!
//! Nearly every call of such a protocol is one frame each way, on connections that are up, and nobody has anything to say about it. It is
//! passed on from the engine's own head and from what was read, in one look at each of what it touches. Nothing is decided here
//! that the other stages would decide otherwise: what is not as plain as that takes them from its first moment (`begin`), and a
//! call under way is an exchange like any other, so that whatever happens to it before its answer is theirs, too.

use crate::cluster::{Pick, Wish};
use crate::engine::connection::Role;
use crate::engine::exchange::{Exchange, Origin, Stage};
use crate::engine::timing::shorter;
use crate::engine::wires::{self, Family};
use crate::engine::{lend, touch, Engine};
use crate::events::{Piece, StreamId};
use crate::head::Head;
use crate::limits::MAX_EXCHANGE_BUFFER;
use crate::routes::{Action, Found, Tables};
use crate::slab::{index_of, Id};
use crate::timers::{Owner, NEVER};

/// What came of trying to pass a request on.
pub(super) enum Passed {
    /// It is under way.
    Yes,
    /// Nothing has been done. This is its route, if that is known by now.
    No(Option<Found>),
}

/// The route that was found last, of those that look at nothing but whom a call is for: calls come in runs.
#[derive(Debug, Default)]
pub(super) struct Recent {
    table: usize,
    authority: Vec<u8>,
    path: Vec<u8>,
    found: Option<Found>,
}

impl Recent {
    /// Return what `tables`, which are those in force, have for a head.
    fn find(&mut self, table: usize, head: &Head, tables: &Tables) -> Option<Found> {
        let again = self.found.is_some() && self.table == table;
        if again && self.authority == head.authority() && self.path == head.path() {
            return self.found;
        }
        let found = tables.find(table, head);
        self.found = found.filter(|found| tables.looks_at_paths_alone(*found));
        self.table = table;
        self.authority.clear();
        self.authority.extend_from_slice(head.authority());
        self.path.clear();
        self.path.extend_from_slice(head.path());
        found
    }

    /// Forget it: other tables are in force.
    pub fn forget(&mut self) {
        self.found = None;
    }
}

/// Where a plain call comes from and goes to.
#[derive(Clone, Copy)]
struct Course {
    found: Found,
    label: usize,
    cluster: usize,
    timeout_s: f64,
}

impl Engine {
    /// Pass on the request in the scratch head, if it is a plain call. It has come whole, with this body in what was read.
    pub(super) fn pass_request(
        &mut self,
        conn_id: Id,
        stream: StreamId,
        (body, input): (Piece, &[u8]),
        tables: &Tables,
        now: f64,
    ) -> Passed {
        let Some((listener, table)) = self.plain_source(conn_id, body.len()) else { return Passed::No(None) };
        let found = self.recent.find(table, &self.scratch, tables);
        let course = found.and_then(|found| self.plain_course(found, tables));
        let Some(course) = course else { return Passed::No(found) };
        let Some(cluster) = self.clusters.get_mut(course.cluster) else { return Passed::No(found) };
        cluster.load.begin(false, now);
        cluster.counters.rq_total += 1;
        let pick = cluster.pick(&mut self.random, Wish::default());
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.counters.rq_total += 1;
            listener.counters.rq_active += 1;
        }
        if let Some(label) = self.labels.get_mut(course.label) {
            label.rq_total += 1;
        }
        let id = self.exchanges.take();
        let Some(conn) = self.connections.get_mut(conn_id) else { return Passed::Yes };
        conn.streams.insert(stream, id);
        conn.reused = true;
        conn.alarm.disarm();
        let companion = conn.companion;
        let Some(exchange) = self.exchanges.get_mut(id) else { return Passed::Yes };
        exchange.begin_call(Origin::Stream { conn: conn_id, stream, listener }, course, now);
        exchange.bytes_in = body.len() as u64;
        if exchange.answer_by < NEVER {
            exchange.alarm.deadline = exchange.answer_by;
            self.timers.arm(&mut exchange.alarm, Owner::Exchange(index_of(id)));
        }
        match self.open_connection(course.cluster, pick, companion) {
            Some((at, up)) => {
                let (start, end) = self.scratch.frame.envelope.range();
                let frame = body.with(end - start).of(input);
                self.write_call(id, (course.cluster, at), up, (conn_id, frame), now);
            }
            None => self.board_call(id, course.cluster, pick, body.of(input), now),
        }
        Passed::Yes
    }

    /// Return the listener and the route table of a request that may be passed on as it lies, as far as its source tells.
    fn plain_source(&self, conn: Id, size: usize) -> Option<(usize, usize)> {
        let head = &*self.scratch;
        // One without a body may be sent again when its connection breaks, for which it would have to be kept.
        let plain = head.version.is_framed() && !head.frame.oneway && (1..=MAX_EXCHANGE_BUFFER).contains(&size);
        if !plain || self.draining || self.tap.is_some() {
            return None;
        }
        let Role::Downstream { listener: number } = self.connections.get(conn)?.role else { return None };
        let listener = self.listeners.get(number)?;
        let asks = listener.filters.is_some() || listener.log.is_some() || listener.tracer.is_some();
        (!asks && listener.config.keepalive_interval_s <= 0.0).then_some((number, listener.table?))
    }

    /// Return the course of the request in the scratch head, if neither its route nor its cluster asks anything of it.
    fn plain_course(&self, found: Found, tables: &Tables) -> Option<Course> {
        let (_, route) = tables.resolve(found)?;
        let Action::Forward(forward) = &route.action else { return None };
        let number = route.passes_to?;
        let cluster = self.clusters.get(number)?;
        let head = &*self.scratch;
        let speaks = wires::family(cluster.config.protocol, head.version).is_some();
        let plain = cluster.waiting == 0 && cluster.config.outlier.is_none() && head.find(b"k-proxy-request").is_none();
        let timeout_s = shorter(forward.timeout_s, f64::from(head.frame.timeout_ms) / 1_000.0);
        (speaks && plain).then_some(Course { found, label: route.label, cluster: number, timeout_s })
    }

    /// Return the endpoint that was chosen, and a connection to it that is up and has room.
    fn open_connection(&self, cluster: usize, pick: Pick, companion: Option<Id>) -> Option<(usize, Id)> {
        let Pick::Endpoint(at) = pick else { return None };
        let family = wires::family(self.clusters.get(cluster)?.config.protocol, self.scratch.version)?;
        let conn = self.find_shared(cluster, at, family, companion)?;
        self.connections.get(conn)?.is_open().then_some((at, conn))
    }

    /// Write a request to its endpoint. Its head is not kept: nothing that may still happen to it asks for it.
    fn write_call(&mut self, id: Id, (number, at): (usize, usize), up: Id, (down, frame): (Id, &[u8]), now: f64) {
        if self.connections.get(up).is_some_and(|conn| conn.streams.is_empty()) {
            self.set_alarm(up, NEVER);
            self.keep_alive(up, now);
        }
        let Some(conn) = self.connections.get_mut(up) else { return };
        lend(&mut self.spare, &mut conn.out, frame.len());
        let stream = conn.wire.forward(&self.scratch, frame, &mut conn.out);
        conn.streams.insert(stream, id);
        touch(&mut self.touched, conn, up);
        let reused = std::mem::replace(&mut conn.reused, true);
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.stage = Stage::Sent { conn: up, stream };
            exchange.carrier = Some(up);
            exchange.sent_at = now;
            exchange.on_reused = reused;
            exchange.passing = true;
        }
        if let Some(conn) = self.connections.get_mut(down) {
            conn.companion = Some(up);
        }
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.in_flight += 1;
            if let Some(endpoint) = cluster.endpoints.get_mut(at) {
                endpoint.in_flight += 1;
                endpoint.counters.rq_total += 1;
            }
        }
    }

    /// Let a request go on by the other stages: its endpoint, if it has one, has no connection for it yet.
    fn board_call(&mut self, id: Id, cluster: usize, pick: Pick, body: &[u8], now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        std::mem::swap(&mut exchange.head, &mut self.scratch);
        (exchange.path, exchange.authority) = (exchange.head.path_span(), exchange.head.authority_span());
        exchange.held.extend_from_slice(body);
        let placed = self.place_at(id, cluster, pick, now);
        self.stand(id, cluster, placed, now);
    }

    /// Pass on the answer at the front of what connection `up` has brought, if it is that of a plain call; return how long it
    /// is. `None`: nothing has been done.
    pub(super) fn pass_answer(&mut self, up: Id, input: &[u8], now: f64) -> Option<usize> {
        let conn = self.connections.get_mut(up)?;
        let answer = conn.wire.answer(input)?;
        let id = conn.streams.get(answer.stream)?;
        let Family::Frames(version) = conn.wire.family() else { return None };
        let exchange = self.exchanges.get_mut(id).filter(|exchange| exchange.is_plain())?;
        let Origin::Stream { conn: down, stream, .. } = exchange.origin else { return None };
        let client = self.connections.get_mut(down).filter(|conn| conn.is_open())?;
        let caller = client.wire.caller(stream, version)?;
        client.wire.answered(stream);
        client.streams.remove(stream);
        let mut out = std::mem::take(&mut client.out);
        lend(&mut self.spare, &mut out, answer.length);
        self.connections.get_mut(up)?.wire.pass(input, caller, &mut out);
        if let Some(client) = self.connections.get_mut(down) {
            client.out = out;
            touch(&mut self.touched, client, down);
        }
        self.call_over(id, answer.status, now);
        self.free_slot(up);
        self.release_connection(up, answer.stream, None, now);
        self.exchanges.release(id);
        if self.connections.get(down).is_some_and(|client| client.streams.is_empty()) {
            self.turn_to_next(down, now);
        }
        self.close_if_over(down, now);
        Some(answer.length)
    }

    /// Count a plain call that has been answered.
    fn call_over(&mut self, id: Id, status: u16, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.passed = true;
        let (took, sent_at) = (now - exchange.started, exchange.sent_at);
        let endpoint = exchange.carrier.and_then(|up| self.connections.get(up)).map(|conn| conn.role);
        if let Some(cluster) = exchange.cluster.and_then(|number| self.clusters.get_mut(number)) {
            cluster.load.end(false, now);
            cluster.counters.responses.record(status);
            if sent_at > 0.0 {
                cluster.counters.time.record(now - sent_at);
            }
            if let Some(Role::Upstream { endpoint, .. }) = endpoint {
                cluster.count_answer(endpoint, status);
            }
        }
        if let Some(label) = exchange.label.and_then(|label| self.labels.get_mut(label)) {
            label.responses.record(status);
            label.time.record(took);
        }
        let Origin::Stream { listener, .. } = exchange.origin else { return };
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.counters.rq_active = listener.counters.rq_active.saturating_sub(1);
            listener.counters.responses.record(status);
            listener.counters.time.record(took);
        }
    }
}

impl Exchange {
    /// Become a plain call on this course.
    fn begin_call(&mut self, origin: Origin, course: Course, now: f64) {
        self.origin = origin;
        self.found = Some(course.found);
        self.label = Some(course.label);
        self.cluster = Some(course.cluster);
        (self.counted, self.request_done) = (true, true);
        self.started = now;
        self.timeout_s = course.timeout_s;
        self.answer_by = if course.timeout_s > 0.0 { now + course.timeout_s } else { NEVER };
        self.wait_until = NEVER;
    }

    /// Return whether it was passed on as it lay, and nothing has happened to it since.
    fn is_plain(&self) -> bool {
        self.passing && self.former.is_none() && self.up.is_settled() && self.down.is_settled()
    }
}
