//! The dynamic table (RFC 7541 §2.3.2, §4): first in, first out, bounded by bytes.

use std::collections::VecDeque;

use super::ENTRY_OVERHEAD;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Offset of the name in the stream of all bytes ever inserted; the value follows it.
    start: usize,
    name_len: usize,
    value_len: usize,
    is_sound: bool,
}

impl Entry {
    const fn size(self) -> usize {
        self.name_len + self.value_len + ENTRY_OVERHEAD
    }
}

/// Entries share one buffer, so that inserting allocates nothing once the buffer has grown.
#[derive(Debug, Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Bytes dropped from the front of `bytes` so far.
    dropped: usize,
    /// Oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    /// Entries ever inserted, modulo 2^32: the number of the next one.
    inserted: u32,
}

impl Table {
    pub(super) fn new(max_size: usize) -> Self {
        Self { max_size, ..Self::default() }
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(0);
    }

    /// Return the entry at `distance` from the newest one (0).
    pub(super) fn newest(&self, distance: usize) -> Option<(&[u8], &[u8])> {
        self.judged(distance).map(|(name, value, _)| (name, value))
    }

    /// Return the entry at `distance` from the newest one, and whether it was sound when it was inserted.
    pub(super) fn judged(&self, distance: usize) -> Option<(&[u8], &[u8], bool)> {
        let place = self.entries.len().checked_sub(distance.checked_add(1)?)?;
        let entry = *self.entries.get(place)?;
        let start = entry.start.wrapping_sub(self.dropped);
        let (name, rest) = self.bytes.get(start..)?.split_at_checked(entry.name_len)?;
        Some((name, rest.get(..entry.value_len)?, entry.is_sound))
    }

    /// Return how far the entry numbered `number` is from the newest one, if it is still there. Numbers come again after
    /// 2^32 entries: the caller compares what it finds.
    pub(super) fn distance(&self, number: u32) -> Option<usize> {
        let distance = self.inserted.wrapping_sub(number).wrapping_sub(1) as usize;
        (distance < self.entries.len()).then_some(distance)
    }

    /// Insert a field and return its number; one that is larger than the whole table empties it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], is_sound: bool) -> Option<u32> {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(size);
        if size > self.max_size {
            return None;
        }
        self.forget_evicted_bytes();
        let start = self.dropped.wrapping_add(self.bytes.len());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry { start, name_len: name.len(), value_len: value.len(), is_sound });
        self.size += size;
        let number = self.inserted;
        self.inserted = number.wrapping_add(1);
        Some(number)
    }

    fn evict(&mut self, incoming: usize) {
        while self.size + incoming > self.max_size {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.size -= oldest.size();
        }
    }

    /// Move the live bytes to the front once the dead ones before them outweigh a full table: amortised, one copy per
    /// byte, and never more than twice `max_size` held.
    fn forget_evicted_bytes(&mut self) {
        let dead = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start.wrapping_sub(self.dropped));
        if dead > self.max_size || dead == self.bytes.len() {
            self.bytes.drain(..dead);
            self.dropped = self.dropped.wrapping_add(dead);
        }
    }
}

#[cfg(test)]
impl Table {
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}
