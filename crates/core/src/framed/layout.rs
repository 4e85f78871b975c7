//! From the front of a frame to its numbers, texts and length: one pass over its elements, nothing stored.

use crate::events::Fault;
use crate::framed::bounds::Bounds;
use crate::framed::codec::Frame;
use crate::framed::opening::Opening;
use crate::framed::runs::{self, Part, Run, Sign, Tail, Wanted};
use crate::framed::step::Step;
use crate::limits::{MAX_FRAMED_HEAD, MAX_FRAMED_NAMES};

/// Where a text or a header block lies in a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// All of it, its length and filling included: from here
    pub outer: usize,
    /// up to here.
    pub outer_end: usize,
    /// First byte of its content.
    pub start: usize,
    /// Behind the last byte of its content.
    pub end: usize,
}

/// What was found in a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Numbers by slot, if they are read.
    pub numbers: [u64; MAX_FRAMED_NAMES],
    /// Where they lie, if they are repeated.
    pub numbers_at: [usize; MAX_FRAMED_NAMES],
    /// Texts by slot.
    pub texts: [Place; MAX_FRAMED_NAMES],
    /// The header block.
    pub headers: Place,
    /// Where the id lies.
    pub id_at: usize,
}

/// The elements of every frame of a protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// In order.
    steps: Vec<Step>,
    runs: Vec<Run>,
    opening: Option<Opening>,
    /// Longest frame.
    max_frame: usize,
    /// Sizes of the numbers by slot.
    number_sizes: [usize; MAX_FRAMED_NAMES],
}

impl Layout {
    /// Return the layout of frames of these elements, of which none is longer than that, and of whose numbers that is wanted.
    pub fn new(steps: Vec<Step>, max_frame: usize, wanted: &Wanted) -> Self {
        let mut number_sizes = [0; MAX_FRAMED_NAMES];
        for step in &steps {
            if let Step::Number(slot, field) = step {
                set(&mut number_sizes, *slot, field.size);
            }
        }
        let opening = Opening::of(&steps, &wanted.tested);
        Self { runs: runs::of(&steps, wanted), opening, steps, max_frame, number_sizes }
    }

    /// Return the elements in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Return where a number that is repeated lies in the frame that was walked through.
    pub fn number(&self, slot: usize, parsed: &Parsed) -> Option<(usize, usize)> {
        let (start, size) = (*parsed.numbers_at.get(slot)?, *self.number_sizes.get(slot)?);
        Some((start, start + size))
    }

    /// Return what the first bytes of the frame at the front of `input` say of what it is; `None`: they do not.
    #[inline]
    pub fn opening(&self, input: &[u8]) -> Option<u128> {
        self.opening.as_ref()?.read(input)
    }

    /// Walk through the frame at the front of `input`: make `frame` it, but for its kind, and note in `parsed` what lies where.
    /// `false`: it is not whole. Every length is checked as soon as it is there; `status` is that of a fault. What a frame is
    /// whose opening is `known` is not asked again.
    #[inline]
    pub fn walk(
        &self,
        input: &[u8],
        known: bool,
        frame: &mut Frame,
        parsed: &mut Parsed,
        status: u16,
    ) -> Result<bool, Fault> {
        let fault = |what| Fault { status, what };
        let mut bounds = Bounds { end: None, most: self.max_frame, limit: self.max_frame.min(MAX_FRAMED_HEAD) };
        let mut at = 0;
        for run in &self.runs {
            let rest = input.get(at..).unwrap_or_default();
            if rest.len() < run.size {
                run.begins(rest, at, bounds).map_err(fault)?;
                return Ok(false);
            }
            if !known {
                parsed.read_signs(run, rest).map_err(fault)?;
            }
            for (offset, part) in &run.parts {
                let (bytes, at) = (rest.get(*offset..).unwrap_or_default(), at + offset);
                match part {
                    Part::Id(field) => (frame.id, parsed.id_at) = (field.read(bytes), at),
                    Part::Number(slot, field) => set(&mut parsed.numbers, *slot, field.read(bytes)),
                    Part::Place(slot) => set(&mut parsed.numbers_at, *slot, at),
                    Part::Text(slot, size) => set(&mut parsed.texts, *slot, unpadded(bytes, *size, at)),
                    Part::Length(field, adjust) => {
                        bounds.end_behind(at + field.size, field.read(bytes), *adjust).map_err(fault)?;
                    }
                }
            }
            let content = bounds.check(at + run.size).map_err(fault)?;
            at = content;
            if let Some((length, tail)) = &run.tail {
                let outer = content - length.size;
                let length = length.read(rest.get(run.size - length.size..).unwrap_or_default());
                at = bounds.behind(content, length).map_err(fault)?;
                parsed.note(tail, Place { outer, outer_end: at, start: content, end: at });
            }
            if run.ends_head {
                frame.envelope = at;
                bounds.limit = bounds.end.unwrap_or(bounds.most);
            }
        }
        frame.length = bounds.end.unwrap_or(at);
        Ok(input.len() >= frame.length)
    }
}

impl Parsed {
    /// Read what says what a frame is in a run; the error says that it is of another protocol.
    fn read_signs(&mut self, run: &Run, bytes: &[u8]) -> Result<(), &'static str> {
        for (offset, sign) in &run.signs {
            sign.stands_in(bytes, *offset)?;
            if let Sign::Number(slot, field) = sign {
                set(&mut self.numbers, *slot, field.read(bytes.get(*offset..).unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Note where something lies that has its length before it.
    #[inline]
    fn note(&mut self, tail: &Tail, place: Place) {
        match tail {
            Tail::Text(slot) => set(&mut self.texts, *slot, place),
            Tail::Headers => self.headers = place,
            Tail::Section => {}
        }
    }
}

/// Slots are below `MAX_FRAMED_NAMES`: `compile` sees to it.
fn set<T>(slots: &mut [T; MAX_FRAMED_NAMES], slot: usize, value: T) {
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}

/// Return where a text of that size lies that is filled up with zeros or blanks.
fn unpadded(bytes: &[u8], size: usize, start: usize) -> Place {
    let field = bytes.get(..size).unwrap_or_default();
    let filled = field.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    Place { outer: start, outer_end: start + size, start, end: start + filled }
}
