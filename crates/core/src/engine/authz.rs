//! A step that asks an authorization service: the request waits, perhaps for its own body, then for the answer.

use crate::access::{
    is_framing, Asked as Told, Authz, Body, Mutation, Override, Refused, Said, Service, Silence, AUTHZ_NAMESPACE,
};
use crate::config::CheckedBody;
use crate::engine::access::Came;
use crate::engine::errand::Question;
use crate::engine::exchange::{Consult, Errand, Exchange, Flag, Origin, OwnAnswer, Stage};
use crate::engine::refusal::Refusal;
use crate::engine::{touch, Engine};
use crate::events::{ReplyKind, Wire};
use crate::head::Head;
use crate::limits::MAX_AUTHZ_ANSWER;
use crate::routes::drawn;
use crate::slab::Id;
use crate::stats::AskCounters;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// An authorization service.
    Service,
    /// A filter of this process.
    Filter,
}

/// What a body longer than may be checked is answered.
const BODY_TOO_LARGE: Refusal<'static> =
    Refusal { status: 413, flag: Flag::None, kind: ReplyKind::BadRequest, text: b"Payload Too Large", fields: &[] };

impl Engine {
    /// Ask whether a request may go on, or heed what was answered.
    pub(super) fn consulted(&mut self, id: Id, authz: &Authz, over: Option<&Override>, now: f64) -> Came {
        let Some(exchange) = self.exchanges.get_mut(id) else { return Came::Refused };
        let service = over.and_then(Override::service).unwrap_or(&authz.service);
        let fresh = match std::mem::take(&mut exchange.passage.get_or_insert_default().consult) {
            Consult::Answered(answer) => {
                let said = understood(service, &answer);
                return self.heeded(id, Asked::Service, said, authz.silence, now);
            }
            Consult::Fresh => true,
            _ => false,
        };
        let concerned = || self.request(id).is_some_and(|request| authz.concerns(&request));
        if fresh && !(concerned() && drawn(authz.terms.enabled_millionths, &mut self.random)) {
            self.count_asked(id, Asked::Service, |counters| &mut counters.disabled);
            if authz.terms.deny_at_disable {
                self.refuse_with(id, authz.silence.status, &Refused::default(), now);
                return Came::Refused;
            }
            return Came::Through;
        }
        let body = over.map_or(authz.terms.body, |over| over.body(authz.terms.body));
        if let Some(came) = body.and_then(|body| self.collected(id, body, fresh, now)) {
            return came;
        }
        self.ask_whether(id, authz, service, over, body, now);
        Came::Waits
    }

    /// Wait for as much of a body as must be told; `None`: it is there.
    fn collected(&mut self, id: Id, wanted: CheckedBody, fresh: bool, now: f64) -> Option<Came> {
        let exchange = self.exchanges.get_mut(id)?;
        // What becomes of a connection that is upgraded is no body.
        if !exchange.head.upgrade().is_empty() {
            return None;
        }
        let declared = exchange.head.content_length.is_some_and(|length| length > wanted.max_bytes as u64);
        if !wanted.partial && (declared || exchange.held.len() > wanted.max_bytes) {
            self.refuse(id, &BODY_TOO_LARGE, now);
            return Some(Came::Refused);
        }
        if exchange.request_done || (wanted.partial && exchange.held.len() >= wanted.max_bytes) {
            return None;
        }
        let enough = if wanted.partial { wanted.max_bytes } else { wanted.max_bytes + 1 };
        exchange.passage.get_or_insert_default().consult = Consult::Collecting(enough);
        if fresh {
            self.bid_continue(id);
        }
        Some(Came::Waits)
    }

    /// More has come of a body that must be told. It is bounded by that, and needs no credit of where it goes.
    pub(super) fn collect_more(&mut self, id: Id, bytes: &[u8], end: bool, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.held.extend_from_slice(bytes);
        let enough = exchange.collects().is_some_and(|enough| exchange.held.len() >= enough);
        if let Origin::Stream { conn, stream, .. } = exchange.origin {
            self.give_back(Some((conn, stream)), bytes.len());
        }
        if enough && !end {
            self.passage_over(id, now);
        }
    }

    /// Tell a client that waits for it to send its body.
    pub(super) fn bid_continue(&mut self, id: Id) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.head.expects_continue) else {
            return;
        };
        exchange.head.expects_continue = false;
        if let Origin::Stream { conn, stream, .. } = exchange.origin {
            let mut go_on = Head::default();
            go_on.status = 100;
            if let Some(down) = self.connections.get_mut(conn) {
                down.wire.head(stream, &go_on, b"", false, &mut down.out);
                touch(&mut self.touched, down, conn);
            }
        }
    }

    fn ask_whether(
        &mut self,
        id: Id,
        authz: &Authz,
        service: &Service,
        over: Option<&Override>,
        body: Option<CheckedBody>,
        now: f64,
    ) {
        let time = self.wall_clock(now);
        let (Some(request), Some(exchange)) = (self.request(id), self.exchanges.get(id)) else { return };
        let body = body.filter(|_| !exchange.held.is_empty()).map(|wanted| Body {
            bytes: exchange.held.get(..wanted.max_bytes).unwrap_or(&exchange.held),
            partial: !exchange.request_done || exchange.held.len() > wanted.max_bytes,
            raw: wanted.raw,
        });
        let (head, body) = authz.question(service, &request, Told { id, time, over, body });
        let terms = &service.terms;
        let (timeout_s, max_answer_bytes) = (terms.timeout_s, MAX_AUTHZ_ANSWER);
        let question = Question { cluster: &terms.cluster, head, body, timeout_s, max_answer_bytes };
        let errand = self.ask_for(question, Errand::Verdict(id), now);
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.passage.get_or_insert_default().consult = Consult::Asked(errand);
        }
    }

    /// The answer about a request is there.
    pub(super) fn verdict_came(&mut self, id: Id, answer: OwnAnswer, now: f64) {
        let waiting = self.exchanges.get_mut(id).filter(|exchange| exchange.stage == Stage::Checked);
        let Some(passage) = waiting.and_then(|exchange| exchange.passage.as_mut()) else { return };
        if matches!(passage.consult, Consult::Asked(_)) {
            passage.consult = Consult::Answered(Box::new(answer));
            self.passage_over(id, now);
        }
    }

    /// A request no longer waits for an answer: whoever was asked need not work on it.
    pub(super) fn call_off(&mut self, id: Id, now: f64) {
        let Some(passage) = self.exchanges.get_mut(id).and_then(|exchange| exchange.passage.as_mut()) else { return };
        match std::mem::take(&mut passage.consult) {
            Consult::Asked(Some(errand)) => self.abandoned(errand, Flag::DownstreamClosed, now),
            Consult::Deciding(_) => self.deciding -= 1,
            _ => {}
        }
    }

    /// Do what was answered.
    pub(super) fn heeded(&mut self, id: Id, asked: Asked, said: Said, silence: Silence, now: f64) -> Came {
        match said {
            Said::Through(granted) if granted.is_sound() => {
                self.count_asked(id, asked, |counters| &mut counters.ok);
                if let Some(exchange) = self.exchanges.get_mut(id) {
                    granted.apply(&mut exchange.head);
                    let passage = exchange.passage.get_or_insert_default();
                    passage.response.extend(granted.response);
                    if let Some(noted) = granted.noted {
                        passage.note(AUTHZ_NAMESPACE, noted);
                    }
                }
                Came::Through
            }
            Said::Through(_) => {
                // What cannot be sent on must not be half done either (Envoy: `validate_mutations`).
                self.count_asked(id, asked, |counters| &mut counters.error);
                let text = b"the authorization service named a header that cannot be sent";
                self.refuse(id, &Refusal::new(500, Flag::Unauthorized, ReplyKind::Forbidden, text), now);
                Came::Refused
            }
            Said::Refused(refused) => {
                self.count_asked(id, asked, |counters| &mut counters.denied);
                self.refuse_with(id, 403, &refused, now);
                Came::Refused
            }
            Said::Failed(told) => self.unanswered(id, asked, told, silence, now),
        }
    }

    /// Nothing was learned of a request.
    fn unanswered(&mut self, id: Id, asked: Asked, told: Option<Refused>, silence: Silence, now: f64) -> Came {
        self.count_asked(id, asked, |counters| &mut counters.error);
        if silence.fail_open {
            self.count_asked(id, asked, |counters| &mut counters.failure_allowed);
            if let Some(exchange) = self.exchanges.get_mut(id).filter(|_| silence.marks) {
                exchange.head.set(b"x-envoy-auth-failure-mode-allowed", b"true");
            }
            return Came::Through;
        }
        self.refuse_with(id, silence.status, &told.unwrap_or_default(), now);
        Came::Refused
    }

    /// Answer a request as whoever was asked says. What cannot be sent of it is left out: it is refused either way.
    fn refuse_with(&mut self, id: Id, status: u16, refused: &Refused, now: f64) {
        let sound = |field: &&Mutation| field.is_sound() && !is_framing(&field.name);
        let mut head = Head::default();
        for field in refused.fields.iter().filter(sound) {
            head.push(&field.name, &field.value);
        }
        let fields: Vec<(&[u8], &[u8])> = head.fields().collect();
        let status = refused.status.unwrap_or(status);
        let refusal = Refusal::new(status, Flag::Unauthorized, ReplyKind::Forbidden, &refused.body);
        self.refuse(id, &Refusal { fields: &fields, ..refusal }, now);
    }

    fn count_asked(&mut self, id: Id, asked: Asked, which: fn(&mut AskCounters) -> &mut u64) {
        if let Some(counters) = self.filter_counters(id) {
            let counters = match asked {
                Asked::Service => &mut counters.authz,
                Asked::Filter => &mut counters.python,
            };
            *which(counters) += 1;
        }
    }
}

impl Exchange {
    /// Return how many bytes of its body a request waits for before it is asked about; `None`: it does not.
    pub(super) fn collects(&self) -> Option<usize> {
        match self.passage.as_ref()?.consult {
            Consult::Collecting(enough) => Some(enough),
            _ => None,
        }
    }
}

/// Return what an answer says.
fn understood(service: &Service, answer: &OwnAnswer) -> Said {
    if answer.error.is_empty() {
        service.said(answer.status, &answer.head, &answer.body)
    } else {
        Said::Failed(None)
    }
}
