//! Calls that are passed on as they lie: protocols of whole frames, by a route that asks nothing of them.
//!
//! Nearly every call of such a protocol is one frame each way, on connections that are up, and nobody has anything to say about it. It is
//! passed on from what was read, in one look at each of what it touches, and no head is made of it. Nothing is decided here
//! that the other stages would decide otherwise: what is not as plain as that takes them from its first moment, and a
//! call under way is an exchange like any other, so that whatever happens to it before its answer is theirs, too.

use crate::cluster::{Pick, Wish};
use crate::engine::connection::Role;
use crate::engine::exchange::{Exchange, Origin, Stage};
use crate::engine::tally::{Alike, Answered, Begun};
use crate::engine::timing::shorter;
use crate::engine::wires::{self, Family};
use crate::engine::{lend, touch, Engine};
use crate::events::{Event, StreamId, Wire};
use crate::framed::Call;
use crate::head::Version;
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

/// Where plain calls go.
#[derive(Clone, Copy)]
struct Course {
    found: Found,
    label: usize,
    cluster: usize,
    family: Family,
    timeout_s: f64,
}

/// Calls of one read, one behind the other, that go the same way: it is looked for once.
struct Run {
    /// Where their address is remembered.
    place: usize,
    course: Course,
    /// How many are not counted yet.
    count: u32,
    /// The endpoint of the last one, and the connection that it went by; 0: there was none.
    endpoint: usize,
    conn: Id,
}

impl Engine {
    /// Pass on the frames at the front of what a connection has brought, up to the first that is not of a plain call; return how
    /// long they are.
    pub(super) fn pass_frames(&mut self, id: Id, input: &[u8], tables: &Tables, now: f64) -> usize {
        let mut used = 0;
        match self.connections.get(id).map(|conn| conn.role) {
            Some(Role::Downstream { listener }) => {
                let Some(table) = self.plain_source(listener, tables) else { return 0 };
                let (source, mut run) = (Source { down: id, listener, table }, None);
                loop {
                    let rest = input.get(used..).unwrap_or_default();
                    let Some(more) = self.pass_request(&source, &mut run, rest, tables, now) else { break };
                    used += more;
                }
                self.end_run(listener, &mut run, now);
            }
            Some(Role::Upstream { cluster, endpoint }) => {
                let (endpoint, mut tally) = ((cluster, endpoint), None);
                loop {
                    let rest = input.get(used..).unwrap_or_default();
                    let Some(more) = self.pass_answer(id, endpoint, &mut tally, rest, now) else { break };
                    used += more;
                }
                if let Some(answered) = tally {
                    self.count_answered(endpoint, &answered, now);
                }
            }
            _ => {}
        }
        used
    }

    /// Pass on the request at the front of `input`, if it is a plain call; return how long it is.
    fn pass_request(
        &mut self,
        source: &Source,
        run: &mut Option<Run>,
        input: &[u8],
        tables: &Tables,
        now: f64,
    ) -> Option<usize> {
        let Source { down, listener, table } = *source;
        let conn = self.connections.get_mut(down).filter(|conn| conn.is_open())?;
        let mut call = Call::default();
        let address = &conn.wire.call(input, &mut call, &mut self.scratch);
        let address = address.as_ref()?;
        // One without a body may be sent again when its connection breaks, for which it would have to be kept.
        if !(1..=MAX_EXCHANGE_BUFFER).contains(&call.body) {
            return None;
        }
        let (place, known) = self.recent.place(table, call.version, address)?;
        if !known || run.as_ref().is_none_or(|run| run.place != place) {
            self.end_run(listener, run, now);
            if !known {
                self.learn_route(place, down, table, input, tables);
            }
            let course = self.plain_course(self.recent.found(place)?, call.version, tables)?;
            *run = Some(Run { place, course, count: 0, endpoint: 0, conn: 0 });
        }
        let same = run.as_mut()?;
        let course = same.course;
        let pick = self.clusters.get_mut(course.cluster)?.pick(&mut self.random, Wish::default());
        if let Some((at, conn)) = self.open_connection(down, same, pick) {
            (same.endpoint, same.conn) = (at, conn);
            same.count += 1;
            self.write_call(source, &course, (at, conn), &call, input, now)?;
        } else {
            // Whether others may follow is for the other stages to say.
            self.end_run(listener, run, now);
            self.board_call(source, &course, pick, &call, input, now)?;
        }
        Some(call.length)
    }

    /// Count the calls of a run.
    fn end_run(&mut self, listener: usize, run: &mut Option<Run>, now: f64) {
        if let Some(Run { course: Course { cluster, label, .. }, count, .. }) = run.take() {
            self.count_begun(&Begun { listener, cluster, label, count }, now);
        }
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

    /// Return the course of calls of this route, if neither it nor its cluster asks anything of them.
    fn plain_course(&self, found: Found, version: Version, tables: &Tables) -> Option<Course> {
        let (_, route) = tables.resolve(found)?;
        let Action::Forward(forward) = &route.action else { return None };
        let number = route.passes_to?;
        let cluster = self.clusters.get(number)?;
        let family = wires::family(cluster.config.protocol, version)?;
        let plain = cluster.waiting == 0 && cluster.config.outlier.is_none();
        let timeout_s = forward.timeout_s;
        plain.then_some(Course { found, label: route.label, cluster: number, family, timeout_s })
    }

    /// Return the endpoint that was chosen, and a connection to it that is up and has room.
    fn open_connection(&self, down: Id, run: &Run, pick: Pick) -> Option<(usize, Id)> {
        let Pick::Endpoint(at) = pick else { return None };
        if run.endpoint == at && self.connections.get(run.conn).is_some_and(|conn| conn.is_open() && conn.has_room()) {
            return Some((at, run.conn));
        }
        let companion = self.connections.get(down)?.companion;
        let course = &run.course;
        let conn = self.find_shared(course.cluster, at, course.family, companion)?;
        self.connections.get(conn)?.is_open().then_some((at, conn))
    }

    /// Write the call at the front of `input` to its endpoint. It has no head: nothing that may still happen to it asks for one.
    fn write_call(
        &mut self,
        source: &Source,
        course: &Course,
        (at, up): (usize, Id),
        call: &Call,
        input: &[u8],
        now: f64,
    ) -> Option<()> {
        let frame = input.get(..call.passes)?;
        let (client, conn) = self.connections.pair_mut(source.down, up)?;
        let id = self.exchanges.take();
        let stream = client.wire.take(input);
        client.streams.insert(stream, id);
        (client.reused, client.companion) = (true, Some(up));
        client.alarm.disarm();
        lend(&mut self.spare, &mut conn.out, frame.len());
        let sent = conn.wire.forward(frame, call.id_at, &mut conn.out);
        let begins = conn.streams.is_empty();
        conn.streams.insert(sent, id);
        touch(&mut self.touched, conn, up);
        let on_reused = std::mem::replace(&mut conn.reused, true);
        let exchange = self.exchanges.get_mut(id)?;
        exchange.begin_plain(source, stream, course, call, now);
        exchange.stage = Stage::Sent { conn: up, stream: sent };
        (exchange.carrier, exchange.sent_at) = (Some(up), now);
        (exchange.on_reused, exchange.passing) = (on_reused, true);
        if exchange.answer_by < NEVER {
            exchange.alarm.deadline = exchange.answer_by;
            self.timers.arm(&mut exchange.alarm, Owner::Exchange(index_of(id)));
        }
        let cluster = self.clusters.get_mut(course.cluster)?;
        cluster.in_flight += 1;
        let endpoint = cluster.endpoints.get_mut(at)?;
        endpoint.in_flight += 1;
        endpoint.counters.rq_total += 1;
        if begins {
            self.set_alarm(up, NEVER);
            self.keep_alive(up, now);
        }
        Some(())
    }

    /// Let the call at the front of `input` go on by the other stages: its endpoint, if it has one, has no connection for it yet.
    /// They will want its head: it is looked at in full.
    fn board_call(
        &mut self,
        source: &Source,
        course: &Course,
        pick: Pick,
        call: &Call,
        input: &[u8],
        now: f64,
    ) -> Option<()> {
        let conn = self.connections.get_mut(source.down)?;
        let decoded = conn.wire.decode(input, &mut self.scratch, &mut conn.out);
        let (_, Some(Event::Head { stream, .. })) = decoded else { return None };
        let id = self.exchanges.take();
        conn.streams.insert(stream, id);
        conn.reused = true;
        conn.alarm.disarm();
        let Course { cluster, label, .. } = *course;
        self.count_begun(&Begun { listener: source.listener, cluster, label, count: 1 }, now);
        let exchange = self.exchanges.get_mut(id)?;
        exchange.begin_plain(source, stream, course, call, now);
        std::mem::swap(&mut exchange.head, &mut self.scratch);
        (exchange.path, exchange.authority) = (exchange.head.path_span(), exchange.head.authority_span());
        exchange.held.extend_from_slice(input.get(call.passes - call.body..call.passes)?);
        self.watch(id);
        let placed = self.place_at(id, cluster, pick, now);
        self.stand(id, cluster, placed, now);
        Some(())
    }

    /// Pass on the answer at the front of `input`, if it is that of a plain call; return how long it is.
    fn pass_answer(
        &mut self,
        up: Id,
        endpoint: (usize, usize),
        tally: &mut Option<Answered>,
        input: &[u8],
        now: f64,
    ) -> Option<usize> {
        // The last answer of an endpoint that says goodbye has ended its connection.
        let conn = self.connections.get_mut(up).filter(|conn| conn.is_open())?;
        let answer = &conn.wire.answer(input);
        let answer = answer.as_ref()?;
        let id = conn.streams.get(answer.stream)?;
        let exchange = self.exchanges.get_mut(id).filter(|exchange| exchange.is_plain())?;
        let Origin::Stream { conn: down, stream, listener } = exchange.origin else { return None };
        let (conn, client) = self.connections.pair_mut(up, down).filter(|(_, client)| client.is_open())?;
        lend(&mut self.spare, &mut client.out, answer.length);
        if !client.wire.pass(stream, answer, input.get(..answer.passes)?, &mut client.out) {
            return None;
        }
        client.streams.remove(stream);
        touch(&mut self.touched, client, down);
        conn.wire.answered(answer.stream);
        conn.streams.remove(answer.stream);
        let (rests, client_rests) = (conn.streams.is_empty(), client.streams.is_empty());
        let alike = Alike { listener, label: exchange.label, status: answer.status, started: exchange.started };
        exchange.passed = true;
        self.exchanges.release(id);
        if let Some(others) = Answered::add(tally, alike) {
            self.count_answered(endpoint, &others, now);
        }
        if rests {
            if let Some(answered) = tally.take() {
                self.count_answered(endpoint, &answered, now);
            }
            self.settle_connection(up, now);
        }
        if client_rests {
            self.turn_to_next(down, now);
            self.close_if_over(down, now);
        }
        Some(answer.length)
    }
}

impl Exchange {
    /// Become a plain call on this course.
    fn begin_plain(&mut self, source: &Source, stream: StreamId, course: &Course, call: &Call, now: f64) {
        self.origin = Origin::Stream { conn: source.down, stream, listener: source.listener };
        self.found = Some(course.found);
        self.label = Some(course.label);
        self.cluster = Some(course.cluster);
        (self.counted, self.request_done) = (true, true);
        self.bytes_in = call.body as u64;
        self.started = now;
        self.timeout_s = shorter(course.timeout_s, f64::from(call.timeout_ms) / 1_000.0);
        self.answer_by = if self.timeout_s > 0.0 { now + self.timeout_s } else { NEVER };
        self.wait_until = NEVER;
    }

    /// Return whether it was passed on as it lay, and nothing has happened to it since.
    fn is_plain(&self) -> bool {
        self.passing && self.former.is_none() && self.up.is_settled() && self.down.is_settled()
    }
}
