//! Calls that are passed on as they lie: protocols of whole frames, by a route that asks nothing of them.
//!
//! Nearly every call of such a protocol is one frame each way, on connections that are up, and nobody has anything to say about it. It is
//! passed on from what was read, in one look at each of what it touches, and no head is made of it. Nothing is decided here
//! that the other stages would decide otherwise: what is not as plain as that takes them from its first moment, and a
//! call under way is an exchange like any other, so that whatever happens to it before its answer is theirs, too.

use crate::cluster::{Pick, Wish};
use crate::engine::connection::Role;
use crate::engine::exchange::{Exchange, Origin, Stage};
use crate::engine::timing::shorter;
use crate::engine::wires::{self, Family};
use crate::engine::{lend, touch, Engine};
use crate::events::{Event, StreamId, Wire};
use crate::framed::Call;
use crate::limits::MAX_EXCHANGE_BUFFER;
use crate::routes::{Action, Found, Tables};
use crate::slab::{index_of, Id};
use crate::timers::{Owner, NEVER};

/// Where plain calls come from.
struct Source {
    down: Id,
    listener: usize,
    table: usize,
}

/// Where a plain call goes.
#[derive(Clone, Copy)]
struct Course {
    found: Found,
    label: usize,
    cluster: usize,
    family: Family,
    timeout_s: f64,
}

impl Engine {
    /// Pass on the frames at the front of what a connection has brought, up to the first that is not of a plain call; return how
    /// long they are.
    pub(super) fn pass_frames(&mut self, id: Id, input: &[u8], tables: &Tables, now: f64) -> usize {
        let mut used = 0;
        match self.connections.get(id).map(|conn| conn.role) {
            Some(Role::Downstream { listener }) => {
                let Some(table) = self.plain_source(listener, tables) else { return 0 };
                let source = Source { down: id, listener, table };
                while let Some(more) = self.pass_request(&source, input.get(used..).unwrap_or_default(), tables, now) {
                    used += more;
                }
            }
            Some(Role::Upstream { .. }) => {
                while let Some(more) = self.pass_answer(id, input.get(used..).unwrap_or_default(), now) {
                    used += more;
                }
            }
            _ => {}
        }
        used
    }

    /// Pass on the request at the front of `input`, if it is a plain call; return how long it is.
    fn pass_request(&mut self, source: &Source, input: &[u8], tables: &Tables, now: f64) -> Option<usize> {
        let Source { down, listener, table } = *source;
        let conn = self.connections.get_mut(down).filter(|conn| conn.is_open())?;
        let (call, address) = conn.wire.call(input, &mut self.scratch)?;
        // One without a body may be sent again when its connection breaks, for which it would have to be kept.
        if !(1..=MAX_EXCHANGE_BUFFER).contains(&call.body) {
            return None;
        }
        let (place, known) = self.recent.place(table, call.version, &address)?;
        if !known {
            self.learn_route(place, down, table, input, tables);
        }
        let course = self.plain_course(self.recent.found(place)?, &call, tables)?;
        let pick = self.clusters.get_mut(course.cluster)?.pick(&mut self.random, Wish::default());
        let open = self.open_connection(down, &course, pick);
        let stream = self.take_call(down, input, open.is_some())?;
        let origin = Origin::Stream { conn: down, stream, listener };
        let id = self.begin_call(origin, &course, call.body, now);
        self.count_call(listener, &course, now);
        let frame = input.get(..call.passes)?;
        match open {
            Some((at, up)) => self.write_call(id, (course.cluster, at), up, (down, frame, call.id_at), now),
            None => self.board_call(id, course.cluster, pick, frame.get(frame.len() - call.body..)?, now),
        }
        Some(call.length)
    }

    /// Return the route table of requests from a listener whose requests may be passed on as they lie.
    fn plain_source(&self, listener: usize, tables: &Tables) -> Option<usize> {
        let listener = self.listeners.get(listener)?;
        let asks = listener.filters.is_some() || listener.log.is_some() || listener.tracer.is_some();
        let asks = asks || listener.config.keepalive_interval_s > 0.0 || self.draining || self.tap.is_some();
        listener.table.filter(|table| !asks && tables.passes_any(*table))
    }

    /// Look for the route of the call that was just looked at, whose address is new.
    fn learn_route(&mut self, place: usize, down: Id, table: usize, input: &[u8], tables: &Tables) {
        let Some(conn) = self.connections.get(down) else { return };
        let described = conn.wire.describe(input, &mut self.scratch);
        let found = tables.find(table, &self.scratch);
        self.recent.learn(place, found.filter(|found| described && tables.passes(*found)));
    }

    /// Return the course of a call, if neither its route nor its cluster asks anything of it.
    fn plain_course(&self, found: Found, call: &Call, tables: &Tables) -> Option<Course> {
        let (_, route) = tables.resolve(found)?;
        let Action::Forward(forward) = &route.action else { return None };
        let number = route.passes_to?;
        let cluster = self.clusters.get(number)?;
        let family = wires::family(cluster.config.protocol, call.version)?;
        let plain = cluster.waiting == 0 && cluster.config.outlier.is_none();
        let timeout_s = shorter(forward.timeout_s, f64::from(call.timeout_ms) / 1_000.0);
        plain.then_some(Course { found, label: route.label, cluster: number, family, timeout_s })
    }

    /// Return the endpoint that was chosen, and a connection to it that is up and has room.
    fn open_connection(&self, down: Id, course: &Course, pick: Pick) -> Option<(usize, Id)> {
        let Pick::Endpoint(at) = pick else { return None };
        let companion = self.connections.get(down)?.companion;
        let conn = self.find_shared(course.cluster, at, course.family, companion)?;
        self.connections.get(conn)?.is_open().then_some((at, conn))
    }

    /// Return the stream of the call that was just looked at. One that does not pass at once is looked at in full: the other
    /// stages will want its head.
    fn take_call(&mut self, down: Id, input: &[u8], passes: bool) -> Option<StreamId> {
        let conn = self.connections.get_mut(down)?;
        if passes {
            return Some(conn.wire.take(input));
        }
        match conn.wire.decode(input, &mut self.scratch, &mut conn.out) {
            (_, Some(Event::Head { stream, .. })) => Some(stream),
            _ => None,
        }
    }

    fn begin_call(&mut self, origin: Origin, course: &Course, body: usize, now: f64) -> Id {
        let id = self.exchanges.take();
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.begin_plain(origin, course, now);
            exchange.bytes_in = body as u64;
            if exchange.answer_by < NEVER {
                exchange.alarm.deadline = exchange.answer_by;
                self.timers.arm(&mut exchange.alarm, Owner::Exchange(index_of(id)));
            }
        }
        let Origin::Stream { conn, stream, .. } = origin else { return id };
        if let Some(conn) = self.connections.get_mut(conn) {
            conn.streams.insert(stream, id);
            conn.reused = true;
            conn.alarm.disarm();
        }
        id
    }

    /// Count a plain call that begins.
    fn count_call(&mut self, listener: usize, course: &Course, now: f64) {
        if let Some(cluster) = self.clusters.get_mut(course.cluster) {
            cluster.load.begin(false, now);
            cluster.counters.rq_total += 1;
        }
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.counters.rq_total += 1;
            listener.counters.rq_active += 1;
        }
        if let Some(label) = self.labels.get_mut(course.label) {
            label.rq_total += 1;
        }
    }

    /// Write a request to its endpoint. It has no head: nothing that may still happen to it asks for one.
    fn write_call(
        &mut self,
        id: Id,
        (number, at): (usize, usize),
        up: Id,
        (down, frame, id_at): (Id, &[u8], usize),
        now: f64,
    ) {
        if self.connections.get(up).is_some_and(|conn| conn.streams.is_empty()) {
            self.set_alarm(up, NEVER);
            self.keep_alive(up, now);
        }
        let Some(conn) = self.connections.get_mut(up) else { return };
        lend(&mut self.spare, &mut conn.out, frame.len());
        let stream = conn.wire.forward(frame, id_at, &mut conn.out);
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

    /// Pass on the answer at the front of `input`, if it is that of a plain call; return how long it is.
    fn pass_answer(&mut self, up: Id, input: &[u8], now: f64) -> Option<usize> {
        // The last answer of an endpoint that says goodbye has ended its connection.
        let conn = self.connections.get_mut(up).filter(|conn| conn.is_open())?;
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
    fn begin_plain(&mut self, origin: Origin, course: &Course, now: f64) {
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
