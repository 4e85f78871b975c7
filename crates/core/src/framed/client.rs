//! The upstream side: one connection, shared by many callers under ids of our own.

use crate::events::{Cause, Event, Fault, LocalReply, StreamId, Wire};
use crate::framed::codec::{Codec, Extent, Frame};
use crate::framed::ids::Ids;
use crate::framed::kind::Kind;
use crate::head::{Head, Version};
use crate::limits::MAX_FRAMED_STREAMS;

/// One connection with a server at its other end. A stream's number is its id on the wire.
#[derive(Debug)]
pub struct Client<C> {
    codec: C,
    /// The one that was looked at last.
    frame: Frame,
    pub(crate) last: u64,
    open: Ids,
    closing: bool,
    failed: Option<Fault>,
}

/// An answer that lies at the front of what was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its stream.
    pub stream: StreamId,
    /// In what it is written.
    pub version: Version,
    /// The HTTP status that says what it says.
    pub status: u16,
    /// Which part of it is what.
    pub extent: Extent,
}

impl<C: Codec> Client<C> {
    /// Return the wire of a connection that is being dialled.
    pub fn new(codec: C) -> Self {
        Self { codec, frame: Frame::default(), last: 0, open: Ids::default(), closing: false, failed: None }
    }

    /// Return what the protocol is.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Return the answer at the front of `input`, if it is whole.
    #[inline]
    pub fn answer(&mut self, input: &[u8]) -> Option<Answer> {
        let whole = self.failed.is_none() && self.codec.frame(input, 502, &mut self.frame).is_ok_and(|whole| whole);
        let answers = whole && matches!(self.frame.kind, Kind::Response | Kind::Failure);
        let frame = &self.frame;
        let status = answers.then(|| self.codec.status(frame, input, 502).ok()).flatten()?;
        let (version, id_at) = (self.codec.written_in(), self.codec.id_at());
        Some(Answer { stream: frame.id, version, status, extent: frame.extent(id_at) })
    }

    /// Append the request at the front of `input` on a new stream, as it lies; return the stream.
    #[inline]
    pub fn forward(&mut self, input: &[u8], request: Extent, out: &mut Vec<u8>) -> StreamId {
        let stream = self.open();
        self.codec.copy(input, request, stream, out);
        stream
    }

    /// A stream has its answer.
    #[inline]
    pub fn answered(&mut self, stream: StreamId) {
        self.open.remove(stream);
    }

    fn response(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if !self.codec.frame(rest, 502, &mut self.frame)? {
                return Ok((used, None));
            }
            let frame = &self.frame;
            match frame.kind {
                // Answers that come too late, or to nothing, are dropped: some servers answer even oneway requests.
                Kind::Response | Kind::Failure if self.open.remove(frame.id) => {
                    self.codec.store(frame, rest, head);
                    self.codec.describe_answer(frame, rest, head, 502)?;
                    head.status = self.codec.status(frame, rest, 502)?;
                    let event = Event::Head { stream: frame.id, body: frame.body().behind(used), end: true };
                    return Ok((used + frame.length, Some(event)));
                }
                Kind::Heartbeat => self.codec.heartbeat_reply(frame, rest, out),
                Kind::GoAway => {
                    self.closing = true;
                    return Ok((used + frame.length, Some(Event::GoAway)));
                }
                Kind::Request => self.codec.unasked(out),
                Kind::Response | Kind::Failure | Kind::HeartbeatReply | Kind::Oneway | Kind::Ignored => {}
            }
            used += frame.length;
        }
    }
}

impl<C: Codec + Default> Default for Client<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: Codec> Wire for Client<C> {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
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
        // An id whose place another still has is passed over.
        loop {
            self.last = self.last.wrapping_add(1) & self.codec.max_id();
            if self.open.insert(self.last) {
                return self.last;
            }
        }
    }

    fn room(&self) -> usize {
        if self.closing {
            0
        } else {
            MAX_FRAMED_STREAMS.saturating_sub(self.open.len())
        }
    }

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], _end: bool, out: &mut Vec<u8>) -> usize {
        self.codec.write(head, stream, body, out);
        if head.frame.oneway {
            self.open.remove(stream);
        }
        0
    }

    fn local_reply(&mut self, _stream: StreamId, _reply: &LocalReply<'_>, _out: &mut Vec<u8>) {}

    fn reset(&mut self, stream: StreamId, _cause: Cause, _out: &mut Vec<u8>) -> bool {
        // A request already written cannot be taken back; its answer will be dropped.
        self.open.remove(stream);
        true
    }

    fn drain(&mut self, _out: &mut Vec<u8>) {
        self.closing = true;
    }

    fn closing(&self) -> bool {
        self.closing
    }
}
