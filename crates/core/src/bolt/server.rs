//! The downstream side: callers that put many requests on one connection.

use crate::bolt::frame::{self, Addressee, Checksum, Dialect, Frame, Kind};
use crate::bolt::headers;
use crate::events::{Cause, Event, Fault, LocalReply, Piece, ReplyKind, StreamId, Wire};
use crate::head::{Head, Version};

/// One Bolt connection with a caller at its other end.
///
/// A stream's number holds all that its answer needs (id, codec, dialect, whether one is wanted) under a running number, so the wire
/// keeps no table, and a caller that uses an id twice gets two answers.
#[derive(Debug, Default)]
pub struct Server {
    sequence: u64,
    /// Content and checksum of the frame whose head was the last event.
    content: Option<(StreamId, usize, usize)>,
    /// Of the answer that is being written.
    sum: Checksum,
    draining: bool,
    failed: Option<Fault>,
}

const CODEC_SHIFT: u32 = 32;
const ONEWAY_SHIFT: u32 = 40;
const DIALECT_SHIFT: u32 = 41;
const SEQUENCE_SHIFT: u32 = 43;

/// What a stream's number says.
struct Caller {
    to: Addressee,
    oneway: bool,
}

impl Server {
    /// Return whether nothing of a frame has come that is not over, and more may come.
    pub fn is_between(&self) -> bool {
        self.content.is_none() && self.failed.is_none()
    }
}

impl Caller {
    fn of(stream: StreamId) -> Self {
        Self {
            to: Addressee {
                dialect: match (stream >> DIALECT_SHIFT) & 3 {
                    0 => Dialect::V1,
                    1 => Dialect::V2,
                    _ => Dialect::V2Checked,
                },
                id: u32::try_from(stream & 0xffff_ffff).unwrap_or(0),
                codec: u8::try_from((stream >> CODEC_SHIFT) & 0xff).unwrap_or(0),
            },
            oneway: (stream >> ONEWAY_SHIFT) & 1 == 1,
        }
    }
}

impl Server {
    fn request(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let Some(frame) = Frame::read(rest, 400)? else { return Ok((used, None)) };
            match frame.kind {
                Kind::Request | Kind::Oneway => {
                    let stream = self.begin(&frame, rest, head)?;
                    let end = frame.content == 0;
                    self.content = (!end).then_some((stream, frame.content, frame.trailer));
                    return Ok((used + frame.head_length(), Some(Event::Head { stream, end })));
                }
                Kind::Heartbeat => frame::write_heartbeat_ack(frame.sender(), out),
                // A caller that answers: nobody asked.
                Kind::HeartbeatAck | Kind::Response | Kind::GoAway => {}
            }
            used += frame.length();
        }
    }

    fn begin(&mut self, frame: &Frame, input: &[u8], head: &mut Head) -> Result<StreamId, Fault> {
        head.clear();
        let map = frame.store(input, head);
        headers::read(head, map, 400)?;
        let service = head.find(b"service").or_else(|| head.find(b"sofa_head_target_service")).unwrap_or_default();
        head.place_authority(service);
        let method = head.find(b"sofa_head_method_name").unwrap_or_default();
        head.place_method(method);
        let mut path = b"/".to_vec();
        path.extend_from_slice(head.bytes(service));
        path.push(b'/');
        path.extend_from_slice(head.bytes(method));
        head.set_path(&path);
        self.sequence += 1;
        Ok((self.sequence << SEQUENCE_SHIFT)
            | (dialect_bits(frame.dialect) << DIALECT_SHIFT)
            | (u64::from(frame.kind == Kind::Oneway) << ONEWAY_SHIFT)
            | (u64::from(frame.codec) << CODEC_SHIFT)
            | u64::from(frame.id))
    }
}

impl Wire for Server {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
        }
        if let Some((stream, length, trailer)) = self.content.take() {
            let piece = Piece { start: 0, end: length };
            return (length + trailer, Some(Event::Data { stream, piece, end: true }));
        }
        self.request(input, head, out).unwrap_or_else(|fault| {
            self.failed = Some(fault);
            (0, Some(Event::Fault(fault)))
        })
    }

    fn eof(&mut self, _rest: usize) -> Option<Event> {
        None
    }

    fn open(&mut self) -> StreamId {
        0
    }

    fn room(&self) -> usize {
        0
    }

    fn head(&mut self, stream: StreamId, head: &Head, end: bool, out: &mut Vec<u8>) {
        let caller = Caller::of(stream);
        if caller.oneway || matches!(head.status, 100..=199) {
            return;
        }
        let at = out.len();
        if head.version == Version::Bolt(caller.to.dialect) {
            frame::write_envelope(head, caller.to.id, out);
        } else {
            let mut map = Vec::new();
            headers::write(head, &mut map);
            let content = usize::try_from(head.content_length.unwrap_or(0)).unwrap_or(0);
            // A server that answers in another version than it was asked in: the same answer, said anew.
            let status = if head.version.is_framed() { head.frame.status } else { status_of(head.status) };
            frame::write_response_head(caller.to, status, head.bytes(head.frame.class), &map, content, out);
        }
        self.sum.begin(at, end, out);
    }

    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if !Caller::of(stream).oneway {
            out.extend_from_slice(bytes);
            self.sum.update(bytes, end, out);
        }
        0
    }

    fn trailers(&mut self, _stream: StreamId, _trailers: &Head, _out: &mut Vec<u8>) {}

    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let caller = Caller::of(stream);
        if caller.oneway {
            return;
        }
        let (status, content) = match reply.kind {
            ReplyKind::Configured => (status_of(reply.status), reply.body),
            ReplyKind::NoRoute => (NO_PROCESSOR, &[][..]),
            ReplyKind::NoEndpoint | ReplyKind::Broken => (CONNECTION_CLOSED, &[][..]),
            ReplyKind::BadResponse => (CODEC_EXCEPTION, &[][..]),
            ReplyKind::Timeout => (TIMEOUT, &[][..]),
            ReplyKind::Overload | ReplyKind::Exhausted => (SERVER_THREADPOOL_BUSY, &[][..]),
            ReplyKind::BadRequest | ReplyKind::Forbidden => (ERROR, &[][..]),
        };
        frame::write_response(caller.to, status, content, out);
    }

    fn reset(&mut self, _stream: StreamId, _cause: Cause, _out: &mut Vec<u8>) -> bool {
        // Frames are written whole: there is never half an answer on the connection.
        true
    }

    fn drain(&mut self, _out: &mut Vec<u8>) {
        self.draining = true;
    }

    fn closing(&self) -> bool {
        self.draining
    }
}

const ERROR: u16 = 1;
const SERVER_EXCEPTION: u16 = 2;
pub(super) const SERVER_THREADPOOL_BUSY: u16 = 4;
pub(super) const NO_PROCESSOR: u16 = 6;
pub(super) const TIMEOUT: u16 = 7;
const CODEC_EXCEPTION: u16 = 9;
pub(super) const CONNECTION_CLOSED: u16 = 0x10;

fn dialect_bits(dialect: Dialect) -> u64 {
    match dialect {
        Dialect::V1 => 0,
        Dialect::V2 => 1,
        Dialect::V2Checked => 2,
    }
}

/// Return the Bolt status that says what an HTTP status says.
fn status_of(http: u16) -> u16 {
    match http {
        200..=299 => 0,
        404 => NO_PROCESSOR,
        429 | 503 => SERVER_THREADPOOL_BUSY,
        504 => TIMEOUT,
        500..=599 => SERVER_EXCEPTION,
        _ => ERROR,
    }
}
