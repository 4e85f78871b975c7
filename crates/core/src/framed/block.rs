//! A header block: keys and values behind each other, as its format says.

use crate::framed::declaration::HeaderFormat;
use crate::framed::step::Field;
use crate::limits::MAX_FRAMED_FIELDS;

/// Where a text begins and ends in its block.
pub type Text = (usize, usize);

/// Tell each key with its value, in order; the error says what is wrong with the block behind those that were told.
/// `field` is the order of bytes in its lengths.
#[inline]
pub fn each(
    block: &[u8],
    format: HeaderFormat,
    field: Field,
    tell: impl FnMut(Text, Text),
) -> Result<(), &'static str> {
    match format {
        HeaderFormat::Lines => pairs(block, |at| Some(line(block, at)), tell),
        HeaderFormat::Pairs16 => pairs(block, |at| sized(block, at, Field { size: 2, ..field }), tell),
        HeaderFormat::Pairs32 => pairs(block, |at| sized(block, at, Field { size: 4, ..field }), tell),
    }
}

/// Tell each pair of what `text` returns: the text that begins at a position of the block, and the position behind it.
#[inline]
fn pairs(
    block: &[u8],
    text: impl Fn(usize) -> Option<(Text, usize)>,
    mut tell: impl FnMut(Text, Text),
) -> Result<(), &'static str> {
    const MALFORMED: &str = "malformed header block";
    let (mut at, mut count) = (0, 0);
    while at < block.len() {
        count += 1;
        if count > MAX_FRAMED_FIELDS {
            return Err("too many header fields");
        }
        let (key, behind) = text(at).ok_or(MALFORMED)?;
        let (value, behind) = text(behind).ok_or(MALFORMED)?;
        tell(key, value);
        at = behind;
    }
    Ok(())
}

/// Read a text behind its length.
#[inline]
fn sized(block: &[u8], at: usize, field: Field) -> Option<(Text, usize)> {
    let rest = block.get(at..).filter(|rest| rest.len() >= field.size)?;
    let start = at + field.size;
    let stop = usize::try_from(field.read(rest)).ok()?.checked_add(start)?;
    (stop <= block.len()).then_some(((start, stop), stop))
}

/// Read a line. The last value may go without its line end.
#[inline]
fn line(block: &[u8], start: usize) -> (Text, usize) {
    let stop = line_end(block, start);
    ((start, stop), (stop + 1).min(block.len()))
}

/// Return where the line ends that begins at `start`. Most have some few bytes: a call of `memchr` costs more than that.
#[inline]
fn line_end(block: &[u8], start: usize) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut at = start;
    while let Some(word) = block.get(at..).and_then(<[u8]>::first_chunk) {
        // A byte that is a line end becomes zero, and the only one below it that borrows.
        let differs = u64::from_le_bytes(*word) ^ (EACH * u64::from(b'\n'));
        let ends = differs.wrapping_sub(EACH) & !differs & (EACH << 7);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = block.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}
