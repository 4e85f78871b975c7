//! The state of one connection, and how the engine drives it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::budget::Budget;
use super::error::ConnectionError;
use super::fields::HeadLimits;
use super::frame::{self, ErrorCode};
use super::lending::{Lender, Windows};
use super::role::Role;
use super::stream::{Side, Silenced, Streams};
use super::{limits, settings};
use crate::events::{Cause, Event, Fault, LocalReply, StreamId, Wire};
use crate::head::Head;
use crate::hpack::{Decoder, Encoder};

pub(super) type Outcome = Result<Option<Event>, ConnectionError>;

/// How far an orderly end has come (RFC 9113 §6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    /// The first GOAWAY, which names no last stream, is out: new streams are still taken until the PING that
    /// followed it comes back, since the client may have sent them before it heard.
    Announced,
    /// The last GOAWAY is out (or the peer's came): no stream above the last one is taken.
    Final,
}

/// What waits for the peer to open its windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untaken {
    /// Bytes of all streams.
    pub bytes: usize,
    /// Of these, bytes of streams whose last byte waits among them: nobody else remembers those any more.
    pub whole: usize,
}

/// Where in the input the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Server side: the client's preface has not come yet.
    Preface,
    /// The peer's first frame must be SETTINGS.
    FirstSettings,
    /// Between two frames.
    Frames,
    /// Inside a DATA frame.
    Data(DataFrame),
    /// Between HEADERS and the end of its block: only CONTINUATION may come.
    Block(BlockStart),
    Failed(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataFrame {
    pub(super) stream: u32,
    pub(super) left: usize,
    pub(super) padding: usize,
    pub(super) end: bool,
    /// Nobody waits for these bytes.
    pub(super) discard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockStart {
    pub(super) stream: u32,
    pub(super) end: bool,
    pub(super) continuations: u32,
}

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) head_limits: HeadLimits,
    pub(super) stage: Stage,
    pub(super) greeted: bool,
    pub(super) drain: Drain,
    /// The peer has sent GOAWAY.
    pub(super) peer_leaves: bool,
    pub(super) peer: settings::PeerSettings,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    /// A header block that did not come in one frame.
    pub(super) block: Vec<u8>,
    pub(super) streams: Streams,
    pub(super) windows: Windows,
    pub(super) silenced: Silenced,
    /// Highest stream the client has opened: the peer on the server side, we on the client side.
    pub(super) last_stream: u32,
    /// Bytes we may send, all streams together.
    pub(super) send_window: i64,
    /// Bytes the peer may send, all streams together.
    pub(super) receive_window: u32,
    /// Credit not yet told to the peer.
    pub(super) credit: u32,
    /// Streams with queued bytes and an open window of their own, in turn.
    pub(super) ready: VecDeque<u32>,
    /// What `decode` found beside its first event.
    pub(super) events: VecDeque<Event>,
    /// What all queues hold.
    pub(super) untaken: Untaken,
    /// What `sent` has not told yet.
    pub(super) sent: VecDeque<(u32, usize)>,
    pub(super) idle_frames: Budget,
    pub(super) abandoned: Budget,
    pub(super) window_updates: Budget,
}

impl Connection {
    /// Return a connection on which nothing has been said. The first call that has something to write greets the peer.
    ///
    /// `lender` lends what windows upstream are wider than the least; without one they are that.
    pub fn new(role: Role, head_limits: HeadLimits, lender: Option<&Arc<Lender>>) -> Self {
        Self {
            role,
            head_limits,
            stage: if role == Role::Server { Stage::Preface } else { Stage::FirstSettings },
            greeted: false,
            drain: Drain::No,
            peer_leaves: false,
            peer: settings::PeerSettings::default(),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            block: Vec::new(),
            streams: Streams::default(),
            windows: Windows::new(role, lender),
            silenced: Silenced::default(),
            last_stream: 0,
            send_window: i64::from(limits::DEFAULT_WINDOW),
            receive_window: role.connection_window(),
            credit: 0,
            ready: VecDeque::new(),
            events: VecDeque::new(),
            untaken: Untaken::default(),
            sent: VecDeque::new(),
            idle_frames: Budget::new(limits::MAX_IDLE_FRAMES),
            abandoned: Budget::earned(limits::FIRST_ABANDONED_STREAMS, limits::MAX_ABANDONED_STREAMS),
            window_updates: Budget::new(limits::MAX_WINDOW_UPDATES),
        }
    }

    /// Return what waits for the peer to open its windows.
    pub fn untaken(&self) -> Untaken {
        self.untaken
    }

    /// Say what must be said first, once.
    pub(super) fn greet(&mut self, out: &mut Vec<u8>) {
        if !self.greeted {
            self.greeted = true;
            if self.role == Role::Client {
                out.extend_from_slice(frame::PREFACE);
            }
            let max_head_bytes = u32::try_from(self.head_limits.max_bytes).unwrap_or(u32::MAX);
            self.windows.announced(self.windows.at_first());
            settings::write_initial(self.role, self.windows.first, max_head_bytes, out);
        }
    }

    pub(super) fn fail(&mut self, error: ConnectionError, out: &mut Vec<u8>) -> Event {
        let status = if self.role == Role::Server { 400 } else { 502 };
        let fault = Fault { status, what: error.reason };
        self.stage = Stage::Failed(fault);
        self.greet(out);
        let last_stream = if self.role == Role::Server { self.last_stream } else { 0 };
        frame::write_goaway(last_stream, error.code, error.reason, out);
        Event::Fault(fault)
    }

    /// Forget a stream that has ended; what it held counts as consumed, for nobody will ask for it any more.
    pub(super) fn forget(&mut self, id: u32, out: &mut Vec<u8>) {
        if let Some(stream) = self.streams.get(id) {
            let (queued, ended) = (stream.queue.len(), stream.local == Side::Ended);
            self.untaken.bytes -= queued;
            self.untaken.whole -= if ended { queued } else { 0 };
        }
        if let Some(stream) = self.streams.remove(id) {
            let held = stream.held;
            self.windows.end(stream.window);
            if stream.remote != Side::Ended {
                self.silenced.add(id);
            }
            if self.role == Role::Server {
                self.give_credit(held, out);
            }
        }
    }

    /// Judge a frame for a stream that is not open (any more): what crossed our reset is dropped, anything else is a
    /// peer that speaks on after its own end (RFC 9113 §5.1, "closed").
    pub(super) fn check_silenced(&mut self, id: u32) -> Result<(), ConnectionError> {
        if !self.silenced.contains(id) {
            return Err(ConnectionError { code: ErrorCode::STREAM_CLOSED, reason: "frame on a stream that has ended" });
        }
        self.spend_idle("too many frames for streams that have ended")
    }

    /// Give the peer back `bytes` of the connection's window, in few large updates.
    pub(super) fn give_credit(&mut self, bytes: u32, out: &mut Vec<u8>) {
        self.credit += bytes;
        if self.credit >= self.role.connection_window() / 2 {
            self.receive_window += self.credit;
            frame::write_window_update(0, std::mem::take(&mut self.credit), out);
        }
    }

    /// Return whether the peer broke the protocol: what it still sends is not read.
    pub fn is_failed(&self) -> bool {
        matches!(self.stage, Stage::Failed(_))
    }
}

/// Numbers that do not fit are no stream of ours: 0 never is.
pub(super) fn number_of(stream: StreamId) -> u32 {
    u32::try_from(stream).unwrap_or(0)
}

impl Wire for Connection {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        let mut used = 0;
        let event = match self.advance(input, &mut used, head, out) {
            Ok(event) => event,
            Err(error) => Some(self.fail(error, out)),
        };
        (used, event)
    }

    fn eof(&mut self, rest: usize) -> Option<Event> {
        if let Stage::Failed(fault) = self.stage {
            return Some(Event::Fault(fault));
        }
        self.drain = Drain::Final;
        let what = if rest > 0 {
            "connection ended inside a frame"
        } else if self.streams.is_empty() {
            return None;
        } else {
            "connection ended with streams open"
        };
        let fault = Fault { status: if self.role == Role::Server { 400 } else { 502 }, what };
        self.stage = Stage::Failed(fault);
        Some(Event::Fault(fault))
    }

    /// The number is given out at once, and numbers must reach the server in order: `head` follows before the
    /// next `open`.
    fn open(&mut self) -> StreamId {
        self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        self.streams.add(self.last_stream, i64::from(self.peer.initial_window), 0);
        StreamId::from(self.last_stream)
    }

    fn room(&self) -> usize {
        // Stream numbers are never used twice: a connection that has run out of them takes no more.
        let numbers_left = (limits::MAX_WINDOW - self.last_stream) / 2;
        if self.drain == Drain::Final || self.is_failed() {
            return 0;
        }
        let open = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        self.peer.max_concurrent_streams.saturating_sub(open).min(numbers_left) as usize
    }

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if self.is_failed() {
            return 0;
        }
        self.send_head(number_of(stream), head, end && body.is_empty(), out);
        if body.is_empty() {
            return 0;
        }
        self.send_data(number_of(stream), body, end, out)
    }

    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        if self.is_failed() {
            0
        } else {
            self.send_data(number_of(stream), bytes, end, out)
        }
    }

    fn trailers(&mut self, stream: StreamId, trailers: &Head, out: &mut Vec<u8>) {
        if !self.is_failed() {
            self.send_trailers(number_of(stream), trailers, out);
        }
    }

    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        if !self.is_failed() {
            self.send_reply(number_of(stream), reply, out);
        }
    }

    fn reset(&mut self, stream: StreamId, cause: Cause, out: &mut Vec<u8>) -> bool {
        let id = number_of(stream);
        if self.is_failed() {
            return false;
        }
        if self.streams.get(id).is_some() {
            let code = match cause {
                Cause::Cancelled | Cause::Timeout => ErrorCode::CANCEL,
                Cause::Refused => ErrorCode::REFUSED_STREAM,
                Cause::Protocol => ErrorCode::PROTOCOL_ERROR,
                Cause::Closed => ErrorCode::INTERNAL_ERROR,
                Cause::Overload => ErrorCode::ENHANCE_YOUR_CALM,
            };
            frame::write_rst_stream(id, code, out);
            self.forget(id, out);
        }
        true
    }

    fn consumed(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        let id = number_of(stream);
        let is_server = self.role == Role::Server;
        let Some(stream) = self.streams.get(id) else { return };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(stream.held);
        stream.held -= bytes;
        stream.credit += bytes;
        if stream.credit >= stream.window / 2 && stream.wants_window() {
            // Whoever takes what comes is sent more at once, while there is something to lend; else, less.
            let (taken, before) = (std::mem::take(&mut stream.credit), stream.window);
            stream.window = self.windows.fit(before, limits::STREAM_WINDOW.min(2 * before), before - taken);
            stream.open(taken + stream.window - before, out);
        }
        if is_server {
            self.give_credit(bytes, out);
        }
    }

    fn sent(&mut self) -> Option<Event> {
        let (stream, bytes) = self.sent.pop_front()?;
        Some(Event::Sent { stream: StreamId::from(stream), bytes })
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.is_failed() {
            self.greet(out);
            frame::write_ping(false, frame::ALIVE_PING, out);
        }
        true
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        if self.drain != Drain::No || self.is_failed() {
            return;
        }
        self.greet(out);
        match self.role {
            Role::Client => {
                self.drain = Drain::Final;
                frame::write_goaway(0, ErrorCode::NO_ERROR, "", out);
            }
            Role::Server => {
                self.drain = Drain::Announced;
                frame::write_goaway(limits::MAX_WINDOW, ErrorCode::NO_ERROR, "", out);
                frame::write_ping(false, frame::DRAIN_PING, out);
            }
        }
    }

    fn closing(&self) -> bool {
        // A stream lives on here while its last bytes wait for window, long after its exchange has ended.
        self.is_failed() || ((self.drain == Drain::Final || self.peer_leaves) && self.streams.is_empty())
    }
}
