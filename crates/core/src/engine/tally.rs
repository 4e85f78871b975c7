//! Plain calls as they are counted: those of one read that go the same way, or are answered alike, all at once.
//!
//! A read brings up to some hundred of them, at one and the same time, and nearly always they differ in nothing that a
//! counter looks at.

use crate::engine::Engine;

/// Plain calls that go the same way.
pub struct Begun {
    /// The listener that they came by.
    pub listener: usize,
    /// The cluster that they go to.
    pub cluster: usize,
    /// Number of their route's counters.
    pub label: usize,
    /// How many there are.
    pub count: u32,
}

/// Plain calls that are answered alike.
pub struct Answered {
    /// What they have in common.
    pub alike: Alike,
    /// How many there are.
    pub count: u32,
}

/// What counters look at in an answer.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Alike {
    /// The listener that its request came by.
    pub listener: usize,
    /// Number of its route's counters.
    pub label: Option<usize>,
    /// The HTTP status that says what it says.
    pub status: u16,
    /// When its request came, and went on.
    pub started: f64,
}

impl Answered {
    /// Add an answer to what is not counted yet.
    #[inline]
    pub fn add(tallies: &mut Vec<Self>, alike: Alike) {
        match tallies.last_mut() {
            Some(known) if known.alike == alike => known.count += 1,
            _ => tallies.push(Self { alike, count: 1 }),
        }
    }
}

impl Engine {
    /// Count plain calls that begin.
    pub(super) fn count_begun(&mut self, begun: &Begun, now: f64) {
        let Begun { listener, cluster, label, count } = begun;
        if let Some(cluster) = self.clusters.get_mut(*cluster) {
            cluster.load.begin_many(*count as usize, now);
            cluster.counters.rq_total += u64::from(*count);
        }
        if let Some(listener) = self.listeners.get_mut(*listener) {
            listener.counters.rq_total += u64::from(*count);
            listener.counters.rq_active += u64::from(*count);
        }
        if let Some(label) = self.labels.get_mut(*label) {
            label.rq_total += u64::from(*count);
        }
    }

    /// Count all plain calls that an endpoint has answered, and that are not counted yet.
    pub(super) fn count_tallies(&mut self, endpoint: (usize, usize), tallies: &mut Vec<Answered>, now: f64) {
        for answered in tallies.drain(..) {
            self.count_answered(endpoint, &answered, now);
        }
    }

    /// Count plain calls that an endpoint has answered alike: it has room for as many others.
    fn count_answered(&mut self, (number, at): (usize, usize), answered: &Answered, now: f64) {
        let Answered { alike: Alike { listener, label, status, started }, count } = *answered;
        let took = now - started;
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.load.end_many(count as usize, now);
            cluster.counters.responses.record_many(status, count);
            cluster.counters.time.record_many(took, count);
            cluster.count_answers(at, status, count);
            cluster.in_flight = cluster.in_flight.saturating_sub(count as usize);
            if let Some(endpoint) = cluster.endpoints.get_mut(at) {
                endpoint.in_flight = endpoint.in_flight.saturating_sub(count as usize);
            }
            if cluster.waiting > 0 {
                self.woken.push(number);
            }
        }
        if let Some(label) = label.and_then(|label| self.labels.get_mut(label)) {
            label.responses.record_many(status, count);
            label.time.record_many(took, count);
        }
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.counters.rq_active = listener.counters.rq_active.saturating_sub(u64::from(count));
            listener.counters.responses.record_many(status, count);
            listener.counters.time.record_many(took, count);
        }
    }
}
