//! The upstream side: one connection, shared by many callers under ids of our own.

use std::collections::HashSet;

use crate::bolt::frame::{self, Checksum, Dialect, Frame, Kind};
use crate::bolt::headers;
use crate::bolt::server::{CONNECTION_CLOSED, NO_PROCESSOR, SERVER_THREADPOOL_BUSY, TIMEOUT};
use crate::events::{Cause, Event, Fault, LocalReply, Piece, StreamId, Wire};
use crate::head::Head;
use crate::limits::MAX_BOLT_STREAMS;
use crate::numbers::ByNumber;

/// One Bolt connection with a server at its other end. A stream's number is its id on the wire.
#[derive(Debug, Default)]
pub struct Client {
    pub(super) last: u32,
    open: HashSet<u32, ByNumber>,
    /// Content and checksum of the frame whose head was the last event.
    content: Option<(StreamId, usize, usize)>,
    /// Of the request that is being written.
    sum: Checksum,
    dialect: Dialect,
    closing: bool,
    failed: Option<Fault>,
}

impl Client {
    /// Return the wire of a connection that is being dialled for requests of one dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// Return the dialect of its requests.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn response(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(frame) = Frame::read(rest, 502)? else { return Ok((used, None)) };
            match frame.kind {
                // Answers that come too late, or to nothing, are dropped: some servers answer even oneway requests.
                Kind::Response if self.open.remove(&frame.id) => {
                    let stream = StreamId::from(frame.id);
                    head.clear();
                    let map = frame.store(rest, head);
                    headers::read(head, map, 502)?;
                    let failed = head.get(b"sofa_head_response_error") == Some(b"true");
                    head.status = if failed && frame.status == 0 { 500 } else { http_status(frame.status) };
                    let end = frame.content == 0;
                    self.content = (!end).then_some((stream, frame.content, frame.trailer));
                    return Ok((used + frame.head_length(), Some(Event::Head { stream, end })));
                }
                Kind::Heartbeat => frame::write_heartbeat_ack(frame.sender(), out),
                Kind::Request => frame::write_response(frame.sender(), NO_PROCESSOR, &[], out),
                Kind::GoAway => {
                    self.closing = true;
                    return Ok((used + frame.length(), Some(Event::GoAway)));
                }
                Kind::Response | Kind::HeartbeatAck | Kind::Oneway => {}
            }
            used += frame.length();
        }
    }
}

/// Return the HTTP status that says what a Bolt status says: counters and access logs speak it.
fn http_status(status: u16) -> u16 {
    match status {
        0 => 200,
        NO_PROCESSOR => 404,
        TIMEOUT => 504,
        SERVER_THREADPOOL_BUSY | CONNECTION_CLOSED => 503,
        _ => 500,
    }
}

impl Wire for Client {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
        }
        if let Some((stream, length, trailer)) = self.content.take() {
            let piece = Piece { start: 0, end: length };
            return (length + trailer, Some(Event::Data { stream, piece, end: true }));
        }
        self.response(input, head, out).unwrap_or_else(|fault| {
            self.failed = Some(fault);
            self.closing = true;
            (0, Some(Event::Fault(fault)))
        })
    }

    fn eof(&mut self, _rest: usize) -> Option<Event> {
        None
    }

    fn open(&mut self) -> StreamId {
        // Ids are 32 bits on the wire; one that is still in use after four thousand million others is passed over.
        loop {
            self.last = self.last.wrapping_add(1);
            if self.open.insert(self.last) {
                return StreamId::from(self.last);
            }
        }
    }

    fn room(&self) -> usize {
        if self.closing {
            0
        } else {
            MAX_BOLT_STREAMS.saturating_sub(self.open.len())
        }
    }

    fn head(&mut self, stream: StreamId, head: &Head, end: bool, out: &mut Vec<u8>) {
        let (id, at) = (id_of(stream), out.len());
        frame::write_envelope(head, id, out);
        self.sum.begin(at, end, out);
        if head.frame.oneway {
            self.open.remove(&id);
        }
    }

    fn data(&mut self, _stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(bytes);
        self.sum.update(bytes, end, out);
        0
    }

    fn trailers(&mut self, _stream: StreamId, _trailers: &Head, _out: &mut Vec<u8>) {}

    fn local_reply(&mut self, _stream: StreamId, _reply: &LocalReply<'_>, _out: &mut Vec<u8>) {}

    fn reset(&mut self, stream: StreamId, _cause: Cause, _out: &mut Vec<u8>) -> bool {
        // A request already written cannot be taken back; its answer will be dropped.
        self.open.remove(&id_of(stream));
        true
    }

    fn drain(&mut self, _out: &mut Vec<u8>) {
        self.closing = true;
    }

    fn closing(&self) -> bool {
        self.closing
    }
}

fn id_of(stream: StreamId) -> u32 {
    u32::try_from(stream).unwrap_or(0)
}
