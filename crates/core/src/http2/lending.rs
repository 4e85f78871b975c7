//! How wide the windows of streams are: one width downstream; upstream the least there is, and what is lent beyond that.
//!
//! Upstream, many clients share a connection that is never paused, so what an endpoint may send for a client that takes nothing
//! is that stream's window. `LENT_BYTES` are lent to all streams of all connections together, less what waits for
//! peers already: how many clients there are, and what they do, decides how wide windows are and not how much can come in.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use super::limits::{LEAST_WINDOW, LENT_BYTES, NARROW_STREAMS, OPENING_WINDOW, PRESSED_WINDOW, STREAM_WINDOW};
use super::role::Role;
use crate::limits::EASY_BACKLOG;

/// Lends to all connections of an engine.
#[derive(Debug, Default)]
pub struct Lender {
    /// Bytes by which windows are wider than `LEAST_WINDOW`.
    lent: AtomicUsize,
    /// Bytes that have come and that peers have not taken.
    waiting: AtomicUsize,
}

impl Lender {
    /// Return how many bytes wait for peers.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// So many bytes wait for peers from now on.
    pub fn set_waiting(&self, bytes: usize) {
        self.waiting.store(bytes, Relaxed);
    }

    /// Return how many bytes are lent.
    #[cfg(test)]
    pub fn lent(&self) -> usize {
        self.lent.load(Relaxed)
    }

    /// Return how wide a window may be that wants to be `wanted` wide, and to which `own` bytes are lent: half of what is left is
    /// lent to it, so that whoever comes later has some of it, too.
    fn allows(&self, wanted: u32, own: u32) -> u32 {
        if self.waiting() > EASY_BACKLOG {
            return PRESSED_WINDOW;
        }
        let left = self.left() + own as usize;
        let share = u32::try_from(left / 2).unwrap_or(u32::MAX);
        wanted.min(LEAST_WINDOW.saturating_add(share))
    }

    /// Return whether windows of streams that begin may be wide, and those of `open` others become so. They get only half of
    /// all: they may stay open for hours and say nothing.
    fn can_open(&self, open: usize) -> bool {
        self.left() >= LENT_BYTES / 2 + open * (OPENING_WINDOW - LEAST_WINDOW) as usize
    }

    fn left(&self) -> usize {
        LENT_BYTES.saturating_sub(self.lent.load(Relaxed) + self.waiting())
    }
}

/// The windows of one connection's streams. What is lent to them is given back with it.
#[derive(Debug)]
pub(super) struct Windows {
    /// Where there is none, all windows stay as they begin.
    lender: Option<Arc<Lender>>,
    lent: u32,
    /// How wide a stream begins, as we have announced it.
    pub(super) first: u32,
    /// How many have begun since then.
    begun: u32,
}

impl Windows {
    /// A server's windows are as wide as windows are; a client's are lent to.
    pub(super) fn new(role: Role, lender: Option<&Arc<Lender>>) -> Self {
        match role {
            Role::Server => Self { lender: None, lent: 0, first: STREAM_WINDOW, begun: 0 },
            Role::Client => Self { lender: lender.map(Arc::clone), lent: 0, first: LEAST_WINDOW, begun: 0 },
        }
    }

    /// Return how wide the first streams of a connection should begin.
    pub(super) fn at_first(&self) -> u32 {
        match &self.lender {
            Some(lender) if lender.can_open(0) => OPENING_WINDOW,
            Some(_) => LEAST_WINDOW,
            None => self.first,
        }
    }

    /// Return how wide streams should begin from now on, where `open` have begun already: those become wider with the others.
    pub(super) fn next_first(&self, open: usize) -> u32 {
        match &self.lender {
            Some(lender) if self.first == OPENING_WINDOW && !lender.can_open(0) => LEAST_WINDOW,
            Some(lender) if self.first == LEAST_WINDOW && self.begun >= NARROW_STREAMS && lender.can_open(open) => {
                OPENING_WINDOW
            }
            _ => self.first,
        }
    }

    /// Streams begin so wide from now on.
    pub(super) fn announced(&mut self, first: u32) {
        (self.first, self.begun) = (first, 0);
    }

    /// A stream begins; return how wide.
    pub(super) fn begin(&mut self) -> u32 {
        self.begun = self.begun.saturating_add(1);
        self.borrow(0, self.first.saturating_sub(LEAST_WINDOW));
        self.first
    }

    /// A stream becomes wider as those that begin do; return how wide its window of `now` becomes.
    pub(super) fn follow(&mut self, now: u32) -> u32 {
        let after = now + (OPENING_WINDOW - LEAST_WINDOW);
        self.borrow(now.saturating_sub(LEAST_WINDOW), after.saturating_sub(LEAST_WINDOW));
        after
    }

    /// Return how wide a window is from now on that is `now` wide and wants to be `wanted` wide, of which `least` bytes cannot be
    /// taken back.
    pub(super) fn fit(&mut self, now: u32, wanted: u32, least: u32) -> u32 {
        let Some(lender) = &self.lender else { return now };
        let own = now.saturating_sub(LEAST_WINDOW);
        let window = lender.allows(wanted, own).max(least);
        self.borrow(own, window.saturating_sub(LEAST_WINDOW));
        window
    }

    /// A stream whose window was `window` wide has ended.
    pub(super) fn end(&mut self, window: u32) {
        if self.lender.is_some() {
            self.borrow(window.saturating_sub(LEAST_WINDOW), 0);
        }
    }

    /// Borrow `after` for a stream that had borrowed `before`.
    fn borrow(&mut self, before: u32, after: u32) {
        let Some(lender) = &self.lender else { return };
        if before != after {
            self.lent = self.lent + after - before;
            lender.lent.fetch_add(after as usize, Relaxed);
            lender.lent.fetch_sub(before as usize, Relaxed);
        }
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        self.borrow(self.lent, 0);
    }
}
