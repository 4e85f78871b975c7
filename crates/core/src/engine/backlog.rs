//! What peers have not taken: bytes that wait in the transport's buffers, on all connections together.
//!
//! While they are few, reads are large and a slow peer is granted its credit, which is what makes bodies cheap. When they are
//! many, nobody who takes nothing is read for any more (docs/adr/0094-reads-follow-the-backlog.md).

use crate::engine::connection::Connection;
use crate::engine::Engine;
use crate::limits::{EASY_BACKLOG, MAX_EXCHANGE_BUFFER};
use crate::slab::Id;

/// The bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog(usize);

impl Backlog {
    /// Count what waits on `conn` as `bytes` from now on.
    pub fn set(&mut self, conn: &mut Connection, bytes: usize) {
        self.change(conn.backlog, bytes);
        conn.backlog = bytes;
    }

    fn change(&mut self, before: usize, after: usize) {
        self.0 = (self.0 + after).saturating_sub(before);
    }

    /// Return how many there are.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0
    }

    /// Return whether there is too much of it.
    pub fn presses(&self) -> bool {
        self.0 > EASY_BACKLOG
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
