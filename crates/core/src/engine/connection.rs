//! One connection as the engine sees it: its wire, what it reads from and writes to, and who rides on it.

use std::sync::Arc;

use crate::engine::exchange::Exchange;
use crate::engine::wires::{AnyWire, Family};
use crate::events::{StreamId, Wire};
use crate::limits::{KEEP_BUFFER, KEEP_OUT, MAX_HTTP2_BACKLOG, MAX_PIPELINED};
use crate::numbers::Numbered;
use crate::slab::{Id, Recycle, Slab};
use crate::timers::Alarm;
use crate::tls;

/// Which end of the mesh it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Free slot.
    #[default]
    None,
    /// Accepted by this listener.
    Downstream {
        /// Its number.
        listener: usize,
    },
    /// Dialled.
    Upstream {
        /// Cluster's number.
        cluster: usize,
        /// Endpoint's number in it.
        endpoint: usize,
    },
}

/// Where in its life it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Dialled, not connected.
    Connecting,
    /// In use.
    #[default]
    Open,
    /// Told to go away; only waits for the peer to read what was written.
    Lingering,
    /// To be forgotten with the next flush.
    Ended(Ending),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Flush, then close.
    Close,
    /// Reset.
    Abort,
    /// It is gone already: say nothing.
    Lost,
}

/// Exchanges by stream.
#[derive(Debug, Default)]
pub struct Streams {
    one: Option<(StreamId, Id)>,
    many: Numbered<Id>,
    /// The one that was asked for last: what comes next on a connection is mostly of the same.
    last: Option<(StreamId, Id)>,
}

impl Streams {
    /// Add a stream.
    #[inline]
    pub fn insert(&mut self, stream: StreamId, exchange: Id) {
        self.last = Some((stream, exchange));
        if self.one.is_none() && self.many.is_empty() {
            self.one = Some((stream, exchange));
        } else {
            self.many.insert(stream, exchange);
        }
    }

    /// Return the exchange of a stream.
    pub fn get(&mut self, stream: StreamId) -> Option<Id> {
        // Looked at where they are: two that are copied side by side first are read before they have arrived.
        let of = |known: &Option<(StreamId, Id)>| known.as_ref().filter(|known| known.0 == stream).map(|known| known.1);
        if let Some(found) = of(&self.last).or_else(|| of(&self.one)) {
            return Some(found);
        }
        let found = self.many.get(stream)?;
        self.last = Some((stream, found));
        Some(found)
    }

    /// Remove a stream.
    #[inline]
    pub fn remove(&mut self, stream: StreamId) {
        let is_of = |known: &Option<(StreamId, Id)>| known.as_ref().is_some_and(|known| known.0 == stream);
        if is_of(&self.last) {
            self.last = None;
        }
        if is_of(&self.one) {
            self.one = None;
        } else {
            self.many.remove(stream);
        }
    }

    /// Return whether there is none.
    pub fn is_empty(&self) -> bool {
        self.one.is_none() && self.many.is_empty()
    }

    /// Return all exchanges, the oldest stream first (so that replays agree).
    pub fn exchanges(&self) -> Vec<Id> {
        let mut all: Vec<(StreamId, Id)> = self.many.iter().collect();
        all.extend(self.one);
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn clear(&mut self) {
        (self.one, self.last) = (None, None);
        self.many.clear();
    }
}

/// One connection.
#[allow(clippy::struct_excessive_bools)] // independent facts, not states
pub struct Connection {
    /// Protocol machine.
    pub wire: AnyWire,
    /// Which end.
    pub role: Role,
    /// Where in its life.
    pub phase: Phase,
    /// Address of the other end.
    pub peer: Arc<str>,
    /// Bytes read and not yet used up.
    pub carry: Vec<u8>,
    /// Bytes to be written with the next flush.
    pub out: Vec<u8>,
    /// TLS between the wire and the socket.
    pub tls: Option<tls::Layer>,
    /// Why TLS could not be had.
    pub tls_error: String,
    /// Who rides on it.
    pub streams: Streams,
    /// The upstream connection that its last request went by.
    pub companion: Option<Id>,
    /// Exchanges that wait for it to be connected.
    pub boarding: Vec<Id>,
    /// The transport's buffer has room.
    pub writable: bool,
    /// Bytes that wait there, as far as the transport has told, with those handed over since it had no room.
    pub backlog: usize,
    /// Bytes that its wire keeps until the peer opens its windows, as they were counted last.
    pub untaken: usize,
    /// Exchanges whose other end is slower than this one.
    pub stalled: usize,
    /// What the transport was told last.
    pub paused: bool,
    /// Half-close the write side with the next flush.
    pub shutdown: bool,
    /// It waits for the next flush.
    pub touched: bool,
    /// It has carried an exchange before.
    pub reused: bool,
    /// It carries, or has carried, a conversation with this process.
    pub converses: bool,
    /// Bytes have come since its silence was last looked at.
    pub heard: bool,
    /// It has been asked whether it lives.
    pub asked: bool,
    /// When something must happen.
    pub alarm: Alarm,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            wire: AnyWire::default(),
            role: Role::None,
            phase: Phase::Open,
            peer: Arc::from(""),
            carry: Vec::new(),
            out: Vec::new(),
            tls: None,
            tls_error: String::new(),
            streams: Streams::default(),
            companion: None,
            boarding: Vec::new(),
            writable: true,
            backlog: 0,
            untaken: 0,
            stalled: 0,
            paused: false,
            shutdown: false,
            touched: false,
            reused: false,
            converses: false,
            heard: false,
            asked: false,
            alarm: Alarm::default(),
        }
    }
}

impl Slab<Connection> {
    /// Return the address of the endpoint that an exchange was sent to last.
    pub fn address_of<'a>(&'a self, exchange: &'a Exchange) -> Option<&'a str> {
        let carrier = exchange.carrier.and_then(|carrier| self.get(carrier)).map(|conn| &*conn.peer);
        exchange.endpoint.as_deref().or(carrier)
    }
}

impl Connection {
    /// Return whether it may be read from and written to.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Return whether it takes one more stream beside those that wait for it.
    pub fn has_room(&self) -> bool {
        !self.wire.closing() && self.wire.room() > self.boarding.len()
    }

    /// Return whether what is read and written is under TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.as_ref().is_some_and(tls::Layer::is_secure)
    }

    /// Put what is to be written under TLS, with a goodbye when nothing will follow; `spare` lends its memory.
    pub fn seal(&mut self, spare: &mut Vec<u8>) {
        let Some(layer) = self.tls.as_mut() else { return };
        spare.clear();
        layer.send(&self.out, spare);
        if self.shutdown || self.phase == Phase::Ended(Ending::Close) {
            layer.close();
            layer.send(&[], spare);
        }
        std::mem::swap(&mut self.out, spare);
    }

    /// Return whether the next request of HTTP/1 is not begun yet, since the client has not taken the answer before.
    pub fn holds_back(&self) -> bool {
        let untaken = !self.writable && self.is_open() && self.streams.is_empty();
        untaken && self.wire.family() == Family::Http1 && matches!(self.role, Role::Downstream { .. })
    }

    /// Return whether reading should stop for now. HTTP/2 has windows instead, and an upstream that many share is never
    /// paused for one of them.
    pub fn wants_pause(&self) -> bool {
        let shared = matches!(self.role, Role::Upstream { .. }) && matches!(self.wire.family(), Family::Frames(_));
        let stalled = self.stalled > 0 && self.wire.family() != Family::Http2 && !shared;
        // What a client makes an HTTP/2 connection say (acknowledgements, resets) knows no window: one that does not read
        // is not listened to. Upstream we always listen, or two meshes could wait for each other.
        let deaf = self.wire.family() == Family::Http2 && !self.writable && self.backlog > MAX_HTTP2_BACKLOG;
        let deaf = deaf && matches!(self.role, Role::Downstream { .. });
        // What lies behind a request of HTTP/1 waits for its answer. Frames are decoded as soon as they are whole, and a
        // large one comes in pieces: whoever stopped reading in its middle would wait for its end for ever.
        let waits = self.holds_back() || (self.wire.family() == Family::Http1 && !self.streams.is_empty());
        let ahead = waits && self.carry.len() > MAX_PIPELINED;
        self.is_open() && (deaf || stalled || ahead)
    }
}

impl Recycle for Connection {
    fn recycle(&mut self) {
        let (mut carry, mut out) = (std::mem::take(&mut self.carry), std::mem::take(&mut self.out));
        let (mut streams, mut alarm) = (std::mem::take(&mut self.streams), self.alarm);
        carry.clear();
        carry.shrink_to(KEEP_BUFFER);
        out.clear();
        out.shrink_to(KEEP_OUT);
        streams.clear();
        alarm.disarm();
        *self = Self { carry, out, streams, alarm, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_found_while_it_is_there_however_often_it_is_asked_for() {
        let mut streams = Streams::default();
        for stream in 1..4 {
            streams.insert(stream, stream * 10);
        }
        for stream in [2, 2, 1, 3, 2, 3] {
            assert_eq!(streams.get(stream), Some(stream * 10));
        }
        streams.remove(3);
        assert_eq!((streams.get(3), streams.get(2)), (None, Some(20)));
        streams.remove(1);
        streams.remove(2);
        assert!(streams.is_empty() && streams.get(1).is_none() && streams.get(2).is_none());
        // The same number again is another exchange.
        streams.insert(2, 7);
        assert_eq!(streams.get(2), Some(7));
        streams.clear();
        assert_eq!(streams.get(2), None);
    }
}
