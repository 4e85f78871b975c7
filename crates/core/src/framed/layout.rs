//! From the front of a frame to its numbers, texts and length: one pass over its elements, nothing stored.

use crate::events::Fault;
use crate::framed::bounds::Bounds;
use crate::framed::codec::Frame;
use crate::framed::runs::{self, Run, Tail, Wanted, OTHER};
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
        Self { runs: runs::of(&steps, wanted), steps, max_frame, number_sizes }
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

    /// Walk through the frame at the front of `input`: make `frame` it, but for its kind, and note in `parsed` what lies where.
    /// `false`: it is not whole. Every length is checked as soon as it is there; `status` is that of a fault.
    pub fn walk(&self, input: &[u8], frame: &mut Frame, parsed: &mut Parsed, status: u16) -> Result<bool, Fault> {
        let fault = |what| Fault { status, what };
        let mut bounds = Bounds { end: None, most: self.max_frame, limit: self.max_frame.min(MAX_FRAMED_HEAD) };
        let mut at = 0;
        for run in &self.runs {
            let rest = input.get(at..).unwrap_or_default();
            let Some(fixed) = rest.get(..run.size) else {
                run.begins(rest, at, bounds).map_err(fault)?;
                return Ok(false);
            };
            if !run.magic.iter().all(|magic| magic.stands_in(fixed)) {
                return Err(fault(OTHER));
            }
            for (offset, slot, field) in &run.numbers {
                let number = field.read(rest.get(*offset..).unwrap_or_default());
                set(&mut parsed.numbers, *slot, number);
            }
            for (offset, slot) in &run.repeated {
                set(&mut parsed.numbers_at, *slot, at + offset);
            }
            if let Some((offset, field)) = run.id {
                (frame.id, parsed.id_at) = (field.read(rest.get(offset..).unwrap_or_default()), at + offset);
            }
            if let Some(length) = &run.length {
                bounds.end_behind(at + length.end(), length.read(rest), length.adjust).map_err(fault)?;
            }
            for (offset, slot, size) in &run.fixed_texts {
                let text = fixed.get(*offset..offset + size).unwrap_or_default();
                set(&mut parsed.texts, *slot, unpadded(text, at + offset));
            }
            let content = bounds.check(at + run.size).map_err(fault)?;
            at = content;
            if let Some((length, tail)) = &run.tail {
                let outer = content - length.size;
                let length = length.read(rest.get(run.size - length.size..).unwrap_or_default());
                at = bounds.behind(content, length).map_err(fault)?;
                let place = Place { outer, outer_end: at, start: content, end: at };
                match tail {
                    Tail::Text(slot) => set(&mut parsed.texts, *slot, place),
                    Tail::Headers => parsed.headers = place,
                    Tail::Section => {}
                }
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
