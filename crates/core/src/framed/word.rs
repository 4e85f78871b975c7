//! What a name in a declaration stands for when frames pass: a slot of what was read, or a part of it.

use crate::short::{front, is_same, FRONT};

/// A condition: slot, mask, value.
pub type Test = (usize, u64, u64);

/// A named piece of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A number.
    Number(usize),
    /// A text.
    Text(usize),
}

/// Where a word comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// A text.
    Text { slot: usize, cut: Cut },
    /// A header.
    Header { key: Box<[u8]>, cut: Cut },
    /// A number.
    Number { slot: usize },
}

/// Which part of a text is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    Whole,
    /// What stands before the first of these.
    Before(Box<[u8]>),
    /// What stands behind the first of these.
    After(Box<[u8]>),
}

impl Word {
    /// Return which part of its text is meant.
    pub fn cut(&self) -> &Cut {
        match self {
            Self::Text { cut, .. } | Self::Header { cut, .. } => cut,
            Self::Number { .. } => &Cut::Whole,
        }
    }
}

/// A key that is looked for in header blocks: most differ in their fronts.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    front: u64,
    bytes: Box<[u8]>,
}

impl Key {
    /// Return the key of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self { front: front(bytes), bytes: bytes.into() }
    }

    /// Return whether this is the key, whose front is given with it.
    #[inline]
    pub fn is(&self, key: &[u8], front: u64) -> bool {
        self.front == front && self.bytes.len() == key.len() && (key.len() <= FRONT || is_same(&self.bytes, key))
    }
}

impl Cut {
    /// Return where that part of `text` begins and ends.
    pub fn of(&self, text: &[u8]) -> (usize, usize) {
        let find = |word: &[u8]| memchr::memmem::find(text, word);
        match self {
            Self::Whole => (0, text.len()),
            Self::Before(word) => (0, find(word).unwrap_or(0)),
            Self::After(word) => (find(word).map_or(0, |at| at + word.len()), text.len()),
        }
    }

    /// Return that part of `text`.
    pub fn part<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let (start, end) = self.of(text);
        text.get(start..end).unwrap_or_default()
    }
}
