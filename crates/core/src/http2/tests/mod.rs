//! Conversations with a connection, frame by frame and end to end.

mod bounds;
mod conversation;
mod flow;
mod lending;
mod rules;
mod vectors;

use std::sync::Arc;

use super::frame::{self, Kind};
use super::{Connection, HeadLimits, Lender, Role, PREFACE};
use crate::events::{Cause, Event, StreamId, Wire};
use crate::head::Head;
use crate::hpack::{Decoder, Encoder, Field};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 61_440, max_count: 100 };

/// An event with everything it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Head { stream: StreamId, start: String, fields: Vec<(String, String)>, end: bool },
    Informational { stream: StreamId, status: u16 },
    Data { stream: StreamId, bytes: Vec<u8>, end: bool },
    Trailers { stream: StreamId, fields: Vec<(String, String)> },
    Reset { stream: StreamId, cause: Cause },
    Sent { stream: StreamId, bytes: usize },
    GoAway,
    Fault(&'static str),
}

/// One end of a connection, and what it has said and seen.
struct End {
    wire: Connection,
    head: Head,
    input: Vec<u8>,
    out: Vec<u8>,
    seen: Vec<Seen>,
}

impl End {
    fn new(role: Role) -> Self {
        Self::lent(role, &Arc::default())
    }

    fn lent(role: Role, lender: &Arc<Lender>) -> Self {
        let wire = Connection::new(role, LIMITS, Some(lender));
        Self { wire, head: Head::default(), input: Vec::new(), out: Vec::new(), seen: Vec::new() }
    }

    /// A server that has exchanged prefaces with an ordinary client.
    fn server() -> Self {
        let mut end = Self::new(Role::Server);
        end.hears(PREFACE);
        end.hears(&settings(&[]));
        end.says();
        end
    }

    /// A client with one GET open on stream 1 of an ordinary server.
    fn client() -> Self {
        let mut end = Self::new(Role::Client);
        end.request(b"GET", true);
        end.hears(&settings(&[]));
        end.says();
        end
    }

    fn request(&mut self, method: &[u8], over: bool) -> StreamId {
        let stream = self.wire.open();
        self.wire.head(stream, &request(method, "/x"), b"", over, &mut self.out);
        stream
    }

    fn hears(&mut self, bytes: &[u8]) -> &mut Self {
        self.input.extend_from_slice(bytes);
        loop {
            let (used, event) = self.wire.decode(&self.input, &mut self.head, &mut self.out);
            let owned = event.map(|event| owned(event, &self.head, &self.input));
            self.input.drain(..used);
            while let Some(Event::Sent { stream, bytes }) = self.wire.sent() {
                self.seen.push(Seen::Sent { stream, bytes });
            }
            let Some(owned) = owned else { return self };
            let fault = matches!(owned, Seen::Fault(_));
            self.record(owned);
            if fault {
                return self;
            }
        }
    }

    /// Adjacent pieces of one body are one: how it was cut says nothing.
    fn record(&mut self, event: Seen) {
        if let (
            Some(Seen::Data { stream: before, bytes: held, end: held_end @ false }),
            Seen::Data { stream, bytes, end },
        ) = (self.seen.last_mut(), &event)
        {
            if before == stream {
                held.extend_from_slice(bytes);
                *held_end = *end;
                return;
            }
        }
        self.seen.push(event);
    }

    fn says(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn saw(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// The frames said since the last look, as (kind, flags, stream, payload).
    fn frames(&mut self) -> Vec<(Kind, u8, u32, Vec<u8>)> {
        frames(&self.says())
    }
}

fn owned(event: Event, head: &Head, input: &[u8]) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = || head.fields().map(|(name, value)| (text(name), text(value))).collect();
    match event {
        Event::Head { stream, end, .. } => {
            let start = match head.status {
                0 => [head.method(), head.scheme(), head.authority(), head.path()].map(text).join(" "),
                status => status.to_string(),
            };
            Seen::Head { stream, start, fields: fields(), end }
        }
        Event::Informational { stream } => Seen::Informational { stream, status: head.status },
        Event::Data { stream, piece, end } => Seen::Data { stream, bytes: piece.of(input).to_vec(), end },
        Event::Trailers { stream } => Seen::Trailers { stream, fields: fields() },
        Event::Reset { stream, cause } => Seen::Reset { stream, cause },
        Event::Sent { stream, bytes } => Seen::Sent { stream, bytes },
        Event::GoAway => Seen::GoAway,
        Event::Fault(fault) => Seen::Fault(fault.what),
    }
}

fn request(method: &[u8], path: &str) -> Head {
    let mut head = Head::default();
    head.set_method(method);
    head.set_path(path.as_bytes());
    head.set_authority(b"shop.example");
    head.push(b"user-agent", b"test");
    head
}

fn response(status: u16) -> Head {
    let mut head = Head::default();
    head.status = status;
    head
}

fn trailers(fields: &[(&str, &str)]) -> Head {
    let mut head = Head::default();
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_header(payload.len(), kind, flags, stream, &mut out);
    out.extend_from_slice(payload);
    out
}

fn frames(bytes: &[u8]) -> Vec<(Kind, u8, u32, Vec<u8>)> {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    let mut found = Vec::new();
    while let Some(bytes) = rest.first_chunk::<9>() {
        let header = frame::Header::parse(bytes);
        found.push((header.kind, header.flags, header.stream, rest[9..9 + header.length].to_vec()));
        rest = &rest[9 + header.length..];
    }
    assert!(rest.is_empty());
    found
}

fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(Kind::Settings, 0, 0, &payload)
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes())
}

/// A header block that uses no table, so that any number of them can be made apart.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        Encoder::default().field(name.as_bytes(), value.as_bytes(), true, &mut out);
    }
    out
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/x")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/x")];

/// HEADERS with `END_HEADERS`.
fn headers(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    frame(Kind::Headers, 0x4 | u8::from(end), stream, &block(fields))
}

fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(Kind::Data, u8::from(end), stream, bytes)
}

fn fields_of(payload: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let keep = |field: Field<'_>| {
        found.push((text(field.name), text(field.value)));
        true
    };
    Decoder::default().decode(payload, keep).unwrap();
    found
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Kind, stream and code of every `RST_STREAM` and `GOAWAY`.
fn codes(said: &[(Kind, u8, u32, Vec<u8>)]) -> Vec<(Kind, u32, u32)> {
    let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    said.iter()
        .filter_map(|(kind, _, stream, payload)| match kind {
            Kind::RstStream => Some((*kind, *stream, word(payload))),
            Kind::GoAway => Some((*kind, *stream, word(&payload[4..8]))),
            _ => None,
        })
        .collect()
}
