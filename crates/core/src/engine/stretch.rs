//! Plain calls, and answers to them, one behind the other between the same two connections.
//!
//! What is the same for all of them has been looked for (`engine::passing`): each costs what it needs itself.

use crate::cluster::{Cluster, Pick, Wish};
use crate::engine::connection::Streams;
use crate::engine::exchange::{Exchange, Origin, Stage};
use crate::engine::lend;
use crate::engine::plain::{self, Course, Looked, Run, Runs, Source};
use crate::engine::recent::Recent;
use crate::engine::tally::{Alike, Answered};
use crate::events::{StreamId, Wire};
use crate::framed::{Address, Answer, Call, Client, Codec, Server};
use crate::head::Head;
use crate::random::Random;
use crate::slab::{index_of, Id, Slab};
use crate::timers::{Owner, Timers, NEVER};

/// From one connection to the other: wires of one protocol, and who rides on them.
pub struct Lane<'a, C: Codec> {
    /// The wire of the caller.
    pub server: &'a mut Server<C>,
    /// Who waits there.
    pub waiting: &'a mut Streams,
    /// The wire of the endpoint.
    pub client: &'a mut Client<C>,
    /// Who is asked for there.
    pub asked: &'a mut Streams,
    /// So many exchanges wait for it to be connected.
    pub boarding: usize,
    /// What is written where frames go.
    pub out: &'a mut Vec<u8>,
}

/// Evaluate `$body` with the lane between the connections of a caller and of an endpoint, and what is written at its end; `None`:
/// the two speak different protocols.
macro_rules! lane {
    ($caller:ident, $endpoint:ident, $end:ident.out, $lane:ident => $body:expr) => {{
        let (waiting, asked, boarding) = (&mut $caller.streams, &mut $endpoint.streams, $endpoint.boarding.len());
        let out = &mut $end.out;
        match (&mut $caller.wire, &mut $endpoint.wire) {
            (AnyWire::BoltServer(server), AnyWire::BoltClient(client)) => {
                let $lane = Lane { server, waiting, client, asked, boarding, out };
                $body
            }
            (AnyWire::DubboServer(server), AnyWire::DubboClient(client)) => {
                let $lane = Lane { server, waiting, client, asked, boarding, out };
                $body
            }
            (AnyWire::FramedServer(server), AnyWire::FramedClient(client)) => {
                let $lane = Lane { server, waiting, client, asked, boarding, out };
                $body
            }
            _ => None,
        }
    }};
}

pub(super) use lane;

/// What requests on a lane have to do with.
pub struct Requests<'a> {
    /// Where they come from.
    pub source: &'a Source,
    /// The runs that they belong to.
    pub runs: &'a mut Runs,
    /// The course of the one at hand.
    pub course: Course,
    /// The endpoint that all go to.
    pub endpoint: usize,
    /// The connection to it.
    pub up: Id,
    /// The budget of the last one in milliseconds, and what comes of it.
    pub budget: (i32, f64),
    /// The endpoint's connection had been used before the next one.
    pub on_reused: bool,
    /// The cluster that they go to.
    pub cluster: &'a mut Cluster,
    /// What they become.
    pub exchanges: &'a mut Slab<Exchange>,
    /// Who watches them.
    pub timers: &'a mut Timers,
    /// The routes of their addresses.
    pub recent: &'a mut Recent,
    /// What draws their endpoints.
    pub random: &'a mut Random,
    /// Where an address may lie.
    pub scratch: &'a mut Head,
    /// Memory that is lent.
    pub spare: &'a mut Vec<u8>,
    /// The time.
    pub now: f64,
}

impl Requests<'_> {
    /// Pass on the call at the front of `input`, and those behind it that go the same way; return how long they are, and the next
    /// one, if that is a plain call, too.
    pub fn pass<C: Codec>(
        &mut self,
        mut lane: Lane<'_, C>,
        call: Call,
        input: &[u8],
    ) -> Option<(usize, Option<Looked>)> {
        let (mut used, mut call) = (0, call);
        loop {
            let here = input.get(used..)?;
            self.write(&mut lane, &call, here)?;
            used += call.extent.length;
            let (rest, mut address) = (input.get(used..)?, Address::default());
            if !lane.server.call(rest, &mut call, &mut address, self.scratch) {
                return Some((used, None));
            }
            let Some((place, known)) = plain::place(&call, &address, self.source.table, self.recent) else {
                return Some((used, None));
            };
            let mut pick = None;
            if known && self.turn(place, &call) {
                let chosen = self.cluster.pick(self.random, Wish::default());
                if chosen == Pick::Endpoint(self.endpoint) && lane.client.room() > lane.boarding {
                    continue;
                }
                pick = Some(chosen);
            }
            return Some((used, Some(Looked { call, place, known, pick })));
        }
    }

    /// Turn to the run of this address; `false`: there is none, or it may go another way.
    #[inline]
    fn turn(&mut self, place: usize, call: &Call) -> bool {
        if self.runs.is_at(place) {
            return true;
        }
        let Course { cluster, family, .. } = self.course;
        let same = |run: &Run| run.course.cluster == cluster && run.course.family == family;
        let Some(run) = self.runs.turn(place, same) else { return false };
        (run.endpoint, run.conn) = (self.endpoint, self.up);
        self.course = run.course;
        self.budget = (call.timeout_ms, self.course.timeout_s(call));
        true
    }

    /// Write a call. It has no head: nothing that may still happen to it asks for one.
    fn write<C: Codec>(&mut self, lane: &mut Lane<'_, C>, call: &Call, input: &[u8]) -> Option<()> {
        let up = self.up;
        let (id, exchange) = self.exchanges.take_mut()?;
        let stream = lane.server.take(input);
        lane.waiting.insert(stream, id);
        lend(self.spare, lane.out, call.extent.length);
        let sent = lane.client.forward(input, call.extent, lane.out);
        lane.asked.insert(sent, id);
        if call.timeout_ms != self.budget.0 {
            self.budget = (call.timeout_ms, self.course.timeout_s(call));
        }
        exchange.begin_plain((self.source, stream), (&self.course, self.budget.1), call, self.now);
        exchange.stage = Stage::Sent { conn: up, stream: sent };
        (exchange.carrier, exchange.sent_at) = (Some(up), self.now);
        (exchange.on_reused, exchange.passing) = (std::mem::replace(&mut self.on_reused, true), true);
        if exchange.answer_by < NEVER {
            exchange.alarm.deadline = exchange.answer_by;
            self.timers.arm(&mut exchange.alarm, Owner::Exchange(index_of(id)));
        }
        self.runs.current()?.count += 1;
        self.cluster.in_flight += 1;
        let endpoint = self.cluster.endpoints.get_mut(self.endpoint)?;
        endpoint.in_flight += 1;
        endpoint.counters.rq_total += 1;
        Some(())
    }
}

/// An answer to a plain call that lies at the front of what was read.
#[derive(Default)]
pub struct Told {
    answer: Answer,
    id: Id,
    alike: Alike,
    /// The caller's stream.
    stream: StreamId,
    /// The caller's connection.
    pub down: Id,
}

impl Told {
    /// Become that answer; `false`: it is not that of a plain call.
    #[inline]
    pub fn become_of(&mut self, answer: Answer, asked: &mut Streams, exchanges: &Slab<Exchange>) -> bool {
        let Some(id) = asked.get(answer.stream) else { return false };
        let Some(exchange) = exchanges.get(id).filter(|exchange| exchange.is_plain()) else { return false };
        let Origin::Stream { conn, stream, listener } = exchange.origin else { return false };
        (self.id, self.stream, self.down, self.answer) = (id, stream, conn, answer);
        self.alike = Alike { listener, label: exchange.label, status: answer.status, started: exchange.started };
        true
    }
}

/// What answers on a lane have to do with.
pub struct Answers<'a> {
    /// What they end.
    pub exchanges: &'a mut Slab<Exchange>,
    /// Memory that is lent.
    pub spare: &'a mut Vec<u8>,
    /// Those that are not counted yet.
    pub tallies: &'a mut Vec<Answered>,
}

impl Answers<'_> {
    /// Pass on the answer at the front of `input`, and those behind it for the same caller, as long as it and the endpoint have others
    /// to wait for; return how long they are, and whether `told` is the next one. `None`: the first is not for its caller as
    /// it lies.
    pub fn pass<C: Codec>(&mut self, mut lane: Lane<'_, C>, told: &mut Told, input: &[u8]) -> Option<(usize, bool)> {
        let (mut used, down) = (0, told.down);
        loop {
            if !self.write(&mut lane, told, input.get(used..)?) {
                return (used > 0).then_some((used, false));
            }
            used += told.answer.extent.length;
            if lane.waiting.is_empty() || lane.asked.is_empty() {
                return Some((used, false));
            }
            let answer = lane.client.answer(input.get(used..)?);
            let another = answer.is_some_and(|answer| told.become_of(answer, lane.asked, self.exchanges));
            if !another || told.down != down {
                return Some((used, another));
            }
        }
    }

    fn write<C: Codec>(&mut self, lane: &mut Lane<'_, C>, told: &Told, input: &[u8]) -> bool {
        let Told { answer, id, stream, .. } = told;
        lend(self.spare, lane.out, answer.extent.length);
        if !lane.server.pass(*stream, answer, input, lane.out) {
            return false;
        }
        lane.waiting.remove(*stream);
        lane.client.answered(answer.stream);
        lane.asked.remove(answer.stream);
        if let Some(exchange) = self.exchanges.get_mut(*id) {
            exchange.passed = true;
        }
        self.exchanges.release(*id);
        Answered::add(self.tallies, told.alike);
        true
    }
}
