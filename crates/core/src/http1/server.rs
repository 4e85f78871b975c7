//! The downstream side: requests in, responses out, one at a time and in order.

use crate::events::{Cause, Event, Fault, LocalReply, Piece, ReplyKind, StreamId, Wire};
use crate::head::{Head, Version};
use crate::http1::body::{Body, Chunks, Step};
use crate::http1::encode;
use crate::http1::message::{self, HeadLimits, Search};
use crate::limits::MAX_DISCARD;

#[derive(Debug)]
enum Reading {
    Head,
    Body(Body),
    Done,
    Tunnel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Idle,
    Awaited,
    Bodyless,
    Plain,
    Chunked,
    UntilClose,
    Tunnel,
    Done,
}

/// One HTTP/1 connection with a client at its other end. The next request is not read before the current answer has
/// been written: pipelined requests wait as bytes.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts; the states are enums
pub struct Server {
    limits: HeadLimits,
    search: Search,
    reading: Reading,
    writing: Writing,
    stream: StreamId,
    version: Version,
    bodyless: bool,
    awaits_continue: bool,
    closing: bool,
    draining: bool,
    discarded: u64,
    failed: Option<Fault>,
}

impl Server {
    /// Return a connection before its first request.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            search: Search::default(),
            reading: Reading::Head,
            writing: Writing::Idle,
            stream: 0,
            version: Version::Http11,
            bodyless: false,
            awaits_continue: false,
            closing: false,
            draining: false,
            discarded: 0,
            failed: None,
        }
    }

    /// Return whether nothing has been asked yet.
    pub fn is_fresh(&self) -> bool {
        self.stream == 0 && self.failed.is_none()
    }

    /// Return whether the body of a request has not come to its end.
    pub fn in_body(&self) -> bool {
        matches!(self.reading, Reading::Body(_))
    }

    /// Return whether nothing of a message has come that is not over, and more may come.
    pub fn is_between(&self) -> bool {
        matches!(self.reading, Reading::Head) && self.writing == Writing::Idle && !self.closing && self.failed.is_none()
    }

    fn request(&mut self, input: &[u8], head: &mut Head) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        if self.closing {
            return Ok((input.len(), None));
        }
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(length) = self.search.block(rest, self.limits.bytes, 400)? else { return Ok((used, None)) };
            used += length;
            if length == 2 {
                continue; // an empty line before the request line (RFC 9112 2.2)
            }
            let framing = message::request(rest.get(..length).unwrap_or_default(), head, self.limits)?;
            self.stream += 1;
            self.version = head.version;
            self.bodyless = head.method() == b"HEAD";
            self.awaits_continue = head.expects_continue && head.version == Version::Http11;
            self.closing = match head.version {
                Version::Http10 => !framing.keep_alive,
                _ => framing.close,
            };
            self.reading = match head.content_length {
                _ if framing.chunked => Reading::Body(Body::Chunked(Chunks::default())),
                Some(length) if length > 0 => Reading::Body(Body::Length(length)),
                _ => Reading::Done,
            };
            let end = matches!(self.reading, Reading::Done);
            if !end {
                head.set_upgrade(b"");
            }
            self.writing = Writing::Awaited;
            self.discarded = 0;
            return Ok((used, Some(Event::Head { stream: self.stream, body: Piece::EMPTY, end })));
        }
    }

    fn body(&mut self, input: &[u8], head: &mut Head) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Reading::Body(body) = &mut self.reading else {
                // A body that nobody wanted has come to its end: the next request may lie behind it.
                let (taken, event) = self.request(rest, head)?;
                return Ok((used + taken, event));
            };
            let (taken, step) = body.step(rest, head, 400)?;
            let stream = self.stream;
            let event = match step {
                Step::More => return Ok((used + taken, None)),
                Step::Data(piece, end) => {
                    if end {
                        self.reading = Reading::Done;
                    }
                    let piece = Piece { start: piece.start + used, end: piece.end + used };
                    Event::Data { stream, piece, end }
                }
                Step::Trailers => {
                    self.reading = Reading::Done;
                    Event::Trailers { stream }
                }
            };
            used += taken;
            if self.writing != Writing::Done {
                return Ok((used, Some(event)));
            }
            self.discarded += taken as u64;
            self.closing |= self.discarded > MAX_DISCARD;
            self.turn();
        }
    }

    /// Begin the next request once both directions of this one are through.
    fn turn(&mut self) {
        if self.writing == Writing::Done && matches!(self.reading, Reading::Done) && !self.closing {
            self.reading = Reading::Head;
            self.writing = Writing::Idle;
        }
    }

    /// The answer is whole.
    fn finish(&mut self) {
        self.writing = Writing::Done;
        match &self.reading {
            Reading::Body(Body::Length(left)) if *left > MAX_DISCARD => self.closing = true,
            Reading::Body(_) if self.awaits_continue => self.closing = true,
            _ => {}
        }
        self.turn();
    }

    /// Write the field that tells what becomes of the connection, and the empty line.
    fn end_of_head(&mut self, out: &mut Vec<u8>) {
        self.closing |= self.draining;
        if let Reading::Body(body) = &self.reading {
            // The client may or may not send what it announced: nobody can tell where the next request begins.
            self.closing |= self.awaits_continue
                || matches!(body, Body::Length(left) if *left > MAX_DISCARD && self.writing == Writing::Done);
        }
        if self.closing {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn informational(&mut self, head: &Head, out: &mut Vec<u8>) {
        if self.version == Version::Http11 {
            encode::status_line(out, head.status);
            encode::fields(out, head);
            out.extend_from_slice(b"\r\n");
        }
        if head.status == 100 {
            self.awaits_continue = false;
        }
    }

    /// Write the head of a final response; `end`: it has neither body nor trailers.
    fn final_head(&mut self, head: &Head, end: bool, out: &mut Vec<u8>) {
        encode::status_line(out, head.status);
        encode::fields(out, head);
        self.writing = if self.bodyless || matches!(head.status, 204 | 304) {
            if let Some(length) = head.content_length.filter(|_| head.status != 204) {
                encode::content_length(out, length);
            }
            Writing::Bodyless
        } else if let Some(length) = head.content_length.or(end.then_some(0)) {
            encode::content_length(out, length);
            Writing::Plain
        } else if self.version == Version::Http11 {
            encode::field(out, b"transfer-encoding", b"chunked");
            Writing::Chunked
        } else {
            self.closing = true;
            Writing::UntilClose
        };
        self.end_of_head(out);
        if end {
            self.finish();
        }
    }

    fn switch(&mut self, head: &Head, out: &mut Vec<u8>) {
        encode::status_line(out, 101);
        encode::fields(out, head);
        encode::field(out, b"connection", b"upgrade");
        encode::field(out, b"upgrade", head.upgrade());
        out.extend_from_slice(b"\r\n");
        self.reading = Reading::Tunnel;
        self.writing = Writing::Tunnel;
        self.closing = true;
    }
}

impl Wire for Server {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
        }
        let decoded = match &self.reading {
            Reading::Head => self.request(input, head),
            Reading::Body(_) => self.body(input, head),
            Reading::Done => Ok((if self.closing { input.len() } else { 0 }, None)),
            Reading::Tunnel if input.is_empty() => Ok((0, None)),
            Reading::Tunnel => {
                let piece = Piece { start: 0, end: input.len() };
                Ok((input.len(), Some(Event::Data { stream: self.stream, piece, end: false })))
            }
        };
        decoded.unwrap_or_else(|fault| {
            self.failed = Some(fault);
            self.closing = true;
            if matches!(self.writing, Writing::Idle | Writing::Awaited) {
                let body = fault.what.as_bytes();
                let reply = LocalReply { status: fault.status, body, fields: &[], kind: ReplyKind::BadRequest };
                encode::local_head(out, &reply);
                out.extend_from_slice(b"connection: close\r\n\r\n");
                if !self.bodyless || self.writing == Writing::Idle {
                    out.extend_from_slice(body);
                }
            }
            self.writing = Writing::Done;
            (0, Some(Event::Fault(fault)))
        })
    }

    fn eof(&mut self, _rest: usize) -> Option<Event> {
        matches!(self.reading, Reading::Tunnel).then(|| {
            self.reading = Reading::Done;
            Event::Data { stream: self.stream, piece: Piece { start: 0, end: 0 }, end: true }
        })
    }

    fn open(&mut self) -> StreamId {
        self.stream
    }

    fn room(&self) -> usize {
        0
    }

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if stream != self.stream || self.writing != Writing::Awaited {
            return 0;
        }
        match head.status {
            101 => self.switch(head, out),
            100..=199 => self.informational(head, out),
            _ => self.final_head(head, end && body.is_empty(), out),
        }
        if body.is_empty() {
            return 0;
        }
        self.data(stream, body, end, out)
    }

    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if stream != self.stream {
            return 0;
        }
        match self.writing {
            Writing::Plain | Writing::UntilClose | Writing::Tunnel => out.extend_from_slice(bytes),
            Writing::Chunked => {
                encode::chunk(out, bytes);
                if end {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Writing::Bodyless => {}
            Writing::Idle | Writing::Awaited | Writing::Done => return 0,
        }
        if end {
            self.finish();
        }
        0
    }

    fn trailers(&mut self, stream: StreamId, trailers: &Head, out: &mut Vec<u8>) {
        if stream != self.stream {
            return;
        }
        if self.writing == Writing::Chunked {
            out.extend_from_slice(b"0\r\n");
            encode::fields(out, trailers);
            out.extend_from_slice(b"\r\n");
        }
        self.finish();
    }

    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        if stream != self.stream || self.writing != Writing::Awaited {
            return;
        }
        encode::local_head(out, reply);
        self.writing = Writing::Done;
        self.end_of_head(out);
        if !self.bodyless && !matches!(reply.status, 204 | 304) {
            out.extend_from_slice(reply.body);
        }
        self.finish();
    }

    fn reset(&mut self, stream: StreamId, _cause: Cause, _out: &mut Vec<u8>) -> bool {
        stream != self.stream || matches!(self.writing, Writing::Idle | Writing::Done)
    }

    fn drain(&mut self, _out: &mut Vec<u8>) {
        self.draining = true;
    }

    fn closing(&self) -> bool {
        self.closing || self.draining
    }
}
