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
    /// Bytes that must stand in it.
    pub magic: Vec<Magic>,
    /// Offset, slot and field of the numbers that are read.
    pub numbers: Vec<(usize, usize, Field)>,
    /// Offset and slot of the numbers whose bytes are repeated.
    pub repeated: Vec<(usize, usize)>,
    /// Offset and field of the id.
    pub id: Option<(usize, Field)>,
    /// How many bytes follow in the frame.
    pub length: Option<Length>,
    /// Offset, slot and size of texts that are filled up.
    pub fixed_texts: Vec<(usize, usize, usize)>,
    /// What follows, behind its length, which ends the run.
    pub tail: Option<(Field, Tail)>,
    /// Something is kept of it, and of nothing behind it: what follows is body.
    pub ends_head: bool,
}

/// What is asked of numbers, by slot.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that are looked at.
    pub read: BTreeSet<usize>,
    /// Those whose bytes are repeated as they lie.
    pub repeated: BTreeSet<usize>,
}

/// Bytes that must stand in a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Magic {
    offset: usize,
    bytes: Box<[u8]>,
}

impl Magic {
    /// Return whether they stand in a run, as far as it has come.
    pub fn stands_in(&self, run: &[u8]) -> bool {
        let mut pairs = run.iter().skip(self.offset).zip(&self.bytes);
        pairs.all(|(byte, wanted)| byte == wanted)
    }
}

/// The length of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Length {
    offset: usize,
    field: Field,
    /// What is added to it.
    pub adjust: i64,
}

impl Length {
    /// Return where it ends in its run.
    pub fn end(&self) -> usize {
        self.offset + self.field.size
    }

    /// Read it in its run.
    pub fn read(&self, run: &[u8]) -> u64 {
        self.field.read(run.get(self.offset..).unwrap_or_default())
    }
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
        if !self.magic.iter().all(|magic| magic.stands_in(run)) {
            return Err(OTHER);
        }
        if let Some(length) = self.length.as_ref().filter(|length| run.len() >= length.end()) {
            bounds.end_behind(at + length.end(), length.read(run), length.adjust)?;
        }
        bounds.check(at + self.size).map(drop)
    }

    fn add(&mut self, step: &Step, wanted: &Wanted) {
        let offset = self.size;
        self.size += step.fixed();
        match step {
            Step::Magic(bytes) => self.magic.push(Magic { offset, bytes: bytes.clone() }),
            Step::Skip(_) => {}
            Step::Number(slot, field) => {
                if wanted.read.contains(slot) {
                    self.numbers.push((offset, *slot, *field));
                }
                if wanted.repeated.contains(slot) {
                    self.repeated.push((offset, *slot));
                }
            }
            Step::Length(field, adjust) => self.length = Some(Length { offset, field: *field, adjust: *adjust }),
            Step::Id(field) => self.id = Some((offset, *field)),
            Step::FixedText(slot, size) => self.fixed_texts.push((offset, *slot, *size)),
            Step::Text(slot, length) => self.tail = Some((*length, Tail::Text(*slot))),
            Step::Headers(length, _) => self.tail = Some((*length, Tail::Headers)),
            Step::Section(length) => self.tail = Some((*length, Tail::Section)),
        }
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
