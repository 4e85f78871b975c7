//! One request and its response on their way through the mesh: what is known of them, and nothing of who does what with it.
//!
//! The stages of the engine (its other files) know the exchange; it knows none of them.

mod copy;
mod flag;
mod own;
mod passage;
mod retry;
mod tapped;

use std::sync::Arc;

pub use copy::RequestCopy;
pub use flag::Flag;
pub use own::{Errand, Own, OwnAnswer, OwnTerms, Pinned, Told};
pub use passage::{Consult, Passage};
pub use retry::Retry;
pub use tapped::Tapped;

use crate::cluster::Wish;
use crate::events::StreamId;
use crate::head::{Head, Span};
use crate::limits::KEEP_BUFFER;
use crate::routes::{Action, Found, Host, Route, Tables};
use crate::slab::{empty, Id, Recycle};
use crate::timers::{Alarm, NEVER};
use crate::trace::Trace;

/// Where a request came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// From this process (`Engine::send`).
    #[default]
    Own,
    /// From a connection.
    Stream {
        /// Its number.
        conn: Id,
        /// The stream on it.
        stream: StreamId,
        /// The listener that accepted it.
        listener: usize,
    },
}

/// Where a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Not routed yet.
    #[default]
    Begun,
    /// In its cluster's queue.
    Waiting,
    /// Bound to a connection that is not up yet.
    Boarding {
        /// That connection.
        conn: Id,
    },
    /// On a connection.
    Sent {
        /// That connection.
        conn: Id,
        /// The stream on it.
        stream: StreamId,
    },
    /// Collected for, or with, a handler of this process.
    Served,
    /// Kept back by a fault on purpose.
    Delayed,
    /// Kept back by a step of access that asks elsewhere.
    Checked,
}

/// One direction's flow control: bytes whose credit has not been given back to where they came from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flow {
    /// All of them.
    pub withheld: usize,
    /// Those that wait in the other side's window.
    pub queued: usize,
    /// The source counts this exchange among those that stall it.
    pub stalled: bool,
}

impl Flow {
    /// Return whether nothing is owed to where the bytes come from.
    pub fn is_settled(&self) -> bool {
        !self.stalled && self.withheld == 0
    }
}

/// One request and its response.
///
/// In this order: what every call needs lies together, in few lines of the cache.
#[derive(Debug, Default)]
#[repr(C)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not states
pub struct Exchange {
    /// Where it came from.
    pub origin: Origin,
    /// Where it is.
    pub stage: Stage,
    /// The whole request has come.
    pub request_done: bool,
    /// It counts in its cluster's load.
    pub counted: bool,
    /// It was passed on as it lay, by a route that asks nothing of it (`engine::passing`), and is still on its way.
    pub passing: bool,
    /// Its answer was passed on so, too, and it is over.
    pub passed: bool,
    /// It went out on a connection that had been used before.
    pub on_reused: bool,
    /// The configuration it began with, once that is no longer the one in force.
    pub former: Option<Arc<Tables>>,
    /// Its route in the configuration it began with.
    pub found: Option<Found>,
    /// Number of the route's counters.
    pub label: Option<usize>,
    /// Cluster, once drawn.
    pub cluster: Option<usize>,
    /// The connection that it was sent on last.
    pub carrier: Option<Id>,
    /// Body bytes received.
    pub bytes_in: u64,
    /// When its head was whole.
    pub started: f64,
    /// When it went to an endpoint.
    pub sent_at: f64,
    /// Route's or frame's timeout; 0: none.
    pub timeout_s: f64,
    /// When it must be answered.
    pub answer_by: f64,
    /// When it must not wait any longer.
    pub wait_until: f64,
    /// When something must happen.
    pub alarm: Alarm,
    /// Request bytes.
    pub up: Flow,
    /// Response bytes.
    pub down: Flow,
    /// The request's head, edited for the way up.
    pub head: Box<Head>,
    /// The path as received.
    pub path: Span,
    /// The authority as received.
    pub authority: Span,
    /// Its share of the route's split.
    pub share: usize,
    /// Address of the endpoint that it has left without being through, or that is being dialled for it.
    pub endpoint: Option<Arc<str>>,
    /// Endpoint that failed to connect.
    pub avoid: Option<usize>,
    /// Body bytes that wait: for a connection, or for a handler.
    pub held: Vec<u8>,
    /// Trailers that came before there was a connection.
    pub trailers: Option<Box<Head>>,
    /// The head of the final response has gone down.
    pub response_started: bool,
    /// 101: opaque bytes both ways.
    pub tunnel: bool,
    /// The response has ended (tunnels wait for the other direction).
    pub response_done: bool,
    /// It was sent again already.
    pub retried: bool,
    /// Connections that it was sent on and that have left without having seen it.
    pub leavers: u8,
    /// It came through the activator.
    pub proxied: bool,
    /// A handler was told of it.
    pub handed: bool,
    /// Its bodies come to and go from this process piece by piece (`engine::conversation`).
    pub conversing: bool,
    /// Body bytes sent back.
    pub bytes_out: u64,
    /// Status told to the client.
    pub status: u16,
    /// What went wrong.
    pub flag: Flag,
    /// What only a `send` has.
    pub own: Option<Box<Own>>,
    /// The endpoint it checks, when it is a health check.
    pub pinned: Option<Pinned>,
    /// Its endpoint is judged by how it answers.
    pub judged: bool,
    /// How its endpoint has answered this attempt has been counted.
    pub outcome_known: bool,
    /// It is for a subset of its cluster.
    pub subsetted: bool,
    /// What it is hashed to.
    pub hash: Option<u64>,
    /// What only a route with a retry policy needs.
    pub retry: Option<Box<Retry>>,
    /// What has come of a request that is copied.
    pub mirror: Option<Box<RequestCopy>>,
    /// What was seen of it, when somebody looks.
    pub tapped: Option<Box<Tapped>>,
    /// What only a request that is recorded as a span needs.
    pub trace: Option<Box<Trace>>,
    /// What only a request has that a step of access has kept, or taken note of.
    pub passage: Option<Box<Passage>>,
}

impl Exchange {
    /// Return the connection and stream it rides on.
    pub fn upstream(&self) -> Option<(Id, StreamId)> {
        match self.stage {
            Stage::Sent { conn, stream } => Some((conn, stream)),
            _ => None,
        }
    }

    /// Return whether it has come whole and has no body, so that all of it is at hand.
    pub fn is_bodyless(&self) -> bool {
        self.request_done && self.bytes_in == 0
    }

    /// Return whether it may wait for room.
    pub fn is_patient(&self) -> bool {
        self.own.as_ref().is_none_or(|own| own.terms.hold)
    }

    /// Return when somebody must look at it.
    pub fn deadline(&self) -> f64 {
        let retry = self.retry.as_ref().map_or(NEVER, |retry| retry.due.min(retry.try_by));
        self.answer_by.min(self.wait_until).min(retry)
    }

    /// Return the configuration it began with; `current` is the one in force.
    ///
    /// Whoever counts references counts twice for each request, at 15 ns a time: only those that outlive their
    /// configuration hold it (`Engine::apply`).
    pub fn tables<'a>(&'a self, current: &'a Arc<Tables>) -> &'a Arc<Tables> {
        self.former.as_ref().unwrap_or(current)
    }

    /// Return its virtual host and route, once found.
    pub fn route<'a>(&'a self, current: &'a Tables) -> Option<(&'a Host, &'a Route)> {
        self.former.as_deref().unwrap_or(current).resolve(self.found?)
    }

    /// Return what it asks of the choice of an endpoint.
    pub fn wish<'a>(&'a self, current: &'a Tables) -> Wish<'a> {
        let avoid = match &self.retry {
            Some(retry) if !retry.tried.is_empty() => &retry.tried,
            _ => self.avoid.as_slice(),
        };
        Wish { avoid, hash: self.hash, subset: if self.subsetted { self.subset(current) } else { &[] } }
    }

    fn subset<'a>(&'a self, current: &'a Tables) -> &'a [(String, String)] {
        match self.route(current).map(|(_, route)| &route.action) {
            Some(Action::Forward(forward)) => forward.share(self.share).map_or(&[], |share| &share.subset),
            _ => &[],
        }
    }
}

impl Recycle for Exchange {
    fn recycle(&mut self) {
        if self.passed {
            // Nothing else of it has been touched.
            empty!(self {
                origin, stage, found, label, cluster, carrier, request_done, on_reused, counted, passing, passed, bytes_in,
                started, sent_at, timeout_s
            } keep {
                head, held, alarm, answer_by, wait_until, path, authority, former, share, endpoint, avoid, trailers,
                response_started, tunnel, response_done, retried, leavers, proxied, handed, conversing, up, down, bytes_out,
                status, flag, own, pinned, judged, outcome_known, subsetted, hash, retry, mirror, tapped, trace, passage
            });
            self.alarm.disarm();
            (self.answer_by, self.wait_until) = (NEVER, NEVER);
            return;
        }
        empty!(self {
            origin, stage, path, authority, former, found, share, label, cluster, carrier, endpoint, avoid,
            trailers, request_done, response_started, tunnel, response_done, on_reused, retried, leavers, proxied,
            counted, passing, passed, handed, conversing, up, down, bytes_in, bytes_out, status, flag, started, sent_at,
            timeout_s, answer_by, wait_until, own, pinned, judged, outcome_known, subsetted, hash, retry,
            mirror, tapped, trace, passage
        } keep { head, held, alarm });
        self.head.clear();
        self.held.clear();
        self.held.shrink_to(KEEP_BUFFER);
        self.alarm.disarm();
        (self.answer_by, self.wait_until) = (NEVER, NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_that_is_used_again_is_as_good_as_new() {
        let shown = |exchange: &mut Exchange| {
            exchange.recycle();
            format!("{exchange:?}")
        };
        let mut used = Exchange {
            origin: Origin::Stream { conn: 1, stream: 2, listener: 3 },
            stage: Stage::Served,
            path: Span::new(1, 2),
            endpoint: Some(Arc::from("a")),
            held: vec![0; 2 * KEEP_BUFFER],
            request_done: true,
            up: Flow { withheld: 1, queued: 1, stalled: true },
            status: 200,
            flag: Flag::Timeout,
            answer_by: 1.0,
            passage: Some(Box::default()),
            ..Exchange::default()
        };
        used.head.set_path(b"/");
        assert_eq!(shown(&mut used), shown(&mut Exchange::default()));
        assert!(used.held.capacity() <= KEEP_BUFFER && used.deadline() == NEVER);
        let mut passed = Exchange {
            origin: Origin::Stream { conn: 1, stream: 2, listener: 3 },
            stage: Stage::Sent { conn: 4, stream: 5 },
            label: Some(6),
            cluster: Some(7),
            carrier: Some(4),
            request_done: true,
            on_reused: true,
            counted: true,
            bytes_in: 8,
            started: 9.0,
            sent_at: 9.0,
            timeout_s: 10.0,
            answer_by: 19.0,
            passing: true,
            passed: true,
            ..Exchange::default()
        };
        assert_eq!(shown(&mut passed), shown(&mut Exchange::default()));
    }
}
