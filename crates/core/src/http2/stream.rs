//! One stream's state, and the table of those that are open.

use std::collections::VecDeque;

use super::{frame, limits};
use crate::head::Head;

/// How far one direction of a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Side {
    /// The (final) head has not come yet.
    #[default]
    Head,
    Body,
    Ended,
}

/// A stream from its first HEADERS until both sides have ended it or one has reset it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// How far the peer's message has come.
    pub(super) remote: Side,
    /// How far ours has; once ended, what is queued may still have to leave.
    pub(super) local: Side,
    /// Interim responses heard so far.
    pub(super) informational: u32,
    /// Body bytes the peer still owes by its `content-length`.
    pub(super) owed: Option<u64>,
    /// The request's method is HEAD: its answer has no body, whatever its `content-length`.
    pub(super) is_head: bool,
    /// The request is gRPC: our own answers speak gRPC too.
    pub(super) is_grpc: bool,
    /// Bytes we may send. Negative after the peer shrank its initial window (RFC 9113 §6.9.2).
    pub(super) send_window: i64,
    /// Bytes the peer may send.
    pub(super) receive_window: u32,
    /// These, those held and those not told of yet: how wide its window is.
    pub(super) window: u32,
    /// Received and not consumed yet.
    pub(super) held: u32,
    /// Consumed and not told by `WINDOW_UPDATE` yet.
    pub(super) credit: u32,
    /// Waits for its turn to send.
    pub(super) is_ready: bool,
    pub(super) queue: Queue,
}

impl Stream {
    /// Return whether the peer may have more to say than its window lets it.
    pub(super) fn wants_window(&self) -> bool {
        self.remote != Side::Ended && self.owed.is_none_or(|left| left > u64::from(self.receive_window))
    }

    /// Let the peer send `more` bytes.
    pub(super) fn open(&mut self, more: u32, out: &mut Vec<u8>) {
        self.receive_window += more;
        if more > 0 {
            frame::write_window_update(self.id, more, out);
        }
    }
}

/// What could not be sent for want of window.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    sent: usize,
    /// Trailers that end the message, encoded only when they leave, since HPACK follows the order on the wire.
    pub(super) trailers: Option<Box<Head>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Return the next `most` bytes at most, which count as sent from now on.
    pub(super) fn take(&mut self, most: usize) -> &[u8] {
        let start = self.sent;
        self.sent = self.bytes.len().min(start + most);
        self.bytes.get(start..self.sent).unwrap_or_default()
    }

    /// Give the memory of bytes that have all left back: the stream may say nothing for hours, and is one of thousands.
    pub(super) fn release(&mut self) {
        (self.bytes, self.sent) = (Vec::new(), 0);
    }
}

/// Streams that ended while their peer was still speaking: what it says of them is no fault, for a while.
#[derive(Debug, Default)]
pub(super) struct Silenced {
    ids: VecDeque<u32>,
    /// Streams up to this one may have been forgotten.
    forgotten: u32,
}

impl Silenced {
    pub(super) fn add(&mut self, id: u32) {
        if self.ids.len() == limits::MAX_REMEMBERED_RESETS {
            self.forgotten = self.ids.pop_front().unwrap_or(0).max(self.forgotten);
        }
        self.ids.push_back(id);
    }

    /// Tell whether the peer may still speak of `id` without knowing better.
    pub(super) fn contains(&self, id: u32) -> bool {
        id <= self.forgotten || self.ids.contains(&id)
    }
}

/// Open streams by number. Numbers only grow, so the index stays sorted by appending; places are used again,
/// with the memory of their queues.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// (stream, place), ascending.
    index: Vec<(u32, u32)>,
    places: Vec<Stream>,
    free: Vec<u32>,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let (_, place) = self.index.get(at)?;
        self.places.get_mut(*place as usize)
    }

    /// Add a stream, whose peer may send `window` bytes; `id` is greater than that of every other.
    pub(super) fn add(&mut self, id: u32, send_window: i64, window: u32) -> Option<&mut Stream> {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Stream::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        self.index.push((id, place));
        let stream = self.places.get_mut(place as usize)?;
        *stream = Stream { id, send_window, receive_window: window, window, ..Stream::default() };
        Some(stream)
    }

    /// Remove a stream and return what is left of it, without its queue.
    pub(super) fn remove(&mut self, id: u32) -> Option<&Stream> {
        let at = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let (_, place) = self.index.remove(at);
        self.free.push(place);
        let stream = self.places.get_mut(place as usize)?;
        stream.queue = Queue::default();
        Some(stream)
    }

    /// Return the numbers of all open streams above `id`.
    pub(super) fn above(&self, id: u32) -> Vec<u32> {
        self.index.iter().map(|(id, _)| *id).filter(|open| *open > id).collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        let Self { index, places, .. } = self;
        let mut open = vec![false; places.len()];
        for (_, place) in index {
            if let Some(open) = open.get_mut(*place as usize) {
                *open = true;
            }
        }
        places.iter_mut().zip(open).filter(|(_, open)| *open).map(|(stream, _)| stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_forget_their_stream() {
        let mut streams = Streams::default();
        streams.add(1, 10, 1).unwrap().queue.push(b"left over");
        streams.add(3, 10, 1);
        assert_eq!(streams.remove(1).map(|stream| stream.remote), Some(Side::Head));
        assert!(streams.get(1).is_none());
        let again = streams.add(5, 7, 1).unwrap();
        assert!(again.queue.is_empty() && again.send_window == 7);
        assert_eq!((streams.len(), streams.above(3)), (2, vec![5]));
        assert_eq!(streams.places.len(), 2);
    }

    #[test]
    fn a_queue_gives_back_its_bytes_in_order() {
        let mut queue = Queue::default();
        queue.push(b"abcd");
        assert_eq!(queue.take(3), b"abc");
        queue.push(b"ef");
        assert_eq!(queue.take(9), b"def");
        assert!(queue.is_empty());
    }
}
