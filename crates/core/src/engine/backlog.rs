//! What peers have not taken: bytes that wait in the transport's buffers and behind HTTP/2's windows, on all connections
//! together.
//!
//! While they are few, reads are large and a slow peer is granted its credit, which is what makes bodies cheap. When they are
//! many, nobody who takes nothing is read for any more, and windows upstream are narrow (docs/adr/0094-reads-follow-the-backlog.md,
//! 0104-what-waits-behind-windows.md, 0106-windows-are-lent.md).

use std::sync::Arc;

use crate::engine::connection::{Connection, Role};
use crate::engine::{touch, Engine};
use crate::http2::Lender;
use crate::limits::{EASY_BACKLOG, FULL_BACKLOG, MAX_EXCHANGE_BUFFER, MAX_WHOLE_UNTAKEN};
use crate::slab::Id;

/// The bytes that wait, and who lends to upstream windows what does not wait.
#[derive(Debug, Default)]
pub(super) struct Backlog(Arc<Lender>);

impl Backlog {
    /// Count what waits on `conn` as `bytes` from now on.
    pub fn set(&mut self, conn: &mut Connection, bytes: usize) {
        self.change(conn.backlog, bytes);
        conn.backlog = bytes;
    }

    /// Count what waits behind the windows of `conn` now; return whether its client is to be cut off: it takes none of the
    /// answers that it goes on asking for. Those that are under way are not read on, so that they cannot become more.
    pub fn weigh(&mut self, conn: &mut Connection) -> bool {
        let untaken = conn.wire.untaken();
        if untaken.bytes == conn.untaken {
            return false;
        }
        let more = untaken.bytes > conn.untaken;
        self.change(conn.untaken, untaken.bytes);
        conn.untaken = untaken.bytes;
        let is_client = matches!(conn.role, Role::Downstream { .. });
        more && is_client && untaken.whole > MAX_WHOLE_UNTAKEN && self.0.waiting() > FULL_BACKLOG
    }

    /// Count nothing of `conn` any more.
    pub fn forget(&mut self, conn: &mut Connection) {
        self.change(conn.backlog + conn.untaken, 0);
        (conn.backlog, conn.untaken) = (0, 0);
    }

    fn change(&mut self, before: usize, after: usize) {
        self.0.set_waiting((self.0.waiting() + after).saturating_sub(before));
    }

    /// Return how many there are.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.waiting()
    }

    /// Return who lends to upstream windows.
    pub fn lender(&self) -> &Arc<Lender> {
        &self.0
    }

    /// Return whether there is too much of it.
    pub fn presses(&self) -> bool {
        self.0.waiting() > EASY_BACKLOG
    }

    /// Return how many bytes of an exchange may be read for a peer that takes nothing before their source is paused.
    pub fn credit(&self) -> usize {
        if self.presses() {
            0
        } else {
            MAX_EXCHANGE_BUFFER
        }
    }
}

impl Engine {
    /// Return whether reads should be small: so much waits for peers that it must not become much more.
    pub fn is_pressed(&self) -> bool {
        self.backlog.presses()
    }

    /// The peer has given up a stream of `id`: what waited for it waits no more, and that is counted with the next flush.
    pub(super) fn weigh_later(&mut self, id: Id) {
        if let Some(conn) = self.connections.get_mut(id) {
            touch(&mut self.touched, conn, id);
        }
    }

    /// Of what waits for peers whose connections the engine has let go of, `before` bytes have become `after`.
    pub fn parting(&mut self, before: usize, after: usize) {
        self.backlog.change(before, after);
    }

    /// A peer takes nothing: where there is no credit, what would be sent to it is not read either.
    pub(super) fn stall_riders(&mut self, sink: Id) {
        let Some(conn) = self.connections.get(sink).filter(|_| self.backlog.presses()) else { return };
        for exchange in conn.streams.exchanges() {
            self.stall_source(exchange, sink);
        }
    }
}
