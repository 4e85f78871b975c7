//! What endpoints say: a response begins, goes on, ends or breaks off.

use crate::engine::connection::Ending;
use crate::engine::cors::admit_origin;
use crate::engine::downstream::add_via;
use crate::engine::exchange::{Flag, Origin, Told};
use crate::engine::flow::Way;
use crate::engine::refusal::Refusal;
use crate::engine::wires::Family;
use crate::engine::{lend, touch, Engine};
use crate::events::{Cause, Event, ReplyKind, StreamId, Wire};
use crate::grpc;
use crate::head::Version;
use crate::limits::{GOING_REST_S, MAX_EXCHANGE_BUFFER, MAX_LEAVERS};
use crate::routes::{Action, Failure};
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    pub(super) fn upstream_event(&mut self, conn: Id, event: &Event, input: &[u8], now: f64) {
        match *event {
            Event::Head { stream, body, end } => {
                if let Some(id) = self.rider(conn, stream) {
                    self.response(id, body.of(input), end, now);
                }
            }
            Event::Informational { stream } => {
                if let Some(id) = self.rider(conn, stream) {
                    self.informational(id);
                }
            }
            Event::Data { stream, piece, end } => self.response_data(conn, stream, piece.of(input), end, now),
            Event::Trailers { stream } => {
                if let Some(id) = self.rider(conn, stream) {
                    self.response_trailers(id, now);
                }
            }
            Event::Reset { stream, cause } => {
                self.weigh_later(conn);
                if let Some(id) = self.rider(conn, stream) {
                    self.upstream_failed(id, cause, now);
                }
            }
            Event::Sent { stream, bytes } => self.window_moved(conn, stream, bytes),
            Event::GoAway => self.retire_shared(conn, now),
            Event::Fault(_) => self.faulted(conn, now),
        }
    }

    /// The head of a final response (or of a 101) has come; it is in the scratch head. `body` came with it.
    fn response(&mut self, id: Id, body: &[u8], end: bool, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let retries = exchange.retry.is_some();
        self.judge_response(id, end, now);
        if retries && self.retry_response(id, end, now) {
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if let Some((host, route)) = exchange.route(&self.tables) {
            host.response_edits.apply(&mut self.scratch);
            route.response_edits.apply(&mut self.scratch);
            if let Action::Forward(forward) = &route.action {
                if let Some(share) = forward.share(exchange.share) {
                    share.response_edits.apply(&mut self.scratch);
                }
            }
            if route.filters.is_some() {
                if let Some((cors, origin)) = exchange.cross_origin(&self.tables) {
                    admit_origin(cors, origin, &mut self.scratch);
                }
            }
        }
        exchange.response_started = true;
        exchange.status = self.scratch.status;
        exchange.note_grpc_status(&self.scratch);
        if self.scratch.status == 101 {
            exchange.tunnel = true;
            exchange.request_done = false;
            exchange.answer_by = NEVER;
            exchange.alarm.disarm();
        }
        self.respond(id, body, end, now);
        if end {
            self.response_over(id, now);
        }
    }

    /// Send the scratch head, and how its body begins, to where the request came from.
    pub(super) fn respond(&mut self, id: Id, body: &[u8], end: bool, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if let Some(passage) = &exchange.passage {
            for mutation in &passage.response {
                mutation.apply(&mut self.scratch);
            }
        }
        exchange.see_response(&self.scratch);
        match exchange.origin {
            Origin::Own => {
                let Some(own) = exchange.own.as_mut() else { return };
                own.answer.status = self.scratch.status;
                if own.is_stream {
                    self.told.push((id, Told::Head(std::mem::take(&mut self.scratch))));
                } else {
                    std::mem::swap(&mut own.answer.head, &mut *self.scratch);
                }
                if !body.is_empty() {
                    self.send_down(id, body, end, now);
                }
            }
            Origin::Stream { conn, stream, listener } => {
                exchange.count_response(body);
                if !exchange.head.version.is_framed() {
                    add_via(&mut self.scratch, self.listeners.get(listener).map(|listener| listener.via.as_slice()));
                }
                if let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) {
                    lend(&mut self.spare, &mut down.out, body.len());
                    let queued = down.wire.head(stream, &self.scratch, body, end, &mut down.out);
                    touch(&mut self.touched, down, conn);
                    if queued > 0 || body.len() > MAX_EXCHANGE_BUFFER {
                        self.pass(id, Way::Down, body.len(), queued, Some(conn));
                    }
                }
            }
        }
    }

    fn informational(&mut self, id: Id) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let Origin::Stream { conn, stream, .. } = exchange.origin else { return };
        if let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) {
            down.wire.head(stream, &self.scratch, b"", false, &mut down.out);
            touch(&mut self.touched, down, conn);
        }
    }

    fn response_data(&mut self, conn_id: Id, stream: StreamId, bytes: &[u8], end: bool, now: f64) {
        let Some(id) = self.rider(conn_id, stream) else {
            return self.give_back(Some((conn_id, stream)), bytes.len());
        };
        self.send_down(id, bytes, end, now);
        if end {
            self.response_over(id, now);
        }
    }

    /// Send body bytes to where the request came from.
    pub(super) fn send_down(&mut self, id: Id, bytes: &[u8], end: bool, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.count_response(bytes);
        match exchange.origin {
            Origin::Own => {
                let Some(own) = exchange.own.as_mut() else { return };
                if own.is_stream {
                    return self.tell_bytes(id, bytes);
                }
                if own.is_copy {
                    return self.pass(id, Way::Down, bytes.len(), 0, exchange_sink(self, id));
                }
                if own.answer.body.len() + bytes.len() > own.terms.max_response_bytes {
                    own.answer.error = "too_large";
                    let text = b"response body too large";
                    let refusal = Refusal::new(502, Flag::Overflow, ReplyKind::Overload, text);
                    return self.refuse(id, &refusal, now);
                }
                own.answer.body.extend_from_slice(bytes);
                self.pass(id, Way::Down, bytes.len(), 0, exchange_sink(self, id));
            }
            Origin::Stream { conn, stream, .. } => {
                let tunnel = exchange.tunnel;
                let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) else { return };
                lend(&mut self.spare, &mut down.out, bytes.len());
                let queued = down.wire.data(stream, bytes, end, &mut down.out);
                down.shutdown |= end && tunnel;
                touch(&mut self.touched, down, conn);
                self.pass(id, Way::Down, bytes.len(), queued, Some(conn));
            }
        }
    }

    fn response_trailers(&mut self, id: Id, now: f64) {
        if let Some(status) = self.scratch.get(b"grpc-status").map(grpc::http_of) {
            self.judge(id, status, now);
        }
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.note_grpc_status(&self.scratch);
        match exchange.origin {
            Origin::Own => {
                let Some(own) = exchange.own.as_mut() else { return };
                for (name, value) in self.scratch.fields() {
                    own.answer.head.push(name, value);
                }
            }
            Origin::Stream { conn, stream, .. } => {
                if let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) {
                    down.wire.trailers(stream, &self.scratch, &mut down.out);
                    touch(&mut self.touched, down, conn);
                }
            }
        }
        self.response_over(id, now);
    }

    fn response_over(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.response_done = true;
        if !exchange.tunnel || exchange.request_done {
            self.complete(id, now);
        }
    }

    /// The upstream side of an exchange broke off.
    pub(super) fn upstream_failed(&mut self, id: Id, cause: Cause, now: f64) {
        self.judge(id, 503, now);
        let Some(exchange) = self.exchanges.get(id) else { return };
        if exchange.response_started {
            return self.break_off(id, failure(cause), cause, now);
        }
        let failure_kind = if cause == Cause::Refused { Failure::Refused } else { Failure::Reset };
        if exchange.retry.is_some() && self.retry_failure(id, failure_kind, cause, now) {
            return;
        }
        if self.is_left_behind(id, cause) {
            self.leave_upstream(id, Some(cause), now);
            return self.send_again(id, None, now);
        }
        if self.is_safe_to_retry(id, cause) {
            self.leave_upstream(id, Some(cause), now);
            return self.try_again(id, None, now);
        }
        let flag = failure(cause);
        let mut plain = |status, kind, text| self.refuse(id, &Refusal::new(status, flag, kind, text), now);
        match cause {
            Cause::Protocol => plain(502, ReplyKind::BadResponse, b"upstream sent a malformed response".as_slice()),
            Cause::Timeout => plain(504, ReplyKind::Timeout, b"upstream request timeout"),
            Cause::Overload => plain(503, ReplyKind::Overload, b"upstream overloaded"),
            Cause::Refused | Cause::Cancelled => self.refuse_broken(id, flag, ReplyKind::Broken, "remote reset", now),
            Cause::Closed => self.refuse_broken(id, flag, ReplyKind::Broken, "connection termination", now),
        }
    }

    /// Whether a request is sent on because its connection leaves and has not seen it. That is no try: it goes to another
    /// connection, and those to one endpoint leave together. Counted.
    fn is_left_behind(&mut self, id: Id, cause: Cause) -> bool {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.is_bodyless()) else { return false };
        let conn = exchange.upstream().and_then(|(conn, _)| self.connections.get(conn));
        let leaves = cause == Cause::Refused && conn.is_some_and(|conn| conn.wire.room() == 0);
        exchange.leavers = exchange.leavers.saturating_add(u8::from(leaves));
        leaves && exchange.leavers <= MAX_LEAVERS
    }

    /// Whether a request may be tried once more without a policy that says so: its stream was refused unseen, or it met a
    /// stale connection and may be seen twice.
    fn is_safe_to_retry(&self, id: Id, cause: Cause) -> bool {
        let Some(exchange) = self.exchanges.get(id).filter(|exchange| exchange.is_bodyless()) else { return false };
        let idempotent =
            matches!(exchange.head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE");
        // An endpoint whose connections leave may have taken a new one just before it went.
        let stale = cause == Cause::Closed && (exchange.on_reused || exchange.leavers > 0) && idempotent;
        let refused = cause == Cause::Refused && exchange.leavers <= MAX_LEAVERS;
        !exchange.retried && (stale || refused)
    }

    /// A response that has begun cannot go on.
    pub(super) fn break_off(&mut self, id: Id, flag: Flag, cause: Cause, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.flag = flag;
        let (origin, framed) = (exchange.origin, exchange.head.version != Version::Http10);
        self.leave_upstream(id, Some(cause), now);
        match origin {
            Origin::Own => {
                if let Some(own) = self.exchanges.get_mut(id).and_then(|exchange| exchange.own.as_mut()) {
                    own.answer.status = if cause == Cause::Timeout { 504 } else { 502 };
                    own.answer.body.clear();
                    own.answer.fail(flag.code());
                }
            }
            Origin::Stream { conn, stream, .. } => {
                let survives = self.connections.get_mut(conn).filter(|down| down.is_open()).is_none_or(|down| {
                    let survives = down.wire.reset(stream, cause, &mut down.out);
                    touch(&mut self.touched, down, conn);
                    survives
                });
                if !survives {
                    // A body that only the end of the connection ends must not look whole.
                    self.end(conn, if framed { Ending::Close } else { Ending::Abort });
                }
            }
        }
        self.finish(id, now);
    }

    /// The peer of a shared connection takes no more requests.
    fn retire_shared(&mut self, id: Id, now: f64) {
        self.unshare(id);
        self.let_go(id, now);
        self.settle_connection(id, now);
    }

    /// Take a connection out of the list of those that further requests may share.
    pub(super) fn unshare(&mut self, id: Id) {
        if let Some(conn) = self.connections.get(id) {
            if let super::connection::Role::Upstream { cluster, endpoint } = conn.role {
                let endpoint = self.clusters.get_mut(cluster).and_then(|cluster| cluster.endpoints.get_mut(endpoint));
                if let Some(endpoint) = endpoint {
                    endpoint.shared.retain(|shared| *shared != id);
                }
            }
        }
    }

    /// An endpoint shuts down: a connection says so for all that could be made to it. (HTTP/2 says GOAWAY of one that is old.)
    fn let_go(&mut self, id: Id, now: f64) {
        let Some(conn) = self.connections.get(id) else { return };
        let (Family::Frames(_), super::connection::Role::Upstream { cluster: number, endpoint }) =
            (conn.wire.family(), conn.role)
        else {
            return;
        };
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        if cluster.let_go(endpoint) {
            cluster.rested_at = cluster.rested_at.min(now + GOING_REST_S);
            self.arm_cluster(number);
        }
    }
}

/// Where an own exchange's response bytes go: nowhere that could be slow, so its upstream stands for it.
fn exchange_sink(engine: &Engine, id: Id) -> Option<Id> {
    engine.exchanges.get(id)?.upstream().map(|(conn, _)| conn)
}

/// Return the flag of a broken upstream.
fn failure(cause: Cause) -> Flag {
    match cause {
        Cause::Protocol => Flag::UpstreamProtocol,
        Cause::Timeout => Flag::Timeout,
        Cause::Overload => Flag::Overflow,
        Cause::Refused | Cause::Cancelled => Flag::UpstreamReset,
        Cause::Closed => Flag::UpstreamClosed,
    }
}
