//! What a name in a declaration stands for when frames pass: a slot of what was read, or a part of it.

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
    /// A header; `front` is that of its key.
    Header { key: Box<[u8]>, front: u64, cut: Cut },
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

    /// Return whether it is the header of this key, whose front this is.
    pub fn is_header(&self, wanted: &[u8], wanted_front: u64) -> bool {
        matches!(self, Self::Header { key, front, .. }
            if *front == wanted_front && key.len() == wanted.len() && (key.len() <= FRONT || **key == *wanted))
    }
}

/// So many bytes of a key are its front.
const FRONT: usize = 8;

/// Return the first bytes of a key as a number: most keys are no longer, or differ in them. To call a function that compares
/// them costs more.
pub fn front(key: &[u8]) -> u64 {
    let few = || key.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    key.first_chunk::<FRONT>().map_or_else(few, |bytes| u64::from_be_bytes(*bytes))
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
