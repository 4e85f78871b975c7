//! When a request becomes a span, and what the engine knows that the span tells.

use std::sync::Arc;

use crate::config::{self, PathKind, Traffic};
use crate::engine::exchange::{Exchange, Origin};
use crate::engine::Engine;
use crate::grpc;
use crate::head::{Head, Version};
use crate::routes::Tables;
use crate::slab::Id;
use crate::trace::{join, pass_on, Kind, Rpc, Span, Trace, Tracer};

impl Engine {
    /// Return how a listener of this configuration traces.
    pub(super) fn tracer(
        &mut self,
        listener: &config::Listener,
        common: Option<&config::Tracing>,
    ) -> Option<Arc<Tracer>> {
        let follows = listener.traffic != Traffic::None;
        let tracing = listener.tracing.as_ref().or(common.filter(|_| follows))?;
        let kind = if listener.traffic == Traffic::Outbound { Kind::Client } else { Kind::Server };
        let sink = self.spans.open(if listener.tracing.is_some() { &listener.name } else { "" });
        Some(Arc::new(Tracer::new(tracing, kind, sink)))
    }

    /// Take over how this process traces what it sends.
    pub(super) fn take_over_tracing(&mut self, tracing: Option<&config::Tracing>) {
        let spans = &mut self.spans;
        self.tracer = tracing.map(|tracing| Arc::new(Tracer::new(tracing, Kind::Client, spans.open(""))));
    }

    /// Make a request that came in a span of its trace.
    pub(super) fn join_trace(&mut self, id: Id, tracer: &Tracer) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let joined = join(&mut exchange.head, &mut self.random, |head, random| tracer.draw(head, random));
        if joined.context.sampled {
            let (sink, most) = (tracer.sink, tracer.max_text_bytes);
            exchange.trace = Some(Box::new(Trace::new(joined.context, joined.parent, sink, tracer.kind, most)));
        }
    }

    /// Make a request of this process a span of the trace that it names, if it names one.
    pub(super) fn pass_trace_on(&mut self, id: Id) {
        let Some(tracer) = &self.tracer else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if let Some(joined) = pass_on(&mut exchange.head, &mut self.random) {
            let (sink, most) = (tracer.sink, tracer.max_text_bytes);
            exchange.trace = Some(Box::new(Trace::new(joined.context, joined.parent, sink, tracer.kind, most)));
        }
    }

    /// Keep the span of a request that has ended.
    pub(super) fn record(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        let Some(trace) = &exchange.trace else { return };
        let peer = match exchange.origin {
            Origin::Stream { conn, .. } => self.connections.get(conn),
            Origin::Own => None,
        };
        let protocol = match exchange.head.version {
            Version::Framed(number) => self.protocols.get(usize::from(number)).map_or("-", |known| &known.label),
            version => version.name(),
        };
        let exhausted = exchange.retry.as_ref().is_some_and(|retry| retry.exhausted);
        let flags = exchange.flag.with_exhausted(exhausted);
        let cluster = exchange.cluster.and_then(|cluster| self.clusters.get(cluster));
        let secure = peer.is_some_and(super::connection::Connection::is_secure);
        let span = Span {
            head: &exchange.head,
            protocol,
            path: exchange.head.bytes(exchange.path),
            authority: exchange.head.bytes(exchange.authority),
            scheme: if secure { "https" } else { "http" },
            route: exchange.route_path(&self.tables),
            rpc: exchange.rpc(protocol),
            status: exchange.status,
            flags: flags.as_ref(),
            peer: peer.map_or("", |peer| &*peer.peer),
            cluster: cluster.map_or("", |cluster| &*cluster.name),
            upstream: self.connections.address_of(exchange).unwrap_or(""),
            bytes_in: exchange.bytes_in,
            bytes_out: exchange.bytes_out,
            started: exchange.started + self.wall_offset_s,
            ended: now + self.wall_offset_s,
            wall_offset_s: self.wall_offset_s,
        };
        self.spans.keep(trace.sink, |out| span.write(trace, out));
    }

    /// Return and forget the spans recorded since the last call, as (listener, OTLP bytes, how many).
    pub fn take_spans(&mut self) -> Vec<(String, Vec<u8>, u64)> {
        self.spans.take()
    }
}

impl Exchange {
    /// Note the gRPC status that stands in `head`, if this exchange is recorded.
    pub(super) fn note_grpc_status(&mut self, head: &Head) {
        if let Some(trace) = &mut self.trace {
            let status = head.get(b"grpc-status").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            trace.grpc_status = status.or(trace.grpc_status);
        }
    }

    /// Note that the try under way failed with `status` (0: no answer) and another follows, if this exchange is recorded.
    pub(super) fn note_retry(&mut self, now: f64, status: u16) {
        if let Some(trace) = &mut self.trace {
            trace.retry(now, status);
        }
    }

    /// Return the path by which the route was found, when it tells requests apart.
    fn route_path<'a>(&'a self, current: &'a Tables) -> &'a [u8] {
        let (path, kind) = self.route(current).map_or((&b""[..], PathKind::Prefix), |(_, route)| route.path());
        if kind == PathKind::Regex || path == b"/" {
            b""
        } else {
            path
        }
    }

    fn rpc<'a>(&'a self, protocol: &'a str) -> Option<Rpc<'a>> {
        let head = &self.head;
        let system = match head.version {
            Version::Bolt(_) => "sofa_rpc",
            Version::Dubbo => "apache_dubbo",
            Version::Framed(_) => protocol,
            _ => {
                let (service, method) = grpc::method_of(head)?;
                return Some(Rpc { system: "grpc", service, method });
            }
        };
        Some(Rpc { system, service: head.bytes(self.authority), method: head.method() })
    }
}
