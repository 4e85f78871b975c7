//! From header blocks to fields.

use super::static_table::{self, DYNAMIC_START};
use super::table::Table;
use super::{huffman, integer, HpackError, MAX_TABLE_BYTES};

/// What is known of a field's bytes before anybody looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Nothing: both were spelt out.
    Nothing,
    /// The name is sound: it is one of the protocol's own, or lent by an entry that `emit` found sound.
    Name,
    /// Name and value are those of an entry that `emit` found sound.
    Field,
}

/// One field of a block, alive until the next one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As sent: whether it is lower case is for the caller to judge.
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// The sender forbade compressing it, on this hop and on every later one (RFC 7541 §6.2.3).
    pub never_indexed: bool,
    /// What `emit` need not judge again.
    pub known: Known,
}

/// What a peer's encoder has told so far.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::new(MAX_TABLE_BYTES), name: Vec::new(), value: Vec::new() }
    }
}

impl Decoder {
    /// Hand every field of a complete block to `emit`, in order. `emit` returns whether its bytes are sound; the table
    /// remembers that, so that what comes back by its index is not judged again and again.
    ///
    /// Memory is bounded by the block: a field that the table multiplies is lent, not copied, so `emit` may count
    /// what it is given and stop storing; the block is read to its end all the same, because the table has to follow it.
    /// After an error the tables disagree: the connection is lost.
    pub fn decode(&mut self, block: &[u8], mut emit: impl FnMut(Field<'_>) -> bool) -> Result<(), HpackError> {
        let mut input = block;
        let mut fields_seen = false;
        while let Some((&first, rest)) = input.split_first() {
            input = rest;
            // The number of leading zeros tells the five representations apart (RFC 7541 §6).
            let leading = first.leading_zeros();
            if leading == 2 {
                let size = integer::decode(first, 5, &mut input)?;
                if fields_seen || size > MAX_TABLE_BYTES {
                    return Err(HpackError::BadSizeUpdate);
                }
                self.table.set_max_size(size);
                continue;
            }
            fields_seen = true;
            if leading == 0 {
                let index = integer::decode(first, 7, &mut input)?;
                let (name, value, known) = entry(&self.table, index)?;
                emit(Field { name, value, never_indexed: false, known });
                continue;
            }
            let index = integer::decode(first, if leading == 1 { 6 } else { 4 }, &mut input)?;
            let (name, known) = literal_name(&self.table, index, &mut self.name, &mut input)?;
            let value = string(&mut self.value, &mut input)?;
            let is_sound = emit(Field { name, value, never_indexed: leading == 3, known });
            if leading == 1 {
                self.table.insert(name, value, is_sound);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Decoder {
    /// Return the bytes allocated for names and values.
    pub(super) fn table_memory(&self) -> usize {
        self.table.memory()
    }
}

fn entry(table: &Table, index: usize) -> Result<(&[u8], &[u8], Known), HpackError> {
    let found = match index.checked_sub(DYNAMIC_START) {
        // Some values are empty there, which not every field may be: only the names are beyond doubt.
        None => static_table::field(index).map(|(name, value)| (name, value, Known::Name)),
        Some(distance) => table.judged(distance).map(|(name, value, is_sound)| {
            let known = if is_sound { Known::Field } else { Known::Nothing };
            (name, value, known)
        }),
    };
    found.ok_or(HpackError::UnknownIndex)
}

/// Return a literal field's name: index 0 says that it is spelt out, any other whose name to borrow.
fn literal_name<'a, 'b: 'a>(
    table: &Table,
    index: usize,
    scratch: &'a mut Vec<u8>,
    input: &mut &'b [u8],
) -> Result<(&'a [u8], Known), HpackError> {
    if index == 0 {
        return string(scratch, input).map(|name| (name, Known::Nothing));
    }
    if let Some((name, _)) = static_table::field(index) {
        return Ok((name, Known::Name));
    }
    // Copied, because inserting the new entry may evict the one that lends its name.
    let (name, _, known) = entry(table, index)?;
    scratch.clear();
    scratch.extend_from_slice(name);
    Ok((scratch, known.min(Known::Name)))
}

fn string<'a, 'b: 'a>(scratch: &'a mut Vec<u8>, input: &mut &'b [u8]) -> Result<&'a [u8], HpackError> {
    let (&first, rest) = input.split_first().ok_or(HpackError::Truncated)?;
    *input = rest;
    let length = integer::decode(first, 7, input)?;
    let (coded, rest) = input.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *input = rest;
    if first & 0x80 == 0 {
        return Ok(coded);
    }
    scratch.clear();
    huffman::decode(coded, scratch)?;
    Ok(scratch)
}
