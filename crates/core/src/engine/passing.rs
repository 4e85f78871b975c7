//! Calls that are passed on as they lie: protocols of whole frames, by a route that asks nothing of them.
//!
//! Nearly every call of such a protocol is one frame each way, on connections that are up, and nobody has anything to say about it. It is
//! passed on from what was read, in one look at each of what it touches, and no head is made of it. Nothing is decided here
//! that the other stages would decide otherwise: what is not as plain as that takes them from its first moment, and a
//! call under way is an exchange like any other, so that whatever happens to it before its answer is theirs, too.

use crate::cluster::{Pick, Wish};
use crate::engine::connection::Role;
use crate::engine::plain::{self, Course, Looked, Run, Runs, Source};
use crate::engine::stretch::{lane, Answers, Lane, Requests, Told};
use crate::engine::tally::Begun;
use crate::engine::wires::{self, AnyWire};
use crate::engine::{touch, Engine};
use crate::events::{Event, Wire};
use crate::framed::{Address, Call};
use crate::head::Version;
use crate::routes::{Action, Found, Tables};
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    /// Pass on the frames at the front of what a connection has brought, up to the first that is not of a plain call; return how
    /// long they are.
    pub(super) fn pass_frames(&mut self, id: Id, input: &[u8], tables: &Tables, now: f64) -> usize {
        match self.connections.get(id).map(|conn| conn.role) {
            Some(Role::Downstream { listener }) => {
                let Some(table) = self.plain_source(listener, tables) else { return 0 };
                self.pass_requests(&Source { down: id, listener, table }, input, tables, now)
            }
            Some(Role::Upstream { cluster, endpoint }) => self.pass_answers(id, (cluster, endpoint), input, now),
            _ => 0,
        }
    }

    fn pass_requests(&mut self, source: &Source, input: &[u8], tables: &Tables, now: f64) -> usize {
        let (mut used, mut runs) = (0, Runs::default());
        let mut next = self.look_at_call(source, input);
        while let Some(looked) = next {
            let rest = input.get(used..).unwrap_or_default();
            let Some((more, behind)) = self.pass_request(source, &mut runs, looked, rest, tables, now) else { break };
            used += more;
            next = behind;
        }
        self.end_runs(source.listener, &mut runs, now);
        used
    }

    /// Look at the request at the front of `input`; `None`: it is not that of a plain call.
    fn look_at_call(&mut self, source: &Source, input: &[u8]) -> Option<Looked> {
        let conn = self.connections.get_mut(source.down).filter(|conn| conn.is_open())?;
        let (mut call, mut address) = (Call::default(), Address::default());
        if !conn.wire.call(input, &mut call, &mut address, &mut self.scratch) {
            return None;
        }
        let (place, known) = plain::place(&call, &address, source.table, &mut self.recent)?;
        Some(Looked { call, place, known, pick: None })
    }

    /// Pass on the request at the front of `input`, which was looked at, and those behind it that go by the same connection; return
    /// how long they are, and the next one if that has been looked at.
    fn pass_request(
        &mut self,
        source: &Source,
        runs: &mut Runs,
        looked: Looked,
        input: &[u8],
        tables: &Tables,
        now: f64,
    ) -> Option<(usize, Option<Looked>)> {
        let Looked { call, place, known, pick } = looked;
        if !known {
            // Whose address has been here is known no more.
            self.end_runs(source.listener, runs, now);
            self.learn_route(place, source.down, source.table, input, tables);
        }
        if !runs.is_at(place) && runs.turn(place, |_| true).is_none() {
            let course = self.plain_course(self.recent.found(place)?, call.version, tables)?;
            runs.begin(Run { place, course, count: 0, endpoint: 0, conn: 0 });
        }
        let same = runs.current()?;
        let course = same.course;
        let cluster = self.clusters.get_mut(course.cluster)?;
        let pick = pick.unwrap_or_else(|| cluster.pick(&mut self.random, Wish::default()));
        if let Some((at, conn)) = self.open_connection(source.down, same, pick) {
            (same.endpoint, same.conn) = (at, conn);
            return self.pass_stretch(source, runs, call, input, now);
        }
        // Whether others may follow is for the other stages to say.
        self.end_runs(source.listener, runs, now);
        self.board_call(source, &course, pick, &call, input, now)?;
        let length = call.extent.length;
        Some((length, self.look_at_call(source, input.get(length..).unwrap_or_default())))
    }

    /// Pass on the request at the front of `input` by the connection of the run at hand, and those behind it for which that is the
    /// way, too; return as `pass_request` does.
    fn pass_stretch(
        &mut self,
        source: &Source,
        runs: &mut Runs,
        call: Call,
        input: &[u8],
        now: f64,
    ) -> Option<(usize, Option<Looked>)> {
        let Run { course, endpoint, conn: up, .. } = *runs.current()?;
        let (client, conn) = self.connections.pair_mut(source.down, up)?;
        (client.reused, client.companion) = (true, Some(up));
        client.alarm.disarm();
        touch(&mut self.touched, conn, up);
        let begins = conn.streams.is_empty();
        let cluster = self.clusters.get_mut(course.cluster)?;
        let mut requests = Requests {
            source,
            runs,
            course,
            endpoint,
            up,
            budget: (call.timeout_ms, course.timeout_s(&call)),
            on_reused: std::mem::replace(&mut conn.reused, true),
            cluster,
            exchanges: &mut self.exchanges,
            timers: &mut self.timers,
            recent: &mut self.recent,
            random: &mut self.random,
            scratch: &mut self.scratch,
            spare: &mut self.spare,
            now,
        };
        let passed = lane!(client, conn, conn.out, lane => requests.pass(lane, call, input));
        if begins {
            self.set_alarm(up, NEVER);
            self.keep_alive(up, now);
        }
        passed
    }

    /// Count the calls of all runs, which are over.
    fn end_runs(&mut self, listener: usize, runs: &mut Runs, now: f64) {
        for Run { course: Course { cluster, label, .. }, count, .. } in runs.end() {
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
        exchange.begin_plain((source, stream), (course, course.timeout_s(call)), call, now);
        std::mem::swap(&mut exchange.head, &mut self.scratch);
        (exchange.path, exchange.authority) = (exchange.head.path_span(), exchange.head.authority_span());
        exchange.held.extend_from_slice(input.get(call.extent.passes - call.body..call.extent.passes)?);
        self.watch(id);
        let placed = self.place_at(id, cluster, pick, now);
        self.stand(id, cluster, placed, now);
        Some(())
    }

    fn pass_answers(&mut self, up: Id, endpoint: (usize, usize), input: &[u8], now: f64) -> usize {
        let (mut used, mut tallies, mut told) = (0, Vec::new(), Told::default());
        let mut next = self.look_at_answer(up, &mut told, input);
        while next {
            let (rest, down) = (input.get(used..).unwrap_or_default(), told.down);
            let ends = self.connections.pair_mut(up, down).filter(|(_, client)| client.is_open());
            let Some((conn, client)) = ends else { break };
            touch(&mut self.touched, client, down);
            let (exchanges, spare) = (&mut self.exchanges, &mut self.spare);
            let mut answers = Answers { exchanges, spare, tallies: &mut tallies };
            let passed = lane!(client, conn, client.out, lane => answers.pass(lane, &mut told, rest));
            let Some((more, another)) = passed else { break };
            used += more;
            next = another;
            let (rests, client_rests) = (conn.streams.is_empty(), client.streams.is_empty());
            if rests {
                self.count_tallies(endpoint, &mut tallies, now);
                self.settle_connection(up, now);
            }
            if client_rests {
                self.turn_to_next(down, now);
                self.close_if_over(down, now);
                next = self.look_at_answer(up, &mut told, input.get(used..).unwrap_or_default());
            }
        }
        self.count_tallies(endpoint, &mut tallies, now);
        used
    }

    /// Make `told` the answer at the front of `input`; `false`: it is not that of a plain call.
    fn look_at_answer(&mut self, up: Id, told: &mut Told, input: &[u8]) -> bool {
        // The last answer of an endpoint that says goodbye has ended its connection.
        let Some(conn) = self.connections.get_mut(up).filter(|conn| conn.is_open()) else { return false };
        conn.wire.answer(input).is_some_and(|answer| told.become_of(answer, &mut conn.streams, &self.exchanges))
    }
}
