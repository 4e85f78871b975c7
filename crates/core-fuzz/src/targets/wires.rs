//! Every wire protocol, both sides: any bytes give events or a fault, however they are cut, and a fault is for good.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use eventmesh_core::events::{Cause, Event, Fault, LocalReply, Piece, ReplyKind, StreamId, Wire};
use eventmesh_core::head::Head;
use eventmesh_core::{bolt, dubbo, framed, http1, http2};

use crate::mutate::Random;

/// Requests a client side sends: enough to meet pipelining and reuse.
const MAX_REQUESTS: usize = 6;

/// What may be written for each byte heard, besides `OUT_GRACE`: an answer of our own to a frame of nine bytes.
const OUT_FACTOR: usize = 32;
const OUT_GRACE: usize = 64 * 1024;

/// An event with everything it points at.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Seen {
    Head(StreamId, Vec<Vec<u8>>, u16, Option<u64>, bool),
    Informational(StreamId, u16),
    Data(StreamId, Vec<u8>, bool),
    Trailers(StreamId, Vec<Vec<u8>>),
    Reset(StreamId, u8),
    GoAway,
    Fault(u16, &'static str),
}

pub fn http1_server(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, HTTP1_SERVER, || http1::Server::new(HTTP1_LIMITS))
}

pub fn http1_client(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, HTTP1_CLIENT, http1::Client::default)
}

/// The body of a request whose head is good: every mutation meets the chunk decoder.
pub fn chunked(input: &[u8], cuts: u64) -> Result<u64, String> {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&[head, input].concat(), cuts, HTTP1_SERVER, || http1::Server::new(HTTP1_LIMITS))
}

pub fn http2_server(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, HTTP2_SERVER, || http2::Connection::new(http2::Role::Server, HTTP2_LIMITS, None))
}

pub fn http2_client(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, HTTP2_CLIENT, || {
        http2::Connection::new(http2::Role::Client, HTTP2_LIMITS, Some(&Arc::default()))
    })
}

pub fn bolt_server(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, BOLT_SERVER, framed::Server::<bolt::Codec>::default)
}

pub fn bolt_client(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, BOLT_CLIENT, framed::Client::<bolt::Codec>::default)
}

pub fn framed_server(input: &[u8], cuts: u64) -> Result<u64, String> {
    let protocol = toy()?;
    check(input, cuts, BOLT_SERVER, || framed::Server::new(framed::Declared::new(&protocol, 0)))
}

pub fn framed_client(input: &[u8], cuts: u64) -> Result<u64, String> {
    let protocol = toy()?;
    check(input, cuts, FRAMED_CLIENT, || framed::Client::new(framed::Declared::new(&protocol, 0)))
}

pub fn dubbo_server(input: &[u8], cuts: u64) -> Result<u64, String> {
    retell(input)?;
    check(input, cuts, BOLT_SERVER, || framed::Server::new(dubbo::Codec::default()))
}

/// A call whose attachments were read is the same call when its trace has been told anew.
fn retell(input: &[u8]) -> Result<(), String> {
    let (mut head, mut dropped) = (Head::default(), Vec::new());
    let (_, event) = framed::Server::new(dubbo::Codec::default()).decode(input, &mut head, &mut dropped);
    let (Some(Event::Head { body, .. }), true) = (event, head.frame.attachments_size > 0) else { return Ok(()) };
    let before: Vec<(Vec<u8>, Vec<u8>)> = fields(&head);
    head.set(b"traceparent", TRACEPARENT);
    let (mut client, mut out) = (framed::Client::new(dubbo::Codec::default()), Vec::new());
    let stream = client.open();
    client.head(stream, &head, body.of(input), true, &mut out);
    let mut again = Head::default();
    let (used, event) = framed::Server::new(dubbo::Codec::default()).decode(&out, &mut again, &mut dropped);
    let whole = used == out.len();
    if !matches!(event, Some(Event::Head { .. })) || !whole {
        return Err(format!("a call told anew is no whole frame: {event:?}"));
    }
    let told = again.get(b"traceparent") == Some(TRACEPARENT);
    let same = (again.authority(), again.method(), fields(&again)) == (head.authority(), head.method(), before);
    if told && same {
        Ok(())
    } else {
        Err(format!("told anew: {told}, the same call otherwise: {same}"))
    }
}

const TRACEPARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// All fields but the one that is told anew.
fn fields(head: &Head) -> Vec<(Vec<u8>, Vec<u8>)> {
    let others = head.fields().filter(|(name, _)| *name != b"traceparent");
    let mut fields: Vec<_> = others.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    fields.sort();
    fields
}

pub fn dubbo_client(input: &[u8], cuts: u64) -> Result<u64, String> {
    check(input, cuts, DUBBO_CLIENT, || framed::Client::new(dubbo::Codec::default()))
}

/// A declared protocol with everything that a declaration can say.
pub fn toy() -> Result<Arc<framed::Protocol>, String> {
    static TOY: OnceLock<Result<Arc<framed::Protocol>, String>> = OnceLock::new();
    let compile = || framed::Protocol::compile(include_str!("../../../core/src/framed/toy.json")).map(Arc::new);
    TOY.get_or_init(compile).clone()
}

const HTTP1_LIMITS: http1::HeadLimits = http1::HeadLimits { bytes: 8192, fields: 50 };
const HTTP2_LIMITS: http2::HeadLimits = http2::HeadLimits { max_bytes: 8192, max_count: 50 };

/// How a conversation is held.
#[derive(Clone, Copy)]
struct Manner {
    /// The request that is sent as number so-and-so; `None` on the server side.
    request: Option<fn(usize) -> Head>,
    /// Whole requests are answered by the mesh itself, as a protocol needs whose answers only its own kind can write.
    replies_locally: bool,
    /// Bytes a wire may leave unconsumed while it waits for more.
    max_unused: usize,
}

const HTTP1_SERVER: Manner = Manner { request: None, replies_locally: false, max_unused: 64 * 1024 };
const HTTP1_CLIENT: Manner = Manner { request: Some(http_request), ..HTTP1_SERVER };
/// One frame.
const HTTP2_SERVER: Manner = Manner { max_unused: 9 + 16_384, ..HTTP1_SERVER };
const HTTP2_CLIENT: Manner = Manner { request: Some(http_request), ..HTTP2_SERVER };
/// Frames are awaited whole, up to 8 MiB: more than any input.
const BOLT_SERVER: Manner = Manner { request: None, replies_locally: true, max_unused: usize::MAX };
const BOLT_CLIENT: Manner = Manner { request: Some(bolt_request), ..BOLT_SERVER };
const DUBBO_CLIENT: Manner = Manner { request: Some(dubbo_request), ..BOLT_SERVER };
const FRAMED_CLIENT: Manner = Manner { request: Some(framed_request), ..BOLT_SERVER };

fn http_request(number: usize) -> Head {
    const METHODS: [&[u8]; 3] = [b"GET", b"HEAD", b"POST"];
    let mut head = Head::default();
    let method = METHODS.get(number % METHODS.len()).copied().unwrap_or(b"GET");
    head.set_method(method);
    head.set_path(b"/");
    head.set_authority(b"a");
    head.content_length = (method == b"POST").then_some(2);
    head
}

fn bolt_request(_number: usize) -> Head {
    // Two-way request 1 of class "C", with neither header map nor content.
    const REQUEST: &[u8] = b"\x01\x01\0\x01\x01\0\0\0\x01\x01\0\0\x0b\xb8\0\x01\0\0\0\0\0\0C";
    let mut head = Head::default();
    let _ = framed::Server::<bolt::Codec>::default().decode(REQUEST, &mut head, &mut Vec::new());
    head
}

fn dubbo_request(_number: usize) -> Head {
    let mut head = Head::default();
    let request = b"\xda\xbb\xc2\0\0\0\0\0\0\0\0\x01\0\0\0\0";
    let _ = framed::Server::new(dubbo::Codec::default()).decode(request, &mut head, &mut Vec::new());
    head
}

fn framed_request(_number: usize) -> Head {
    // Request 1 of service "S", with neither headers nor body.
    const REQUEST: &[u8] = b"ab\0\x1a\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01me\0\0\0\x01S\0\0\0\0";
    let mut head = Head::default();
    if let Ok(protocol) = toy() {
        let codec = framed::Declared::new(&protocol, 0);
        let _ = framed::Server::new(codec).decode(REQUEST, &mut head, &mut Vec::new());
    }
    head
}

/// Hold the conversation twice, whole and cut in pieces, and compare what was seen and said.
fn check<W: Wire>(input: &[u8], cuts: u64, manner: Manner, make: impl Fn() -> W) -> Result<u64, String> {
    let whole = converse(make(), manner, &[input])?;
    let mut random = Random::new(cuts);
    let mut pieces = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let most = if random.below(2) == 0 { 4 } else { rest.len() };
        let (piece, after) = rest.split_at((1 + random.below(most)).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    let cut = converse(make(), manner, &pieces)?;
    if whole.seen != cut.seen {
        return Err(format!("cut, it gives other events:\n  whole {:?}\n  cut   {:?}", whole.seen, cut.seen));
    }
    Ok(whole.behaviour())
}

struct Transcript {
    seen: Vec<Seen>,
}

impl Transcript {
    /// Digest the kinds of what was seen, not their content: that is what is new or not.
    fn behaviour(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for seen in self.seen.iter().take(24) {
            match seen {
                Seen::Head(_, fields, status, length, end) => {
                    (0, fields.len().min(9), status, length.is_some(), end).hash(&mut hasher);
                }
                Seen::Informational(_, status) => (1, status).hash(&mut hasher),
                Seen::Data(_, bytes, end) => (2, bytes.is_empty(), end).hash(&mut hasher),
                Seen::Trailers(_, fields) => (3, fields.len().min(3)).hash(&mut hasher),
                other => other.hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

struct Talk<W> {
    wire: W,
    manner: Manner,
    head: Head,
    out: Vec<u8>,
    said: usize,
    requests: usize,
    /// The connection cannot be used any more.
    over: bool,
    seen: Vec<Seen>,
}

fn converse<W: Wire>(wire: W, manner: Manner, pieces: &[&[u8]]) -> Result<Transcript, String> {
    let mut talk =
        Talk { wire, manner, head: Head::default(), out: vec![], said: 0, requests: 0, over: false, seen: vec![] };
    talk.ask();
    let mut unused: Vec<u8> = Vec::new();
    let mut heard = 0;
    for piece in pieces {
        unused.extend_from_slice(piece);
        heard += piece.len();
        let mut at = 0;
        loop {
            let rest = unused.get(at..).unwrap_or_default();
            let (used, event) = talk.wire.decode(rest, &mut talk.head, &mut talk.out);
            if used > rest.len() {
                return Err(format!("used {used} of {} bytes", rest.len()));
            }
            let Some(event) = event else {
                at += used;
                break;
            };
            talk.record(event, rest)?;
            if let Event::Fault(fault) = event {
                talk.stays_failed(fault)?;
                return Ok(Transcript { seen: talk.seen });
            }
            at += used;
            talk.answer(event);
            talk.check_output(heard)?;
            if talk.over {
                return Ok(Transcript { seen: talk.seen });
            }
        }
        unused.drain(..at);
        if unused.len() > manner.max_unused && pieces.len() > 1 {
            return Err(format!("{} bytes wait to be understood", unused.len()));
        }
        talk.check_output(heard)?;
    }
    Ok(Transcript { seen: talk.seen })
}

impl<W: Wire> Talk<W> {
    /// Client side: send requests while there is room.
    fn ask(&mut self) {
        let Some(request) = self.manner.request else { return };
        while self.requests < MAX_REQUESTS && self.wire.room() > 0 {
            let head = request(self.requests);
            let body = head.content_length.is_some();
            let stream = self.wire.open();
            self.wire.head(stream, &head, if body { b"ok" } else { b"" }, true, &mut self.out);
            self.requests += 1;
        }
    }

    /// Server side: answer whole requests, in ways that depend on the stream alone.
    fn answer(&mut self, event: Event) {
        while self.wire.sent().is_some() {}
        let (Event::Head { stream: ended, end: true, .. }
        | Event::Trailers { stream: ended }
        | Event::Data { stream: ended, end: true, .. }) = event
        else {
            return;
        };
        if self.manner.request.is_some() {
            return self.ask();
        }
        if self.manner.replies_locally || ended % 7 == 6 {
            let reply = LocalReply { status: 503, body: b"no", fields: &[], kind: ReplyKind::NoEndpoint };
            return self.wire.local_reply(ended, &reply, &mut self.out);
        }
        if ended % 7 == 5 {
            self.over = !self.wire.reset(ended, Cause::Cancelled, &mut self.out);
            return;
        }
        let mut head = Head::default();
        head.status = 200;
        head.push(b"server", b"fuzz");
        self.wire.head(ended, &head, b"", false, &mut self.out);
        self.wire.data(ended, &[b'x'; 100], ended % 3 != 0, &mut self.out);
        if ended % 3 == 0 {
            self.wire.trailers(ended, &Head::default(), &mut self.out);
        }
    }

    fn check_output(&mut self, heard: usize) -> Result<(), String> {
        self.said += self.out.len();
        self.out.clear();
        if self.said > heard * OUT_FACTOR + OUT_GRACE {
            return Err(format!("{} bytes said to {heard} heard", self.said));
        }
        Ok(())
    }

    fn stays_failed(&mut self, fault: Fault) -> Result<(), String> {
        self.out.clear();
        let (_, again) = self.wire.decode(b"more", &mut self.head, &mut self.out);
        if again != Some(Event::Fault(fault)) || !self.out.is_empty() {
            return Err(format!("after a fault there is {again:?}, and {} bytes more", self.out.len()));
        }
        Ok(())
    }

    fn record(&mut self, event: Event, input: &[u8]) -> Result<(), String> {
        if let Event::Head { body: piece, .. } | Event::Data { piece, .. } = event {
            let Piece { start, end: stop } = piece;
            if start > stop || stop > input.len() {
                return Err(format!("a piece from {start} to {stop} of {} bytes", input.len()));
            }
        }
        let fields = || {
            let flat = self.head.fields().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
            flat.collect::<Vec<_>>()
        };
        let head = &self.head;
        let seen = match event {
            Event::Head { stream, body, end } => {
                let mut parts = vec![head.method().to_vec(), head.authority().to_vec(), head.path().to_vec()];
                parts.push(body.of(input).to_vec());
                parts.extend(fields());
                Seen::Head(stream, parts, head.status, head.content_length, end)
            }
            Event::Informational { stream } => Seen::Informational(stream, head.status),
            Event::Data { stream, piece, end } => Seen::Data(stream, piece.of(input).to_vec(), end),
            Event::Trailers { stream } => Seen::Trailers(stream, fields()),
            Event::Reset { stream, cause } => {
                Seen::Reset(stream, format!("{cause:?}").as_bytes().first().copied().unwrap_or(0))
            }
            Event::Sent { .. } => return Ok(()),
            Event::GoAway => Seen::GoAway,
            Event::Fault(fault) => Seen::Fault(fault.status, fault.what),
        };
        if let Seen::Data(stream, bytes, end) = &seen {
            // How a body was cut says nothing.
            if let Some(Seen::Data(before, held, held_end @ false)) = self.seen.last_mut() {
                if before == stream {
                    held.extend_from_slice(bytes);
                    *held_end = *end;
                    return Ok(());
                }
            }
        }
        self.seen.push(seen);
        Ok(())
    }
}
