//! The elements of a frame as they are walked over: what has a fixed size is there or not, and is looked at, in one piece.

use std::collections::BTreeSet;

use crate::framed::bounds::Bounds;
use crate::framed::step::{Field, Step};

/// What is said of bytes that begin otherwise than every frame does.
pub const OTHER: &str = "this is another protocol";

/// Elements of fixed sizes, sorted by what is done with them, and one of any size behind them. Offsets are in the run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Bytes that are needed to know how long it is.
    pub size: usize,
    /// What only says what a frame is, each behind its offset.
    pub signs: Vec<(usize, Sign)>,
    /// What each frame is looked at for, each behind its offset.
    pub parts: Vec<(usize, Part)>,
    /// What follows, behind its length, which ends the run.
    pub tail: Option<(Field, Tail)>,
    /// Something is kept of it, and of nothing behind it: what follows is body.
    pub ends_head: bool,
}

/// What is asked of numbers, by slot.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that say what a frame is.
    pub tested: BTreeSet<usize>,
    /// Those that are looked at for something else.
    pub read: BTreeSet<usize>,
    /// Those whose bytes are repeated as they lie.
    pub repeated: BTreeSet<usize>,
}

/// What says what a frame is.
#[derive(Debug, PartialEq, Eq)]
pub enum Sign {
    /// These bytes must stand there.
    Magic(Box<[u8]>),
    /// The number of this slot, which rules look at.
    Number(usize, Field),
}

/// What is looked at in a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The number of this slot.
    Number(usize, Field),
    /// Where the number of this slot lies.
    Place(usize),
    /// The id.
    Id(Field),
    /// How many bytes follow in the frame, and what is added to that.
    Length(Field, i64),
    /// The text of this slot and size, filled up.
    Text(usize, usize),
}

/// What has its length before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Tail {
    /// A text.
    Text(usize),
    /// The header block.
    Headers,
    /// Bytes that are not read.
    Section,
}

impl Run {
    /// Look at the beginning of a run at `at`, which is all of it that has come; the error says what is wrong already.
    pub fn begins(&self, run: &[u8], at: usize, mut bounds: Bounds) -> Result<(), &'static str> {
        for (offset, sign) in &self.signs {
            sign.stands_in(run, *offset)?;
        }
        for (offset, part) in &self.parts {
            let Part::Length(field, adjust) = part else { continue };
            if let Some(length) = run.get(*offset..).filter(|rest| rest.len() >= field.size) {
                bounds.end_behind(at + offset + field.size, field.read(length), *adjust)?;
            }
        }
        bounds.check(at + self.size).map(drop)
    }

    fn add(&mut self, step: &Step, wanted: &Wanted) {
        let offset = self.size;
        self.size += step.fixed();
        match step {
            Step::Magic(bytes) => self.signs.push((offset, Sign::Magic(bytes.clone()))),
            Step::Skip(_) => {}
            Step::Number(slot, field) => {
                if wanted.read.contains(slot) {
                    self.parts.push((offset, Part::Number(*slot, *field)));
                } else if wanted.tested.contains(slot) {
                    self.signs.push((offset, Sign::Number(*slot, *field)));
                }
                if wanted.repeated.contains(slot) {
                    self.parts.push((offset, Part::Place(*slot)));
                }
            }
            Step::Length(field, adjust) => self.parts.push((offset, Part::Length(*field, *adjust))),
            Step::Id(field) => self.parts.push((offset, Part::Id(*field))),
            Step::FixedText(slot, size) => self.parts.push((offset, Part::Text(*slot, *size))),
            Step::Text(slot, length) => self.tail = Some((*length, Tail::Text(*slot))),
            Step::Headers(length, _) => self.tail = Some((*length, Tail::Headers)),
            Step::Section(length) => self.tail = Some((*length, Tail::Section)),
        }
    }
}

impl Sign {
    /// Return whether a run, as far as it has come, has the bytes that must stand there.
    pub fn stands_in(&self, run: &[u8], offset: usize) -> Result<(), &'static str> {
        let Self::Magic(bytes) = self else { return Ok(()) };
        let mut pairs = run.iter().skip(offset).zip(bytes);
        pairs.all(|(byte, wanted)| byte == wanted).then_some(()).ok_or(OTHER)
    }
}

/// Return the runs that these elements make, of whose numbers that is wanted.
pub fn of(steps: &[Step], wanted: &Wanted) -> Vec<Run> {
    let last_kept = steps.iter().rposition(Step::is_kept);
    let (mut runs, mut run) = (Vec::new(), Run::default());
    for (number, step) in steps.iter().enumerate() {
        run.add(step, wanted);
        run.ends_head = last_kept == Some(number);
        if run.tail.is_some() || run.ends_head {
            runs.push(std::mem::take(&mut run));
        }
    }
    if run.size > 0 {
        runs.push(run);
    }
    runs
}
