//! Answers of the mesh itself, and the end of every exchange.

use crate::access_log::Line;
use crate::engine::cors::admit_origin;
use crate::engine::exchange::{Flag, Origin};
use crate::engine::flow::Way;
use crate::engine::refusal::Refusal;
use crate::engine::{touch, Engine};
use crate::events::{Cause, LocalReply, ReplyKind, Wire};
use crate::head::{Head, Version};
use crate::slab::Id;

/// A preflight has been told already which origin is allowed.
const ALLOW_ORIGIN: &[u8] = b"access-control-allow-origin";

impl Flag {
    /// Return what a `send` is told (`Response.error`).
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::None | Self::FaultInjected | Self::DelayInjected | Self::Unauthorized => "",
            Self::NoRoute | Self::NoCluster => "no_route",
            Self::NoEndpoint | Self::Overflow | Self::RateLimited => "no_capacity",
            Self::ConnectFailed => "connect_failed",
            Self::UpstreamClosed | Self::UpstreamReset | Self::DownstreamClosed => "reset",
            Self::UpstreamProtocol | Self::DownstreamProtocol => "protocol_error",
            Self::Timeout => "timeout",
        }
    }
}

impl Engine {
    /// Answer 503 to an exchange whose endpoint gave no answer, in Envoy's words.
    pub(super) fn refuse_broken(&mut self, id: Id, flag: Flag, kind: ReplyKind, reason: &str, now: f64) {
        let retried =
            self.exchanges.get(id).and_then(|exchange| exchange.retry.as_ref()).is_some_and(|retry| retry.was_made());
        let latest = if retried { "retried and the latest " } else { "" };
        let text = format!("upstream connect error or disconnect/reset before headers. {latest}reset reason: {reason}");
        self.refuse(id, &Refusal::new(503, flag, kind, text.as_bytes()), now);
    }

    /// Answer an exchange whose response has not begun, and end it.
    pub(super) fn refuse(&mut self, id: Id, refusal: &Refusal<'_>, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let cause = if refusal.flag == Flag::Timeout { Cause::Timeout } else { Cause::Cancelled };
        if exchange.response_started {
            return self.break_off(id, refusal.flag, cause, now);
        }
        self.leave_upstream(id, Some(cause), now);
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.status = refusal.status;
        exchange.flag = refusal.flag;
        match exchange.origin {
            Origin::Own => {
                if let Some(own) = exchange.own.as_mut() {
                    own.answer.status = refusal.status;
                    own.answer.body.clear();
                    own.answer.fail(refusal.flag.code());
                    // Why a connection failed (a certificate that is not believed) is for whoever chose where it leads.
                    let told = matches!(refusal.flag, Flag::None | Flag::FaultInjected | Flag::ConnectFailed);
                    if own.is_stream || told {
                        own.answer.body.extend_from_slice(refusal.text);
                        for (name, value) in refusal.fields {
                            own.answer.head.push(name, value);
                        }
                    }
                }
            }
            Origin::Stream { conn, stream, listener } => {
                exchange.bytes_out = refusal.text.len() as u64;
                let framed = exchange.head.version.is_framed();
                let via = self.listeners.get(listener).map_or(&[][..], |listener| listener.via.as_slice());
                let mut told = Head::default();
                for (name, value) in refusal.fields {
                    told.push(name, value);
                }
                if !via.is_empty() && !framed {
                    told.push(b"via", via);
                }
                let cross = exchange.cross_origin(&self.tables);
                if let Some((cors, origin)) = cross.filter(|_| told.find(ALLOW_ORIGIN).is_none()) {
                    admit_origin(cors, origin, &mut told);
                }
                for mutation in exchange.passage.iter().flat_map(|passage| &passage.response) {
                    mutation.apply(&mut told);
                }
                let fields: Vec<_> = told.fields().collect();
                let (status, body, kind) = (refusal.status, refusal.text, refusal.kind);
                if let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) {
                    let reply = LocalReply { status, body, fields: &fields, kind };
                    down.wire.local_reply(stream, &reply, &mut down.out);
                    touch(&mut self.touched, down, conn);
                }
            }
        }
        self.finish(id, now);
    }

    /// The client has gone away, or is no longer understood.
    pub(super) fn abandoned(&mut self, id: Id, flag: Flag, now: f64) {
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.flag = flag;
            self.leave_upstream(id, Some(Cause::Cancelled), now);
            self.finish(id, now);
        }
    }

    /// The response has been passed on whole.
    pub(super) fn complete(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        // An answer that ends before its request leaves the endpoint with a request it will not get whole.
        let cause = (!exchange.request_done).then_some(Cause::Cancelled);
        self.leave_upstream(id, cause, now);
        self.finish(id, now);
    }

    /// Count and log an exchange, let its client go on, and forget it.
    pub(super) fn finish(&mut self, id: Id, now: f64) {
        self.clear_flow(id, Way::Up);
        self.retry_ended(id);
        self.count(id, now);
        self.record(id, now);
        self.looked_at(id, now);
        self.drop_copy(id);
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        match exchange.origin {
            Origin::Own => {
                let (own, check, cluster) = (exchange.own.take(), exchange.pinned, exchange.cluster);
                self.streams -= usize::from(own.as_ref().is_some_and(|own| own.is_stream));
                match (own, check, cluster) {
                    (Some(own), Some(pinned), Some(cluster)) => self.checked(cluster, pinned, &own.answer, now),
                    (Some(own), ..) if own.is_copy => {}
                    (Some(own), ..) => match own.errand {
                        Some(errand) => self.errands.push((errand, own.answer)),
                        None => self.done.push((id, own.answer)),
                    },
                    (None, ..) => {}
                }
            }
            Origin::Stream { conn: conn_id, stream, .. } => {
                if exchange.conversing && exchange.handed {
                    self.tell_gone(id);
                }
                if let Some(conn) = self.connections.get_mut(conn_id) {
                    conn.streams.remove(stream);
                    if conn.streams.is_empty() && conn.is_open() {
                        self.turn_to_next(conn_id, now);
                    }
                }
                self.close_if_over(conn_id, now);
            }
        }
        self.exchanges.release(id);
    }

    fn count(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let (status, took) = (exchange.status, now - exchange.started);
        if let Some(cluster) = exchange.cluster.filter(|_| exchange.counted).and_then(|at| self.clusters.get_mut(at)) {
            cluster.load.end(exchange.proxied, now);
            cluster.counters.responses.record(status);
            cluster.counters.rq_timeout += u64::from(exchange.flag == Flag::Timeout);
            if exchange.sent_at > 0.0 {
                cluster.counters.time.record(now - exchange.sent_at);
            }
        }
        let label = exchange.label.and_then(|label| self.labels.get_mut(label));
        let mut route = "-";
        if let Some(label) = label {
            label.responses.record(status);
            label.time.record(took);
            route = &label.name;
        }
        let Origin::Stream { listener, .. } = exchange.origin else { return };
        let Some(listener) = self.listeners.get_mut(listener) else { return };
        listener.counters.rq_active = listener.counters.rq_active.saturating_sub(1);
        listener.counters.responses.record(status);
        listener.counters.time.record(took);
        if let Some(log) = listener.log {
            let exhausted = exchange.retry.as_ref().is_some_and(|retry| retry.exhausted);
            let flags = exchange.flag.with_exhausted(exhausted);
            let protocol = match exchange.head.version {
                Version::Framed(number) => self.protocols.get(usize::from(number)).map_or("-", |known| &known.label),
                version => version.name(),
            };
            let line = Line {
                head: &exchange.head,
                protocol,
                path: exchange.head.bytes(exchange.path),
                authority: exchange.head.bytes(exchange.authority),
                status,
                flags: flags.as_ref(),
                bytes_in: exchange.bytes_in,
                bytes_out: exchange.bytes_out,
                started: exchange.started,
                took,
                upstream: self.connections.address_of(exchange).unwrap_or("-"),
                route,
            };
            self.log.write(log, &line);
        }
    }
}
