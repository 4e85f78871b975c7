//! One element of a frame, compiled: names are slots.

use crate::framed::declaration::{Endian, HeaderFormat};

/// A number of a frame: its size in bytes and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// 1, 2, 4 or 8.
    pub size: usize,
    /// Order of bytes.
    pub endian: Endian,
}

impl Field {
    /// Return the number at the front of `bytes`, which hold at least `size`.
    pub fn read(self, bytes: &[u8]) -> u64 {
        let word = bytes.first_chunk().copied().unwrap_or_else(|| filled_up(bytes));
        // What stands behind it is thrown away.
        let behind = 64 - 8 * self.size;
        match self.endian {
            Endian::Big => u64::from_be_bytes(word) >> behind,
            Endian::Little => (u64::from_le_bytes(word) << behind) >> behind,
        }
    }

    /// Write `number` over the front of `bytes`; bits that do not fit are lost.
    pub fn write(self, number: u64, bytes: &mut [u8]) {
        let big = number.to_be_bytes();
        let Some((target, source)) = bytes.get_mut(..self.size).zip(big.get(8 - self.size..)) else { return };
        target.copy_from_slice(source);
        if self.endian == Endian::Little {
            target.reverse();
        }
    }

    /// Return the largest number that fits.
    pub fn max(self) -> u64 {
        u64::MAX >> (64 - 8 * self.size)
    }
}

/// Return fewer than eight bytes with zeros behind them.
#[cold]
fn filled_up(bytes: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    word.iter_mut().zip(bytes).for_each(|(byte, given)| *byte = *given);
    word
}

/// One element, compiled: names are slots.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes.
    Magic(Box<[u8]>),
    /// So many bytes.
    Skip(usize),
    /// A number.
    Number(usize, Field),
    /// Bytes that follow, and what is added to their number.
    Length(Field, i64),
    /// The id.
    Id(Field),
    /// A text behind its length.
    Text(usize, Field),
    /// A text in a fixed place.
    FixedText(usize, usize),
    /// A header block behind its length.
    Headers(Field, HeaderFormat),
    /// Bytes behind their length.
    Section(Field),
}

impl Step {
    /// Return how many bytes are needed to know how long it is.
    pub fn fixed(&self) -> usize {
        match self {
            Self::Magic(bytes) => bytes.len(),
            Self::Skip(size) | Self::FixedText(_, size) => *size,
            Self::Number(_, field)
            | Self::Length(field, _)
            | Self::Id(field)
            | Self::Text(_, field)
            | Self::Headers(field, _)
            | Self::Section(field) => field.size,
        }
    }

    /// Return whether something of it is kept: what comes behind the last such element is body.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::Skip(_) | Self::Section(_) | Self::Length(..))
    }
}
