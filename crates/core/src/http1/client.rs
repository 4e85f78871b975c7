//! The upstream side: requests out, responses in, one at a time; reusable when both have ended cleanly.

use crate::events::{Cause, Event, Fault, LocalReply, Piece, StreamId, Wire};
use crate::head::{Head, Version};
use crate::http1::body::{Body, Chunks, Step};
use crate::http1::encode;
use crate::http1::message::{self, HeadLimits, Search};
use crate::limits::MAX_INFORMATIONAL;

#[derive(Debug)]
enum Reading {
    Idle,
    Head,
    Body(Body),
    Tunnel,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Idle,
    Plain,
    Chunked,
    Tunnel,
    Done,
}

/// One HTTP/1 connection with a server at its other end.
#[derive(Debug)]
pub struct Client {
    search: Search,
    reading: Reading,
    writing: Writing,
    stream: StreamId,
    head_request: bool,
    upgrade_asked: bool,
    closing: bool,
    informational: u32,
    /// Bytes of the request at hand that were appended to what is to be written.
    written: usize,
    failed: Option<Fault>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            search: Search::default(),
            reading: Reading::Idle,
            writing: Writing::Idle,
            stream: 0,
            head_request: false,
            upgrade_asked: false,
            closing: false,
            informational: 0,
            written: 0,
            failed: None,
        }
    }
}

impl Client {
    fn response(&mut self, input: &[u8], head: &mut Head) -> Result<(usize, Option<Event>), Fault> {
        let limits = HeadLimits::default();
        let Some(length) = self.search.block(input, limits.bytes, 502)? else { return Ok((0, None)) };
        let framing = message::response(input.get(..length).unwrap_or_default(), head, limits)?;
        let stream = self.stream;
        if head.status == 101 {
            if !self.upgrade_asked || head.upgrade().is_empty() {
                return Err(Fault { status: 502, what: "upgrade that nobody asked for" });
            }
            self.reading = Reading::Tunnel;
            self.writing = Writing::Tunnel;
            self.closing = true;
            return Ok((length, Some(Event::Head { stream, body: Piece::EMPTY, end: false })));
        }
        if head.status < 200 {
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err(Fault { status: 502, what: "too many interim responses" });
            }
            return Ok((length, Some(Event::Informational { stream })));
        }
        self.closing |= match head.version {
            Version::Http10 => !framing.keep_alive,
            _ => framing.close,
        };
        let bodyless = self.head_request || matches!(head.status, 204 | 304);
        self.reading = match head.content_length {
            _ if bodyless => Reading::Done,
            _ if framing.chunked => Reading::Body(Body::Chunked(Chunks::default())),
            Some(0) => Reading::Done,
            Some(length) => Reading::Body(Body::Length(length)),
            None => {
                self.closing = true;
                Reading::Body(Body::UntilClose)
            }
        };
        let end = matches!(self.reading, Reading::Done);
        self.turn();
        Ok((length, Some(Event::Head { stream, body: Piece::EMPTY, end })))
    }

    fn body(&mut self, input: &[u8], head: &mut Head) -> Result<(usize, Option<Event>), Fault> {
        let Reading::Body(body) = &mut self.reading else { return Ok((0, None)) };
        let (used, step) = body.step(input, head, 502)?;
        let stream = self.stream;
        let event = match step {
            Step::More => return Ok((used, None)),
            Step::Data(piece, end) => {
                if end {
                    self.reading = Reading::Done;
                }
                Event::Data { stream, piece, end }
            }
            Step::Trailers => {
                self.reading = Reading::Done;
                Event::Trailers { stream }
            }
        };
        self.turn();
        Ok((used, Some(event)))
    }

    /// Become idle once both directions are through. An answer that ends before its request leaves the connection
    /// in the middle of a message: it cannot be used again.
    fn turn(&mut self) {
        if matches!(self.reading, Reading::Done) {
            if self.writing == Writing::Done {
                self.reading = Reading::Idle;
                self.writing = Writing::Idle;
            } else {
                self.closing = true;
            }
        }
    }

    fn sent_all(&mut self) {
        self.writing = Writing::Done;
        self.turn();
    }

    fn framing(&mut self, head: &Head, end: bool, out: &mut Vec<u8>) {
        let expects_body = matches!(head.method(), b"POST" | b"PUT" | b"PATCH");
        self.writing = if end {
            if head.content_length == Some(0) || (expects_body && head.content_length.is_none()) {
                encode::content_length(out, 0);
            }
            Writing::Done
        } else if let Some(length) = head.content_length {
            encode::content_length(out, length);
            Writing::Plain
        } else {
            encode::field(out, b"transfer-encoding", b"chunked");
            Writing::Chunked
        };
    }
}

impl Wire for Client {
    fn decode(&mut self, input: &[u8], head: &mut Head, _out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
        }
        let decoded = match &self.reading {
            _ if input.is_empty() => Ok((0, None)),
            Reading::Idle | Reading::Done => Err(Fault { status: 502, what: "bytes that answer no request" }),
            Reading::Head => self.response(input, head),
            Reading::Body(_) => self.body(input, head),
            Reading::Tunnel => {
                let piece = Piece { start: 0, end: input.len() };
                Ok((input.len(), Some(Event::Data { stream: self.stream, piece, end: false })))
            }
        };
        decoded.unwrap_or_else(|fault| {
            self.failed = Some(fault);
            self.closing = true;
            (0, Some(Event::Fault(fault)))
        })
    }

    fn eof(&mut self, rest: usize) -> Option<Event> {
        let whole = matches!(self.reading, Reading::Tunnel | Reading::Body(Body::UntilClose));
        (whole && rest == 0).then(|| {
            self.reading = Reading::Done;
            self.closing = true;
            Event::Data { stream: self.stream, piece: Piece { start: 0, end: 0 }, end: true }
        })
    }

    fn open(&mut self) -> StreamId {
        self.stream += 1;
        self.stream
    }

    fn room(&self) -> usize {
        usize::from(!self.closing && matches!(self.reading, Reading::Idle) && self.writing == Writing::Idle)
    }

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if stream != self.stream {
            return 0;
        }
        let before = out.len();
        out.extend_from_slice(head.method());
        out.push(b' ');
        out.extend_from_slice(head.path());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        encode::field(out, b"host", head.authority());
        let te = encode::fields(out, head);
        self.upgrade_asked = !head.upgrade().is_empty();
        match (self.upgrade_asked, te) {
            (true, _) => {
                encode::field(out, b"connection", if te { b"upgrade, te" } else { b"upgrade" });
                encode::field(out, b"upgrade", head.upgrade());
            }
            (false, true) => encode::field(out, b"connection", b"te"),
            (false, false) => {}
        }
        self.framing(head, end && body.is_empty(), out);
        out.extend_from_slice(b"\r\n");
        self.head_request = head.method() == b"HEAD";
        self.informational = 0;
        self.reading = Reading::Head;
        self.written = out.len() - before;
        if body.is_empty() {
            return 0;
        }
        self.data(stream, body, end, out)
    }

    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if stream != self.stream {
            return 0;
        }
        let before = out.len();
        match self.writing {
            Writing::Plain | Writing::Tunnel => out.extend_from_slice(bytes),
            Writing::Chunked => {
                encode::chunk(out, bytes);
                if end {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Writing::Idle | Writing::Done => return 0,
        }
        self.written += out.len() - before;
        if end {
            self.sent_all();
        }
        0
    }

    fn trailers(&mut self, stream: StreamId, trailers: &Head, out: &mut Vec<u8>) {
        if stream != self.stream {
            return;
        }
        let before = out.len();
        if self.writing == Writing::Chunked {
            out.extend_from_slice(b"0\r\n");
            encode::fields(out, trailers);
            out.extend_from_slice(b"\r\n");
        }
        self.written += out.len() - before;
        self.sent_all();
    }

    fn local_reply(&mut self, _stream: StreamId, _reply: &LocalReply<'_>, _out: &mut Vec<u8>) {}

    fn reset(&mut self, stream: StreamId, _cause: Cause, out: &mut Vec<u8>) -> bool {
        if stream == self.stream && matches!(self.reading, Reading::Head) && !self.closing && out.len() == self.written
        {
            // Nothing of it has left: the server need not hear of it, and the connection is as good as before. Streams that
            // are opened and given up in one read would end one idle connection each (CVE-2023-44487).
            out.clear();
            (self.reading, self.writing) = (Reading::Idle, Writing::Idle);
        }
        stream != self.stream || self.room() > 0
    }

    fn drain(&mut self, _out: &mut Vec<u8>) {
        self.closing = true;
    }

    fn closing(&self) -> bool {
        self.closing
    }
}
