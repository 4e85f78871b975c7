//! From fields to header blocks.

use super::static_table::{self, DYNAMIC_START};
use super::table::Table;
use super::{huffman, integer, ENTRY_OVERHEAD, MAX_TABLE_BYTES};

/// Slots of each direct-mapped look-up table, one for each value of a hash's lowest byte. A full dynamic table holds at
/// most 128 entries (4096 / 32), an ordinary one thirty: two that share a slot push each other out and travel in full.
const SLOTS: usize = 256;

/// Largest share of the table one field may take: a field that evicts everything else costs more than it saves.
const MAX_ENTRY_BYTES: usize = MAX_TABLE_BYTES / 4;

const INDEXED: u8 = 0x80;
const WITH_INDEXING: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;
const NEVER_INDEXED: u8 = 0x10;
const WITHOUT_INDEXING: u8 = 0x00;

/// What the peer's decoder knows, and which fields are worth telling it.
///
/// A field enters the table when it is seen for the *second* time: request ids, trace contexts and paths that never
/// come back cost nothing and evict nothing, without a list of names. Fields that enter are Huffman-coded; those
/// that do not are sent as they are, because a byte on the wire inside a cluster costs less than the time to code it.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// From the hash of a whole field to the number of its entry.
    fields: Box<[u32; SLOTS]>,
    /// From the hash of a name to the number of the newest entry that bears it.
    names: Box<[u32; SLOTS]>,
    /// Upper halves of the hashes of fields that were sent once.
    seen: Box<[u32; SLOTS]>,
    /// Smallest and last table size the peer asked for since the last block (RFC 7541 §4.2).
    resize: Option<(usize, usize)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: Table::new(MAX_TABLE_BYTES),
            fields: Box::new([u32::MAX; SLOTS]),
            names: Box::new([u32::MAX; SLOTS]),
            seen: Box::new([0; SLOTS]),
            resize: None,
        }
    }
}

impl Encoder {
    /// Follow the peer's `SETTINGS_HEADER_TABLE_SIZE`; we never use more than [`MAX_TABLE_BYTES`] of what it offers.
    pub fn set_max_table_bytes(&mut self, offered: usize) {
        let wanted = offered.min(MAX_TABLE_BYTES);
        let smallest = self.resize.map_or(wanted, |(smallest, _)| smallest.min(wanted));
        if smallest != self.table.max_size() || self.resize.is_some() {
            self.resize = Some((smallest, wanted));
        }
    }

    /// Begin a block: must precede its first field.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some((smallest, last)) = self.resize.take() else { return };
        for size in [smallest, last] {
            if size != self.table.max_size() {
                self.table.set_max_size(size);
                integer::encode(SIZE_UPDATE, 5, size, out);
            }
        }
    }

    /// Append one field. `name` is in lower case.
    ///
    /// `never_indexed` is kept as it was received. Credentials are never indexed whatever their sender said: one
    /// upstream connection carries the requests of many clients, and a table they share lets one of them guess at
    /// another's secrets by the size of what is sent (RFC 7541 §7.1).
    pub fn field(&mut self, name: &[u8], value: &[u8], never_indexed: bool, out: &mut Vec<u8>) {
        let name_hash = static_table::hash(0, name);
        let hash = static_table::hash(name_hash, value);
        // First what comes most often. Credentials never enter the table, so they are never found there.
        if let Some(index) = self.index_of(hash, name, value).filter(|_| !never_indexed) {
            integer::encode(INDEXED, 7, index, out);
            return;
        }
        let static_name = static_table::index_of_name(name, name_hash);
        if never_indexed || static_name.is_some_and(is_credential) {
            literal(NEVER_INDEXED, 4, static_name.unwrap_or(0), name, value, out);
            return;
        }
        if let Some(index) = static_name.and_then(|first| static_table::index_of_pair(first, name, value)) {
            integer::encode(INDEXED, 7, index, out);
            return;
        }
        let name_index = static_name.or_else(|| self.index_of_name(name_hash, name)).unwrap_or(0);
        if self.seen_before(hash) && name.len() + value.len() + ENTRY_OVERHEAD <= MAX_ENTRY_BYTES {
            literal(WITH_INDEXING, 6, name_index, name, value, out);
            self.remember(name_hash, hash, name, value);
        } else {
            literal(WITHOUT_INDEXING, 4, name_index, name, value, out);
        }
    }

    fn index_of(&self, hash: u64, name: &[u8], value: &[u8]) -> Option<usize> {
        let distance = self.table.distance(*self.fields.get(slot_of(hash))?)?;
        (self.table.newest(distance)? == (name, value)).then_some(DYNAMIC_START + distance)
    }

    fn index_of_name(&self, name_hash: u64, name: &[u8]) -> Option<usize> {
        let distance = self.table.distance(*self.names.get(slot_of(name_hash))?)?;
        (self.table.newest(distance)?.0 == name).then_some(DYNAMIC_START + distance)
    }

    fn seen_before(&mut self, hash: u64) -> bool {
        let Some(seen) = self.seen.get_mut(slot_of(hash)) else { return false };
        let half = u32::try_from(hash >> 32).unwrap_or(0);
        std::mem::replace(seen, half) == half
    }

    fn remember(&mut self, name_hash: u64, hash: u64, name: &[u8], value: &[u8]) {
        let Some(number) = self.table.insert(name, value, true) else { return };
        if let Some(slot) = self.fields.get_mut(slot_of(hash)) {
            *slot = number;
        }
        if let Some(slot) = self.names.get_mut(slot_of(name_hash)) {
            *slot = number;
        }
    }
}

fn slot_of(hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[0])
}

/// Tell whether the static name at `index` is authorization, cookie, proxy-authorization or set-cookie.
fn is_credential(index: usize) -> bool {
    matches!(index, 23 | 32 | 49 | 55)
}

fn literal(mark: u8, prefix_bits: u32, name_index: usize, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer::encode(mark, prefix_bits, name_index, out);
    let coded = mark == WITH_INDEXING;
    if name_index == 0 {
        string(name, coded, out);
    }
    string(value, coded, out);
}

fn string(plain: &[u8], coded: bool, out: &mut Vec<u8>) {
    if coded {
        let length = huffman::encoded_len(plain);
        if length < plain.len() {
            integer::encode(0x80, 7, length, out);
            huffman::encode(plain, out);
            return;
        }
    }
    integer::encode(0, 7, plain.len(), out);
    out.extend_from_slice(plain);
}
