//! One hop of one request as a `Span` of OTLP, in the semantic conventions of OpenTelemetry (HTTP and RPC, stable names).
//!
//! Queries are left out of it: they are where secrets travel. What only a proxy knows has Envoy's names.

use crate::head::Head;
use crate::protobuf::{bytes, fixed64, message, number, text};
use crate::trace::context::{Context, TRACESTATE};
use crate::trace::otlp::{attribute, Value};

/// `ScopeSpans.spans`.
const SPANS: u64 = 2;
const ATTRIBUTES: u64 = 9;

/// Retries that are told one by one: a policy with more is an outage whose details nobody reads.
const MAX_EVENTS: usize = 16;

/// Longest `tracestate` (W3C section 3.3.1.3: what must be propagated at least).
const MAX_STATE: usize = 512;

/// What a span is to its caller (`Span.SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It takes a request in.
    Server = 2,
    /// It sends one out.
    Client = 3,
}

/// What is noted while a recorded request is under way.
#[derive(Debug)]
pub struct Trace {
    /// This hop.
    pub context: Context,
    /// The span before it; 0: none.
    pub parent: u64,
    /// Where the span is kept.
    pub sink: usize,
    /// What it is.
    pub kind: Kind,
    /// Longest value of an attribute that a client chooses.
    pub max_text_bytes: usize,
    /// gRPC's status, once it is known.
    pub grpc_status: Option<u32>,
    /// Tries that failed: when, and with which status (0: no answer).
    retries: Vec<(f64, u16)>,
    retried: u64,
}

impl Trace {
    /// Return the notes of a request that begins.
    pub fn new(context: Context, parent: u64, sink: usize, kind: Kind, max_text_bytes: usize) -> Self {
        Self { context, parent, sink, kind, max_text_bytes, grpc_status: None, retries: Vec::new(), retried: 0 }
    }

    /// Note that a try failed with `status` (0: no answer) and another follows.
    pub fn retry(&mut self, now: f64, status: u16) {
        self.retried += 1;
        if self.retries.len() < MAX_EVENTS {
            self.retries.push((now, status));
        }
    }
}

/// A remote procedure call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rpc<'a> {
    /// `rpc.system`.
    pub system: &'a str,
    /// `rpc.service`.
    pub service: &'a [u8],
    /// `rpc.method`.
    pub method: &'a [u8],
}

/// Everything else that a span tells.
#[derive(Debug)]
pub struct Span<'a> {
    /// The request's head.
    pub head: &'a Head,
    /// Protocol and version as the access log has them.
    pub protocol: &'a str,
    /// Path as received.
    pub path: &'a [u8],
    /// Authority as received.
    pub authority: &'a [u8],
    /// `https` or `http`.
    pub scheme: &'a str,
    /// Path that the route is taken by; empty: any.
    pub route: &'a [u8],
    /// The call, if it is one.
    pub rpc: Option<Rpc<'a>>,
    /// HTTP status; 0: none was sent.
    pub status: u16,
    /// Envoy's response flags.
    pub flags: &'a str,
    /// The connection's other end.
    pub peer: &'a str,
    /// Cluster, or empty.
    pub cluster: &'a str,
    /// Endpoint, or empty.
    pub upstream: &'a str,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
    /// Wall-clock seconds.
    pub started: f64,
    /// Wall-clock seconds.
    pub ended: f64,
    /// Wall-clock time minus the clock of a trace's notes.
    pub wall_offset_s: f64,
}

impl Span<'_> {
    /// Append this span to `out`.
    pub fn write(&self, trace: &Trace, out: &mut Vec<u8>) {
        message(SPANS, out, |out| {
            bytes(1, &trace.context.trace.to_be_bytes(), out);
            bytes(2, &trace.context.span.to_be_bytes(), out);
            if let Some(state) = self.head.get(TRACESTATE).filter(|state| state.len() <= MAX_STATE) {
                text(3, state, out);
            }
            if trace.parent != 0 {
                bytes(4, &trace.parent.to_be_bytes(), out);
            }
            text(5, &self.name(trace), out);
            number(6, trace.kind as u64, out);
            fixed64(7, nanoseconds(self.started), out);
            fixed64(8, nanoseconds(self.ended), out);
            self.attributes(trace, out);
            for (at, status) in &trace.retries {
                message(11, out, |out| {
                    fixed64(1, nanoseconds(at + self.wall_offset_s), out);
                    bytes(2, b"retry", out);
                    if *status > 0 {
                        attribute(3, "http.response.status_code", Value::Number(u64::from(*status)), out);
                    }
                });
            }
            if self.failed(trace) {
                message(15, out, |out| number(3, 2, out));
            }
        });
    }

    fn attributes(&self, trace: &Trace, out: &mut Vec<u8>) {
        let mut put = |key: &str, value: Value<'_>| match value {
            Value::Text(value) => {
                let shown = value.get(..trace.max_text_bytes).unwrap_or(value);
                if !shown.is_empty() {
                    attribute(ATTRIBUTES, key, Value::Text(shown), out);
                }
            }
            Value::Number(_) => attribute(ATTRIBUTES, key, value, out),
        };
        let http = self.protocol.strip_prefix("HTTP/");
        if let Some(version) = http {
            put("http.request.method", Value::Text(self.head.method()));
            put("url.scheme", Value::Text(self.scheme.as_bytes()));
            put("url.path", Value::Text(without_query(self.path)));
            put("http.route", Value::Text(self.route));
            put("network.protocol.version", Value::Text(version.as_bytes()));
            if self.status > 0 {
                put("http.response.status_code", Value::Number(u64::from(self.status)));
            }
            put("user_agent.original", Value::Text(self.head.get(b"user-agent").unwrap_or_default()));
            put("guid:x-request-id", Value::Text(self.head.get(b"x-request-id").unwrap_or_default()));
        }
        if let Some(rpc) = &self.rpc {
            put("rpc.system", Value::Text(rpc.system.as_bytes()));
            put("rpc.service", Value::Text(rpc.service));
            put("rpc.method", Value::Text(rpc.method));
        }
        if let Some(status) = trace.grpc_status {
            put("rpc.grpc.status_code", Value::Number(u64::from(status)));
        }
        let protocol = if http.is_some() { "http".to_owned() } else { self.protocol.to_ascii_lowercase() };
        put("network.protocol.name", Value::Text(protocol.as_bytes()));
        if http.is_some() {
            let (host, port) = split_port(self.authority);
            put("server.address", Value::Text(host));
            if let Some(port) = port {
                put("server.port", Value::Number(port));
            }
        }
        let (address, port) = split_port(self.peer.as_bytes());
        put("network.peer.address", Value::Text(address));
        if let Some(port) = port {
            put("network.peer.port", Value::Number(port));
        }
        put("upstream_cluster", Value::Text(self.cluster.as_bytes()));
        put("upstream_address", Value::Text(self.upstream.as_bytes()));
        put("request_size", Value::Number(self.bytes_in));
        put("response_size", Value::Number(self.bytes_out));
        if self.flags != "-" {
            put("response_flags", Value::Text(self.flags.as_bytes()));
        }
        if trace.retried > 0 {
            put("http.request.resend_count", Value::Number(trace.retried));
        }
        if self.failed(trace) {
            let status = self.status.to_string();
            let named = if self.flags == "-" { status.as_str() } else { self.flags };
            put("error.type", Value::Text(named.as_bytes()));
        }
    }

    /// A call's full name, or method and route.
    fn name(&self, trace: &Trace) -> Vec<u8> {
        let (first, mark, second) = match &self.rpc {
            Some(rpc) => (rpc.service, &b"/"[..], rpc.method),
            None => (self.head.method(), &b" "[..], self.route),
        };
        let mut name = if second.is_empty() { first.to_vec() } else { [first, mark, second].concat() };
        name.truncate(trace.max_text_bytes);
        name
    }

    /// Semantic conventions: a server has failed by 500 and above or by one of six gRPC statuses, a client by 400 and above
    /// or by any but OK, and both without an answer.
    fn failed(&self, trace: &Trace) -> bool {
        let server = trace.kind == Kind::Server;
        let worst = if server { 500 } else { 400 };
        let by_grpc = trace.grpc_status.is_some_and(|status| match status {
            0 => false,
            2 | 4 | 12..=15 => true,
            _ => !server,
        });
        self.status == 0 || self.status >= worst || by_grpc
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// Return host and port of `a:1` and `[::1]:1`; a text without a number behind its last colon has no port.
fn split_port(text: &[u8]) -> (&[u8], Option<u64>) {
    let colon = text.iter().rposition(|byte| *byte == b':');
    let port = colon.and_then(|at| std::str::from_utf8(text.get(at + 1..)?).ok()?.parse().ok());
    let host = match (colon, port) {
        (Some(at), Some(_)) => text.get(..at).unwrap_or_default(),
        _ => text,
    };
    let bare = host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host);
    (bare, port)
}

fn nanoseconds(seconds: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates; a clock before 1970 is 0
    let whole = (seconds * 1e9) as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split_port(b"a.b:80"), (&b"a.b"[..], Some(80)));
        assert_eq!(split_port(b"[::1]:8080"), (&b"::1"[..], Some(8080)));
        assert_eq!((split_port(b"a.b"), split_port(b"unix")), ((&b"a.b"[..], None), (&b"unix"[..], None)));
    }

    #[test]
    fn no_query_is_told() {
        assert_eq!((without_query(b"/a?token=1"), without_query(b"/a")), (&b"/a"[..], &b"/a"[..]));
    }
}
