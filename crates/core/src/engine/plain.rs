//! Plain calls: what is known of those that nobody has anything to say about (`engine::passing`).

use crate::cluster::Pick;
use crate::engine::exchange::{Exchange, Origin};
use crate::engine::recent::Recent;
use crate::engine::timing::shorter;
use crate::engine::wires::Family;
use crate::events::StreamId;
use crate::framed::{Address, Call};
use crate::limits::MAX_EXCHANGE_BUFFER;
use crate::routes::Found;
use crate::slab::Id;
use crate::timers::NEVER;

/// Where plain calls come from.
pub struct Source {
    /// The connection.
    pub down: Id,
    /// The listener that accepted it.
    pub listener: usize,
    /// The listener's route table.
    pub table: usize,
}

/// Where plain calls go.
#[derive(Clone, Copy)]
pub struct Course {
    /// Their route.
    pub found: Found,
    /// Number of its counters.
    pub label: usize,
    /// The number of their cluster.
    pub cluster: usize,
    /// What is spoken there.
    pub family: Family,
    /// The route's timeout; 0: none.
    pub timeout_s: f64,
}

/// Calls of one read that go the same way: it is looked for once.
pub struct Run {
    /// Where their address is remembered.
    pub place: usize,
    /// Where they go.
    pub course: Course,
    /// How many are not counted yet.
    pub count: u32,
    /// The endpoint of the last one.
    pub endpoint: usize,
    /// The connection that it went by; 0: there was none.
    pub conn: Id,
}

/// The runs of one read: callers mostly ask for a few methods in turn.
#[derive(Default)]
pub struct Runs {
    all: Vec<Run>,
    at: usize,
}

impl Runs {
    /// Begin a run, which is the one at hand then.
    pub fn begin(&mut self, run: Run) {
        self.at = self.all.len();
        self.all.push(run);
    }

    /// Return the one at hand.
    #[inline]
    pub fn current(&mut self) -> Option<&mut Run> {
        self.all.get_mut(self.at)
    }

    /// Return whether the one at hand is that of this address, by where that is remembered.
    #[inline]
    pub fn is_at(&self, place: usize) -> bool {
        self.all.get(self.at).is_some_and(|run| run.place == place)
    }

    /// Turn to the run of this address, if there is one that fits.
    pub fn turn(&mut self, place: usize, fits: impl Fn(&Run) -> bool) -> Option<&mut Run> {
        self.at = self.all.iter().position(|run| run.place == place && fits(run))?;
        self.current()
    }

    /// End them all.
    pub fn end(&mut self) -> impl Iterator<Item = Run> + '_ {
        self.all.drain(..)
    }
}

/// A plain call that lies at the front of what was read, and has been looked at.
#[derive(Clone, Copy)]
pub struct Looked {
    /// The call.
    pub call: Call,
    /// Where its address is remembered.
    pub place: usize,
    /// The address was there, with its route.
    pub known: bool,
    /// The endpoint that was chosen for it, if one was.
    pub pick: Option<Pick>,
}

/// Return where the address of a call to a route table is remembered, and whether its route is; `None`: the call is not plain.
#[inline]
pub fn place(call: &Call, address: &Address<'_>, table: usize, recent: &mut Recent) -> Option<(usize, bool)> {
    // One without a body may be sent again when its connection breaks, for which it would have to be kept.
    let plain = (1..=MAX_EXCHANGE_BUFFER).contains(&call.body);
    if plain {
        recent.place(table, call.version, address)
    } else {
        None
    }
}

impl Course {
    /// Return the timeout of a call; 0: none.
    pub fn timeout_s(&self, call: &Call) -> f64 {
        shorter(self.timeout_s, f64::from(call.timeout_ms) / 1_000.0)
    }
}

impl Exchange {
    /// Become a plain call on this course.
    #[inline]
    pub fn begin_plain(
        &mut self,
        (source, stream): (&Source, StreamId),
        (course, timeout_s): (&Course, f64),
        call: &Call,
        now: f64,
    ) {
        self.origin = Origin::Stream { conn: source.down, stream, listener: source.listener };
        self.found = Some(course.found);
        self.label = Some(course.label);
        self.cluster = Some(course.cluster);
        (self.counted, self.request_done) = (true, true);
        self.bytes_in = call.body as u64;
        self.started = now;
        self.timeout_s = timeout_s;
        self.answer_by = if timeout_s > 0.0 { now + timeout_s } else { NEVER };
        self.wait_until = NEVER;
    }

    /// Return whether it was passed on as it lay, and nothing has happened to it since.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.passing && self.former.is_none() && self.up.is_settled() && self.down.is_settled()
    }
}
