//! The one vocabulary in which every wire protocol speaks to the engine.
//!
//! A *wire* turns the bytes of one connection into [`Event`]s and the engine's answers back into bytes. It
//! knows framing and nothing else: no routes, no clusters, no clock, no other connection. HTTP/1.1 carries one
//! stream at a time, Bolt and HTTP/2 many; the engine does not care. Because heads are protocol-neutral
//! ([`Head`]), bridging between protocols is only re-encoding.
//!
//! The loop around a wire is always the same: `decode` until it returns `None`, keeping what was not consumed.
//!
//! **Flow control is a byte credit per stream and direction.** The engine gives credit back with
//! [`Wire::consumed`] when the body bytes of an event have left the mesh (HTTP/2: `WINDOW_UPDATE`; HTTP/1
//! ignores it, the engine pauses its socket instead). The other way round [`Wire::head`] and [`Wire::data`] say how many of
//! the bytes they had to queue for want of window; they come back as [`Event::Sent`].

use crate::head::Head;

/// Names a stream on its connection. Only the wire that made it knows what the bits mean.
pub type StreamId = u64;

/// A piece of the slice given to [`Wire::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Piece {
    /// Nothing.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// Return how many bytes it is.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Return whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Return it as a piece of what begins `before` bytes earlier.
    #[must_use]
    pub fn behind(self, before: usize) -> Self {
        Self { start: self.start + before, end: self.end + before }
    }

    /// Return it with the `size` bytes before it.
    #[must_use]
    pub fn with(self, size: usize) -> Self {
        Self { start: self.start.saturating_sub(size), end: self.end }
    }

    /// Return the bytes of this piece.
    pub fn of<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        input.get(self.start..self.end).unwrap_or_default()
    }
}

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The head of a request (server side) or of a final response (client side) is in the `Head` given to
    /// `decode`. A 101 turns the stream into a tunnel: `Data` both ways.
    ///
    /// A message that is a whole frame (Bolt, Dubbo, declared protocols) is this one event.
    Head {
        /// Stream it belongs to.
        stream: StreamId,
        /// What of the body came with it, still lying in the input. No credit is owed for it: protocols with windows
        /// send none this way.
        body: Piece,
        /// Nothing follows, neither more of the body nor trailers.
        end: bool,
    },
    /// A 1xx response other than 101; its head is in the `Head` given to `decode`.
    Informational {
        /// Stream it belongs to.
        stream: StreamId,
    },
    /// Body bytes, still lying in the input.
    Data {
        /// Stream they belong to.
        stream: StreamId,
        /// Where they lie.
        piece: Piece,
        /// The message ends here.
        end: bool,
    },
    /// Trailer fields are in the `Head` given to `decode`; the message ends here.
    Trailers {
        /// Stream they belong to.
        stream: StreamId,
    },
    /// The peer gave this stream up.
    Reset {
        /// Stream that is gone.
        stream: StreamId,
        /// Why.
        cause: Cause,
    },
    /// Bytes that `data` had queued have left; their credit may be given back to where they came from.
    Sent {
        /// Stream they belong to.
        stream: StreamId,
        /// How many.
        bytes: usize,
    },
    /// The peer takes no new streams; those it has not seen come as `Reset` with [`Cause::Refused`].
    GoAway,
    /// The connection is beyond repair. What the wire wants to say about it is in `out` already; the engine
    /// flushes, closes, and treats every open stream as reset with [`Cause::Protocol`].
    Fault(Fault),
}

/// Why a stream ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The other side no longer wants the answer.
    Cancelled,
    /// The peer did not begin to work on it: safe to send again.
    Refused,
    /// Framing was violated.
    Protocol,
    /// The connection went away.
    Closed,
    /// A deadline passed.
    Timeout,
    /// A limit was reached.
    Overload,
}

/// A violation of framing: what is said to the peer, and to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status that fits (400, 405, 431, 501 from servers, 502 from clients).
    pub status: u16,
    /// One sentence: what was wrong.
    pub what: &'static str,
}

/// An answer that the mesh gives itself.
#[derive(Debug, Clone, Copy)]
pub struct LocalReply<'a> {
    /// HTTP status; other protocols map it.
    pub status: u16,
    /// Short plain text.
    pub body: &'a [u8],
    /// Further header fields (`location`, `retry-after`), names in lower case.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// What went wrong, for protocols whose errors are finer than HTTP's.
    pub kind: ReplyKind,
}

impl LocalReply<'_> {
    /// Return whether its fields say what its body is; else it is plain text.
    pub fn names_its_type(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == b"content-type")
    }
}

/// What a local reply is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// A configured answer, not a failure.
    Configured,
    /// No route matched.
    NoRoute,
    /// No endpoint, or none that could be connected.
    NoEndpoint,
    /// The upstream connection broke before the answer was whole.
    Broken,
    /// The upstream answer was malformed.
    BadResponse,
    /// A deadline passed.
    Timeout,
    /// A limit was reached.
    Overload,
    /// The same, where the caller is told that it asked too much and not that there is too little.
    Exhausted,
    /// The request itself was refused.
    BadRequest,
    /// The caller may not do this, or has not shown who it is.
    Forbidden,
}

/// What a protocol implements, once for each side of a connection.
///
/// Every method that takes `out` appends to it what is to be written to this connection. A stream that is not
/// (or no longer) known is ignored: events cross.
pub trait Wire {
    /// Decode the next event of `input`; return how many bytes were used up and the event, or `None` when more
    /// bytes (or the end of the current response) are needed. Bytes may be used up without an event.
    ///
    /// `input` begins where the previous call stopped consuming. After a `Fault` every call gives that `Fault` again.
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>);

    /// The peer has closed its side, with `rest` bytes not consumed. Return what that means for the stream it ends.
    fn eof(&mut self, rest: usize) -> Option<Event>;

    /// Client side: reserve a stream for a new request. Call only while `room` says so.
    fn open(&mut self) -> StreamId;

    /// Client side: how many more streams may be opened now (HTTP/1: 0 or 1).
    fn room(&self) -> usize;

    /// Send a head, a request's on the client side, a response's (1xx included) on the server side, and how its body
    /// begins; `end`: that is all. Return how many bytes of the body were queued for want of window.
    ///
    /// Where a message is a whole frame all of it must be there: nothing can follow.
    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize;

    /// Send more of a body; return how many bytes were queued for want of window.
    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        let _ = (stream, bytes, end, out);
        0
    }

    /// Send trailer fields and end the message. Protocols without trailers end it plainly.
    fn trailers(&mut self, stream: StreamId, trailers: &Head, out: &mut Vec<u8>) {
        let _ = (stream, trailers, out);
    }

    /// Server side: answer from the mesh itself, whole.
    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>);

    /// Give a stream up. Return whether the connection can still be used.
    fn reset(&mut self, stream: StreamId, cause: Cause, out: &mut Vec<u8>) -> bool;

    /// Give back credit for `bytes` of received body.
    fn consumed(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        let _ = (stream, bytes, out);
    }

    /// Bytes may flow again or a stream ended: return the next `Sent`, until `None`. Only HTTP/2 queues.
    fn sent(&mut self) -> Option<Event> {
        None
    }

    /// Client side: ask the peer whether it lives; `false` where the protocol has no such question.
    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }

    /// Begin an orderly end: no new streams, those open finish.
    fn drain(&mut self, out: &mut Vec<u8>);

    /// Whether the connection must be closed once its open streams have finished.
    fn closing(&self) -> bool;
}
