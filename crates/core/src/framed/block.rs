//! A header block: keys and values behind each other, as its format says.

use crate::framed::declaration::HeaderFormat;
use crate::framed::step::Field;
use crate::limits::MAX_FRAMED_FIELDS;

/// A key and its value: where each begins and ends in its block.
pub type Pair = ((usize, usize), (usize, usize));

/// Reads the pairs of one block.
#[derive(Debug)]
pub struct Pairs<'a> {
    block: &'a [u8],
    format: HeaderFormat,
    /// The order of bytes in its lengths.
    field: Field,
    at: usize,
    count: usize,
    /// What is wrong with it, if something is.
    pub fault: Option<&'static str>,
}

impl<'a> Pairs<'a> {
    /// Return what reads `block`.
    pub fn new(block: &'a [u8], format: HeaderFormat, field: Field) -> Self {
        Self { block, format, field, at: 0, count: 0, fault: None }
    }

    #[inline]
    fn line(&mut self) -> (usize, usize) {
        let start = self.at;
        let stop = start + line(self.block.get(start..).unwrap_or_default());
        // The last value may go without its line end.
        self.at = (stop + 1).min(self.block.len());
        (start, stop)
    }

    /// Read a text behind its length of so many bytes.
    #[inline]
    fn sized(&mut self, size: usize) -> Option<(usize, usize)> {
        let rest = self.block.get(self.at..)?;
        let start = self.at + size;
        let length = Field { size, ..self.field }.read(rest.get(..size)?);
        let stop = usize::try_from(length).ok()?.checked_add(start)?;
        self.at = stop;
        (stop <= self.block.len()).then_some((start, stop))
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    /// Return the next pair; `None`: that was all, or there is a fault.
    #[inline]
    fn next(&mut self) -> Option<Pair> {
        if self.at >= self.block.len() || self.fault.is_some() {
            return None;
        }
        self.count += 1;
        if self.count > MAX_FRAMED_FIELDS {
            self.fault = Some("too many header fields");
            return None;
        }
        let pair = match self.format {
            HeaderFormat::Lines => Some((self.line(), self.line())),
            HeaderFormat::Pairs16 => self.sized(2).and_then(|key| Some((key, self.sized(2)?))),
            HeaderFormat::Pairs32 => self.sized(4).and_then(|key| Some((key, self.sized(4)?))),
        };
        if pair.is_none() {
            self.fault = Some("malformed header block");
        }
        pair
    }
}

/// Return how long the line at the front of `text` is. Most have some few bytes: a call of `memchr` costs more than that.
#[inline]
fn line(text: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut left = text;
    while let Some((word, rest)) = left.split_first_chunk() {
        // A byte that is a line end becomes zero, and the only one below it that borrows.
        let differs = u64::from_le_bytes(*word) ^ (EACH * u64::from(b'\n'));
        let ends = differs.wrapping_sub(EACH) & !differs & (EACH << 7);
        if ends != 0 {
            return text.len() - left.len() + ends.trailing_zeros() as usize / 8;
        }
        left = rest;
    }
    text.len() - left.len() + left.iter().position(|byte| *byte == b'\n').unwrap_or(left.len())
}
