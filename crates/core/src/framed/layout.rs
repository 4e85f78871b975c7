//! From the front of a frame to its numbers, texts and length: one pass over its elements, nothing stored.

use crate::events::Fault;
use crate::framed::declaration::{Endian, HeaderFormat};
use crate::limits::{MAX_FRAMED_HEAD, MAX_FRAMED_NAMES};

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
        let bytes = bytes.get(..self.size).unwrap_or_default();
        let join = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        match self.endian {
            Endian::Big => bytes.iter().fold(0, join),
            Endian::Little => bytes.iter().rev().fold(0, join),
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

/// Where something lies in a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// All of it, its length and filling included: from here
    pub outer: usize,
    /// up to here.
    pub outer_end: usize,
    /// First byte of its content.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// What was found in a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Numbers by slot.
    pub numbers: [u64; MAX_FRAMED_NAMES],
    /// Where they lie.
    pub number_places: [Place; MAX_FRAMED_NAMES],
    /// Texts by slot.
    pub texts: [Place; MAX_FRAMED_NAMES],
    /// The header block.
    pub headers: Place,
    /// The id.
    pub id: u64,
    /// Where it lies.
    pub id_at: usize,
    /// Length of what is read.
    pub envelope: usize,
    /// Length of the frame.
    pub length: usize,
}

/// The elements of every frame of a protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// In order.
    pub steps: Vec<Step>,
    /// Number of the last element of which something is kept.
    pub last_kept: usize,
    /// Longest frame.
    pub max_frame: usize,
}

impl Layout {
    /// Walk through the frame at the front of `input`. `false`: it is not whole. Every length is checked as soon as it is
    /// there; `status` is that of a fault.
    pub fn walk(&self, input: &[u8], parsed: &mut Parsed, status: u16) -> Result<bool, Fault> {
        let fault = |what| Fault { status, what };
        let (mut at, mut end) = (0_usize, None);
        for (number, step) in self.steps.iter().enumerate() {
            let start = at;
            at += step.fixed();
            self.check(at, end, status)?;
            let field = match (step, input.get(start..at)) {
                (Step::Magic(magic), None) if !magic.starts_with(input.get(start..).unwrap_or_default()) => {
                    return Err(fault("this is another protocol"));
                }
                (_, None) => return Ok(false),
                (_, Some(field)) => field,
            };
            match step {
                Step::Magic(magic) if **magic != *field => return Err(fault("this is another protocol")),
                Step::Magic(_) | Step::Skip(_) => {}
                Step::Number(slot, number) => {
                    set(&mut parsed.numbers, *slot, number.read(field));
                    set(&mut parsed.number_places, *slot, Place { outer: start, outer_end: at, start, end: at });
                }
                Step::Length(length, adjust) => {
                    let follow = i128::from(length.read(field)) + i128::from(*adjust);
                    let whole = follow + at as i128;
                    end = Some(usize::try_from(whole).map_err(|_| fault("the length of a frame is below zero"))?);
                    self.check(at, end, status)?;
                }
                Step::Id(id) => (parsed.id, parsed.id_at) = (id.read(field), start),
                Step::FixedText(slot, _) => set(&mut parsed.texts, *slot, unpadded(field, start)),
                Step::Text(slot, length) => {
                    let content = at;
                    at = self.after(content, length.read(field), end, status)?;
                    set(&mut parsed.texts, *slot, Place { outer: start, outer_end: at, start: content, end: at });
                }
                Step::Headers(length, _) => {
                    let content = at;
                    at = self.after(content, length.read(field), end, status)?;
                    parsed.headers = Place { outer: start, outer_end: at, start: content, end: at };
                }
                Step::Section(length) => at = self.after(at, length.read(field), end, status)?,
            }
            if number <= self.last_kept && at > MAX_FRAMED_HEAD {
                return Err(fault("the head of a frame is too long"));
            }
            if number == self.last_kept {
                parsed.envelope = at;
            }
        }
        parsed.length = end.unwrap_or(at);
        Ok(input.len() >= parsed.length)
    }

    /// Return the position behind `length` bytes from `at`.
    fn after(&self, at: usize, length: u64, end: Option<usize>, status: u16) -> Result<usize, Fault> {
        let after = usize::try_from(length).ok().and_then(|length| at.checked_add(length)).unwrap_or(usize::MAX);
        self.check(after, end, status)?;
        Ok(after)
    }

    fn check(&self, at: usize, end: Option<usize>, status: u16) -> Result<(), Fault> {
        if at > self.max_frame || end.is_some_and(|end| end > self.max_frame) {
            return Err(Fault { status, what: "the frame is too large" });
        }
        if end.is_some_and(|end| at > end) {
            return Err(Fault { status, what: "a part of the frame runs past its end" });
        }
        Ok(())
    }
}

/// Slots are below `MAX_FRAMED_NAMES`: `compile` sees to it.
fn set<T>(slots: &mut [T; MAX_FRAMED_NAMES], slot: usize, value: T) {
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}

/// Return where a text lies that is filled up with zeros or blanks.
fn unpadded(field: &[u8], start: usize) -> Place {
    let filled = field.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    Place { outer: start, outer_end: start + field.len(), start, end: start + filled }
}
