//! The downstream side: callers that put many requests on one connection.

use crate::events::{Cause, Event, Fault, LocalReply, ReplyKind, StreamId, Wire};
use crate::framed::client::Answer;
use crate::framed::codec::{Address, Codec, Extent, Frame};
use crate::framed::kind::Kind;
use crate::head::{Head, Version};
use crate::limits::MAX_FRAMED_STREAMS;
use crate::slab::{Recycle, Slab};

/// One connection with a caller at its other end.
#[derive(Debug)]
pub struct Server<C: Codec> {
    codec: C,
    /// The one that was looked at last.
    frame: Frame,
    /// Callers that wait. A stream is the number of its caller here; one that wants no answer has a number of its own.
    open: Slab<Caller<C::Memory>>,
    oneways: u64,
    draining: bool,
    failed: Option<Fault>,
}

/// Marks the streams that nobody waits for: slots of callers lie below it (`MAX_FRAMED_STREAMS`).
const ONEWAY: StreamId = 1 << 31;

/// A request that lies at the front of what was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// In what it is written.
    pub version: Version,
    /// The caller's budget in milliseconds; -1 or 0: none.
    pub timeout_ms: i32,
    /// Length of its body, which is the end of what passes.
    pub body: usize,
    /// Which part of it is what.
    pub extent: Extent,
}

/// Who waits for an answer.
#[derive(Debug, Default)]
struct Caller<M> {
    id: u64,
    memory: M,
}

impl<M: Default> Recycle for Caller<M> {
    fn recycle(&mut self) {
        // The next caller's is written over it.
    }
}

impl<C: Codec> Server<C> {
    /// Return the wire of a connection that was just accepted.
    pub fn new(codec: C) -> Self {
        Self { codec, frame: Frame::default(), open: Slab::default(), oneways: 0, draining: false, failed: None }
    }

    /// Return what the protocol is.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Return whether nobody waits, and more may come.
    pub fn is_between(&self) -> bool {
        self.failed.is_none() && self.open.is_empty()
    }

    /// Make `call` the request at the front of `input`, and `address` what it is for, which may lie in `head`; `false`: it is not
    /// whole, wants no answer, or must be looked at in full. By reference, as a frame is (`Codec::frame`).
    #[inline]
    pub fn call<'a>(
        &mut self,
        input: &'a [u8],
        call: &mut Call,
        address: &mut Address<'a>,
        head: &'a mut Head,
    ) -> bool {
        let whole = self.failed.is_none() && self.codec.frame(input, 400, &mut self.frame).is_ok_and(|whole| whole);
        let frame = &self.frame;
        if !whole || frame.kind != Kind::Request || self.open.len() >= MAX_FRAMED_STREAMS {
            return false;
        }
        let Some(timeout_ms) = self.codec.address(frame, input, head, address) else { return false };
        let (version, id_at) = (self.codec.written_in(), self.codec.id_at());
        *call = Call { version, timeout_ms, body: frame.body().len(), extent: frame.extent(id_at) };
        true
    }

    /// Make `head` that of the call that was just returned, which lies at the front of `input`; false: it is malformed.
    pub fn describe(&self, input: &[u8], head: &mut Head) -> bool {
        self.codec.store(&self.frame, input, head);
        self.codec.describe(input, head, 400).is_ok()
    }

    /// Take the call that was just returned, which lies at the front of `input`; return its stream.
    #[inline]
    pub fn take(&mut self, input: &[u8]) -> StreamId {
        let Some((stream, caller)) = self.open.take_mut() else { return 0 };
        caller.id = self.frame.id;
        self.codec.remember(input, &mut caller.memory);
        stream
    }

    /// Append that answer, which lies at the front of `input`, under the id of the caller of this stream, if it is for it as it
    /// lies. The stream is over then; `false`: it goes on.
    #[inline]
    pub fn pass(&mut self, stream: StreamId, answer: &Answer, input: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(caller) = self.open.get(stream) else { return false };
        if !self.codec.understands(answer.version, &caller.memory) {
            return false;
        }
        self.codec.copy(input, answer.extent, caller.id, out);
        self.open.release(stream);
        true
    }

    /// Return the stream that the next request begins, and add to `used` what lies before it. The request is the frame at hand.
    fn request(
        &mut self,
        input: &[u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        used: &mut usize,
    ) -> Result<Option<StreamId>, Fault> {
        loop {
            let rest = input.get(*used..).unwrap_or_default();
            if !self.codec.frame(rest, 400, &mut self.frame)? {
                return Ok(None);
            }
            match self.frame.kind {
                Kind::Request if self.open.len() >= MAX_FRAMED_STREAMS => {
                    let body = b"too many requests in flight on this connection";
                    let reply = LocalReply { status: 503, body, fields: &[], kind: ReplyKind::Overload };
                    let mut memory = C::Memory::default();
                    self.codec.remember(rest, &mut memory);
                    self.codec.local_reply(self.frame.id, &memory, &reply, out);
                }
                Kind::Request | Kind::Oneway => return self.begin(rest, head).map(Some),
                Kind::Heartbeat => self.codec.heartbeat_reply(&self.frame, rest, out),
                // A caller that answers: nobody asked.
                Kind::Response | Kind::Failure | Kind::HeartbeatReply | Kind::GoAway | Kind::Ignored => {}
            }
            *used += self.frame.length;
        }
    }

    fn begin(&mut self, input: &[u8], head: &mut Head) -> Result<StreamId, Fault> {
        let frame = &self.frame;
        self.codec.store(frame, input, head);
        self.codec.describe(input, head, 400)?;
        head.frame.oneway = frame.kind == Kind::Oneway;
        if head.frame.oneway {
            self.oneways += 1;
            let (high, low) = (self.oneways >> 31, self.oneways & 0x7fff_ffff);
            return Ok((high << 32) | ONEWAY | low);
        }
        Ok(self.take(input))
    }
}

impl<C: Codec + Default> Default for Server<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: Codec> Wire for Server<C> {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if let Some(fault) = self.failed {
            return (0, Some(Event::Fault(fault)));
        }
        let mut used = 0;
        match self.request(input, head, out, &mut used) {
            Ok(Some(stream)) => {
                let body = self.frame.body().behind(used);
                (used + self.frame.length, Some(Event::Head { stream, body, end: true }))
            }
            Ok(None) => (used, None),
            Err(fault) => {
                self.failed = Some(fault);
                (0, Some(Event::Fault(fault)))
            }
        }
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

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], _end: bool, out: &mut Vec<u8>) -> usize {
        let Some(caller) = self.open.get(stream) else { return 0 };
        if !self.codec.answer(head, caller.id, &caller.memory, body, out) {
            // From anybody but an endpoint there are errors.
            let reply = LocalReply { status: head.status, body: b"", fields: &[], kind: ReplyKind::Configured };
            self.codec.local_reply(caller.id, &caller.memory, &reply, out);
        }
        self.open.release(stream);
        0
    }

    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let Some(caller) = self.open.get(stream) else { return };
        self.codec.local_reply(caller.id, &caller.memory, reply, out);
        self.open.release(stream);
    }

    fn reset(&mut self, stream: StreamId, _cause: Cause, _out: &mut Vec<u8>) -> bool {
        // Frames are written whole: there is never half an answer on the connection.
        self.open.release(stream);
        true
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.draining, true) {
            self.codec.goodbye(out);
        }
    }

    fn closing(&self) -> bool {
        self.draining
    }
}
