//! What a name in a declaration stands for when frames pass: a slot of what was read, or a part of it.

use crate::head::{Head, Span};

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

impl Cut {
    /// Return that part of what lies at `span`.
    pub fn of(&self, head: &Head, span: Span) -> Span {
        let (start, end) = span.range();
        let find = |word: &[u8]| memchr::memmem::find(head.bytes(span), word);
        match self {
            Self::Whole => span,
            Self::Before(word) => Span::new(start, find(word).map_or(start, |at| start + at)),
            Self::After(word) => Span::new(find(word).map_or(start, |at| start + at + word.len()), end),
        }
    }
}
