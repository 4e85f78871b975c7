//! A routed request goes through the steps of its chain, one by one, until one refuses it or must ask elsewhere first.

use std::sync::Arc;

use crate::access::{turn_at, Failure, Jwt, Request, Rules, Shadow, Step, Verdict, NAMESPACE, RBAC_NAMESPACE};
use crate::engine::connection::Connection;
use crate::engine::exchange::{Flag, Origin, Stage};
use crate::engine::refusal::Refusal;
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::head::Head;
use crate::request_parts::without_query;
use crate::routes::{Filters, Found, Tables};
use crate::slab::Id;

/// Longest part of a URL that a refused caller is told (Envoy: `MaximumUriLength`).
const MAX_REALM: usize = 256;

/// What comes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The next one may look.
    Through,
    /// The request is answered.
    Refused,
    /// It waits, and this step looks again.
    Waits,
}

impl Engine {
    /// Put a request through the steps of its listener and its route; return whether it may go on now.
    ///
    /// What this process itself asks for is let through: rules are about callers.
    pub(super) fn admitted(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        match self.exchanges.get(id).map(|exchange| exchange.origin) {
            Some(Origin::Stream { .. }) => self.passed(id, self.listener_filters(id), 0, found, tables, now),
            Some(Origin::Own) => true,
            None => false,
        }
    }

    /// Put a request through the steps from `at` on of `listener`, the filters of its listener, and its route.
    fn passed(
        &mut self,
        id: Id,
        listener: Option<Arc<Filters>>,
        mut at: usize,
        found: Found,
        tables: &Tables,
        now: f64,
    ) -> bool {
        let chain = listener.as_deref().map(|filters| &filters.access);
        let route = tables.resolve(found).and_then(|(_, route)| route.filters.as_ref()).map(|filters| &filters.access);
        while let Some(turn) = turn_at(chain, route, at) {
            let came = match turn.step {
                Step::Off | Step::Named(_) => Came::Through,
                Step::Rbac(rules, shadow) => self.obeyed(id, rules.as_ref(), shadow.as_ref(), now),
                Step::Jwt(jwt) => self.identified(id, jwt, turn.requirement, now),
                Step::Authz(authz) => self.consulted(id, authz, turn.over, now),
                Step::Python(filter) => self.screened(id, filter, now),
                Step::AuthzOverride(over) => match &over.alone {
                    Some(authz) => self.consulted(id, authz, Some(over), now),
                    None => Came::Through,
                },
            };
            match came {
                Came::Through => at += 1,
                Came::Refused => return false,
                Came::Waits => {
                    if let Some(exchange) = self.exchanges.get_mut(id) {
                        let passage = exchange.passage.get_or_insert_default();
                        (passage.at, passage.listener) = (at, listener);
                        exchange.stage = Stage::Checked;
                    }
                    return false;
                }
            }
        }
        true
    }

    /// What a request waited for is there: its step looks again.
    pub(super) fn passage_over(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.stage == Stage::Checked) else {
            return;
        };
        exchange.stage = Stage::Begun;
        let Some(found) = exchange.found else { return };
        let tables = Arc::clone(exchange.tables(&self.tables));
        let passage = exchange.passage.get_or_insert_default();
        let (listener, at) = (passage.listener.take(), passage.at);
        if self.passed(id, listener, at, found, &tables, now) && self.unhindered(id, found, &tables, now) {
            self.follow(id, found, &tables, now);
        }
    }

    /// Ask rules about a request, count what they say, and refuse it when those that are enforced say so.
    fn obeyed(&mut self, id: Id, rules: Option<&Rules>, shadow: Option<&Shadow>, now: f64) -> Came {
        let request = self.request(id);
        let asked = request.as_ref();
        let enforced = rules.zip(asked).map(|(rules, request)| rules.allow(request));
        let judged = shadow.zip(asked).map(|(shadow, request)| shadow.judge(request));
        let shadowed = judged.as_ref().map(|(allowed, _)| *allowed);
        if let Some((exchange, (_, noted))) = self.exchanges.get_mut(id).zip(judged) {
            exchange.passage.get_or_insert_default().note(RBAC_NAMESPACE, noted);
        }
        if let Some(counters) = self.filter_counters(id) {
            counters.rbac_allowed += u64::from(enforced == Some(true));
            counters.rbac_denied += u64::from(enforced == Some(false));
            counters.rbac_shadow_allowed += u64::from(shadowed == Some(true));
            counters.rbac_shadow_denied += u64::from(shadowed == Some(false));
        }
        if enforced != Some(false) {
            return Came::Through;
        }
        self.refuse(id, &Refusal::new(403, Flag::None, ReplyKind::Forbidden, b"RBAC: access denied"), now);
        Came::Refused
    }

    /// Judge the tokens of a request, and tell those who come after what was in them.
    fn identified(&mut self, id: Id, jwt: &Jwt, requirement: Option<&str>, now: f64) -> Came {
        if let Some(exchange) = self.exchanges.get_mut(id) {
            jwt.sanitize(&mut exchange.head);
        }
        let Some(request) = self.request(id) else { return Came::Refused };
        let verdict = jwt.decide(&request, requirement, |set| self.fetched(set, now), self.wall_clock(now));
        for set in jwt.key_sets() {
            self.renew_keys(set, now);
        }
        match verdict {
            Verdict::Awaits(set) => {
                self.await_keys(id, set, now);
                return Came::Waits;
            }
            Verdict::Refused(failure) => {
                if let Some(counters) = self.filter_counters(id) {
                    counters.jwt_denied += 1;
                }
                self.refuse_token(id, failure, now);
                return Came::Refused;
            }
            Verdict::Through(taken) => {
                if let Some(exchange) = self.exchanges.get_mut(id) {
                    jwt.edit(&taken, &mut exchange.head);
                    if let Some(noted) = jwt.noted(taken) {
                        exchange.passage.get_or_insert_default().note(NAMESPACE, noted);
                    }
                }
            }
        }
        if let Some(counters) = self.filter_counters(id) {
            counters.jwt_allowed += 1;
        }
        Came::Through
    }

    /// Tell a caller what is wrong with its token (RFC 6750 section 3, in Envoy's words).
    fn refuse_token(&mut self, id: Id, failure: Failure, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let secure = match exchange.origin {
            Origin::Stream { conn, .. } => self.connections.get(conn).is_some_and(Connection::is_secure),
            Origin::Own => false,
        };
        let challenge = challenge(&exchange.head, secure, failure);
        let fields = [(&b"www-authenticate"[..], challenge.as_slice())];
        let text = failure.text().as_bytes();
        let refusal = Refusal::new(failure.status(), Flag::Unauthorized, ReplyKind::Forbidden, text);
        self.refuse(id, &Refusal { fields: &fields, ..refusal }, now);
    }

    /// Return seconds since the epoch.
    pub(super) fn wall_clock(&self, now: f64) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a clock before 1970 is 0
        let seconds = (now + self.wall_offset_s).max(0.0) as u64;
        seconds
    }

    /// Return a request of a caller as rules see it.
    pub(super) fn request(&self, id: Id) -> Option<Request<'_>> {
        let exchange = self.exchanges.get(id)?;
        let Origin::Stream { conn, listener, .. } = exchange.origin else { return None };
        let (conn, listener) = (self.connections.get(conn)?, self.listeners.get(listener)?);
        Some(Request {
            head: &exchange.head,
            peer: &conn.peer,
            tls: conn.tls.as_ref(),
            destination: listener.destination,
            direct: listener.config.use_remote_address,
            noted: exchange.passage.as_ref().map_or(&[][..], |passage| &passage.noted),
        })
    }
}

fn challenge(head: &Head, secure: bool, failure: Failure) -> Vec<u8> {
    let scheme = if secure { &b"https"[..] } else { b"http" };
    let path = without_query(head.path());
    let path = path.get(..MAX_REALM).unwrap_or(path);
    let mut told = [b"Bearer realm=\"", scheme, b"://", head.authority(), path, b"\""].concat();
    if failure != Failure::Missing {
        told.extend_from_slice(b", error=\"invalid_token\"");
    }
    told
}
