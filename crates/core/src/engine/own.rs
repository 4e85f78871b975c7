//! Exchanges that begin or end in this process: `send`, `reply`, `cancel`, and answers to questions.

use std::sync::Arc;

use crate::ascii;
use crate::engine::cors::admit_origin;
use crate::engine::exchange::{Exchange, Flag, Origin, Own, OwnTerms, Stage};
use crate::engine::refusal::Refusal;
use crate::engine::Engine;
use crate::events::{Cause, ReplyKind};
use crate::head::Version;
use crate::slab::Id;
use crate::timers::NEVER;

/// A request that begins in this process.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Authority.
    pub authority: &'a [u8],
    /// Path and query.
    pub path: &'a [u8],
    /// Fields; framing fields are left out.
    pub fields: &'a [(Vec<u8>, Vec<u8>)],
    /// Whole body.
    pub body: &'a [u8],
}

impl Engine {
    /// Begin an exchange, routed by `table` like any other.
    ///
    /// An error names what in the request cannot be sent; nothing has begun then.
    pub fn send(&mut self, table: &str, request: &Outgoing<'_>, terms: OwnTerms, now: f64) -> Result<Id, String> {
        self.begin_own(table, request, Own { terms, ..Own::default() }, now)
    }

    /// Begin an exchange of this process; the request of a stream goes on after its head.
    pub(super) fn begin_own(&mut self, table: &str, request: &Outgoing<'_>, own: Own, now: f64) -> Result<Id, String> {
        check("method", request.method, ascii::is_token)?;
        check("authority", request.authority, ascii::is_authority)?;
        check("path", request.path, ascii::is_target)?;
        check_fields(request.fields)?;
        let id = self.exchanges.take();
        let Some(exchange) = self.exchanges.get_mut(id) else { return Ok(id) };
        let head = &mut exchange.head;
        head.version = Version::Http11;
        head.set_method(request.method);
        head.set_authority(request.authority);
        head.set_path(request.path);
        push_fields(head, request.fields);
        head.content_length = (!request.body.is_empty()).then_some(request.body.len() as u64);
        self.send_own(id, table, request.body, own, now);
        Ok(id)
    }

    /// Send an exchange of this process whose head is written on its way.
    pub(super) fn send_own(&mut self, id: Id, table: &str, body: &[u8], own: Own, now: f64) {
        let tables = Arc::clone(&self.tables);
        let whole = !own.is_stream;
        self.streams += usize::from(own.is_stream);
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.origin = Origin::Own;
        exchange.held.extend_from_slice(body);
        exchange.bytes_in = body.len() as u64;
        exchange.own = Some(Box::new(own));
        exchange.begin(whole, now);
        self.pass_trace_on(id);
        let found = self.find_route(id, tables.table(table), &tables);
        self.route(id, found, &tables, now);
        self.settle(now);
    }

    /// Answer a request that was handed to this process.
    ///
    /// An error names what in the answer cannot be sent; the exchange then still waits for an answer.
    pub fn reply(
        &mut self,
        id: Id,
        status: u16,
        fields: &[(Vec<u8>, Vec<u8>)],
        body: &[u8],
        now: f64,
    ) -> Result<(), String> {
        if self.answer_head(id, status, fields, Some(body.len() as u64))? {
            self.respond(id, body, true, now);
            self.complete(id, now);
            self.settle(now);
        }
        Ok(())
    }

    /// Put the head of an answer of this process into the scratch head; `false`: nobody waits for it any more.
    pub(super) fn answer_head(
        &mut self,
        id: Id,
        status: u16,
        fields: &[(Vec<u8>, Vec<u8>)],
        length: Option<u64>,
    ) -> Result<bool, String> {
        if !(200..600).contains(&status) {
            return Err(format!("status: {status} is not that of a final response"));
        }
        check_fields(fields)?;
        let served = |exchange: &&mut Exchange| exchange.stage == Stage::Served && !exchange.response_started;
        let Some(exchange) = self.exchanges.get_mut(id).filter(served) else { return Ok(false) };
        exchange.status = status;
        exchange.response_started = true;
        let head = &mut self.scratch;
        head.clear();
        head.status = status;
        push_fields(head, fields);
        head.content_length = length;
        if let Some((host, route)) = exchange.route(&self.tables) {
            host.response_edits.apply(head);
            route.response_edits.apply(head);
            if let Some((cors, origin)) = exchange.cross_origin(&self.tables) {
                admit_origin(cors, origin, head);
            }
        }
        Ok(true)
    }

    /// Give up a `send` or a stream; nothing more is said of it.
    pub fn cancel(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.origin == Origin::Own) else {
            return;
        };
        exchange.flag = Flag::DownstreamClosed;
        self.leave_upstream(id, Some(Cause::Cancelled), now);
        self.finish(id, now);
        self.done.retain(|(done, _)| *done != id);
        self.told.retain(|(told, _)| *told != id);
        self.settle(now);
    }

    /// End the wait of a request that was announced by `ask`.
    pub fn answer_wait(&mut self, token: Id, status: u16, text: &[u8], now: f64) {
        if self.exchanges.get(token).is_some_and(|exchange| exchange.stage == Stage::Waiting) {
            self.refuse(token, &Refusal::new(status, Flag::NoEndpoint, ReplyKind::NoEndpoint, text), now);
            self.settle(now);
        }
    }

    /// Return (endpoints that may take a request now, requests in flight, requests waiting) of a cluster.
    pub fn capacity(&self, cluster: &str) -> (usize, usize, usize) {
        let cluster = self.cluster_names.get(cluster).and_then(|number| self.clusters.get(*number));
        cluster.map_or((0, 0, 0), |cluster| (cluster.free_endpoints(), cluster.in_flight, cluster.waiting))
    }

    /// A deadline of an exchange has passed.
    pub(super) fn overdue(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let answer_by = exchange.answer_by;
        if answer_by > now && exchange.wait_until > now {
            return self.retry_due(id, now);
        }
        if exchange.stage == Stage::Delayed && answer_by > now {
            exchange.wait_until = NEVER;
            return self.delay_over(id, now);
        }
        if exchange.stage == Stage::Checked && answer_by > now {
            exchange.wait_until = NEVER;
            return self.decision_overdue(id, now);
        }
        (exchange.answer_by, exchange.wait_until) = (NEVER, NEVER);
        let refusal = if answer_by <= now {
            self.judge_silence(id, now);
            Refusal::new(504, Flag::Timeout, ReplyKind::Timeout, b"upstream request timeout")
        } else {
            Refusal::new(503, Flag::NoEndpoint, ReplyKind::NoEndpoint, b"no capacity came in time")
        };
        self.refuse(id, &refusal, now);
    }
}

fn check(field: &str, bytes: &[u8], valid: fn(&[u8]) -> bool) -> Result<(), String> {
    if valid(bytes) {
        Ok(())
    } else {
        Err(format!("{field}: {:?} cannot be sent", String::from_utf8_lossy(bytes)))
    }
}

pub(super) fn check_fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<(), String> {
    for (name, value) in fields {
        check("header name", name, ascii::is_token)?;
        if !ascii::is_field_value(value) {
            return Err(format!("header {}: control character in its value", String::from_utf8_lossy(name)));
        }
    }
    Ok(())
}

pub(super) fn push_fields(head: &mut crate::head::Head, fields: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        let framing = matches!(
            name.as_slice(),
            b"host" | b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade" | b"keep-alive"
        );
        if !framing {
            head.push(&name, ascii::trim(value));
        }
    }
}
