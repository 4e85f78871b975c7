//! Hessian 2 (the final dialect, which Dubbo writes): strings are read, everything else is skipped.
//!
//! Bounded in every way: values, depth, classes and text outside of ASCII are counted, and no length is trusted beyond the bytes that are there.
//! `None` always means: not to be read in these bounds.

use std::borrow::Cow;
use std::ops::Range;

use crate::limits::{MAX_HESSIAN_CLASSES, MAX_HESSIAN_DEPTH, MAX_HESSIAN_TEXT, MAX_HESSIAN_VALUES};

/// A reader over the bytes of one body.
#[derive(Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// Values that may still be looked at.
    left: usize,
    /// Units of text outside of ASCII that may still be counted one by one.
    text_left: usize,
    /// Numbers of fields of the classes defined so far.
    classes: Vec<usize>,
}

impl<'a> Reader<'a> {
    /// Return a reader at the front of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, left: MAX_HESSIAN_VALUES, text_left: MAX_HESSIAN_TEXT, classes: Vec::new() }
    }

    /// Return the next byte without taking it.
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.input.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn number(&mut self, size: usize) -> Option<usize> {
        self.bytes(size).map(|bytes| bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    /// Read a string that lies in one piece (others are longer than anything that routes).
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let units = match self.byte()? {
            tag @ 0x00..=0x1f => usize::from(tag),
            tag @ 0x30..=0x33 => (usize::from(tag - 0x30) << 8) | self.number(1)?,
            b'S' => self.number(2)?,
            _ => return None,
        };
        self.text(units)
    }

    /// Read so many UTF-16 units, written as UTF-8; Java writes each half of a pair on its own.
    fn text(&mut self, units: usize) -> Option<&'a [u8]> {
        let start = self.at;
        if self.input.get(start..start + units)?.is_ascii() {
            return self.bytes(units); // so nearly all are, and this looks at many bytes at once
        }
        self.text_left = self.text_left.checked_sub(units)?;
        let mut left = units;
        while left > 0 {
            let (size, counts) = unit(self.peek()?)?;
            self.bytes(size)?;
            left = left.checked_sub(counts)?;
        }
        self.input.get(start..self.at)
    }

    /// Read a small whole number.
    pub fn int(&mut self) -> Option<i32> {
        let tag = self.byte()?;
        let high = |base: u8| i32::from(tag) - i32::from(base);
        Some(match tag {
            0x80..=0xbf => high(0x90),
            0xc0..=0xcf => (high(0xc8) << 8) | i32::try_from(self.number(1)?).ok()?,
            0xd0..=0xd7 => (high(0xd4) << 16) | i32::try_from(self.number(2)?).ok()?,
            b'I' => i32::from_be_bytes(self.bytes(4)?.try_into().ok()?),
            _ => return None,
        })
    }

    /// Skip one value.
    pub fn skip(&mut self) -> Option<()> {
        self.value(0)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if depth > MAX_HESSIAN_DEPTH {
            return None;
        }
        let tag = self.byte()?;
        let size = match tag {
            b'F' | b'N' | b'T' | 0x5b | 0x5c | 0x80..=0xbf | 0xd8..=0xef => 0,
            0x5d | 0xc0..=0xcf | 0xf0..=0xff => 1,
            0x38..=0x3f | 0x5e | 0xd0..=0xd7 => 2,
            b'I' | b'K' | b'Y' | 0x5f => 4,
            b'D' | b'J' | b'L' => 8,
            0x20..=0x2f => usize::from(tag - 0x20),
            0x34..=0x37 => (usize::from(tag - 0x34) << 8) | self.number(1)?,
            b'Q' => return self.int().map(drop),
            _ => return self.composite(tag, depth + 1),
        };
        self.bytes(size).map(drop)
    }

    /// Skip what has parts: `tag` is taken already.
    fn composite(&mut self, tag: u8, depth: usize) -> Option<()> {
        match tag {
            0x00..=0x1f => self.text(usize::from(tag)).map(drop),
            0x30..=0x33 => {
                let units = (usize::from(tag - 0x30) << 8) | self.number(1)?;
                self.text(units).map(drop)
            }
            b'A' | b'B' | b'R' | b'S' => self.chunks(tag),
            b'C' => self.class().and_then(|()| self.value(depth)),
            b'O' => {
                let class = usize::try_from(self.int()?).ok()?;
                self.object(class, depth)
            }
            0x60..=0x6f => self.object(usize::from(tag - 0x60), depth),
            b'H' | b'W' => self.until_end(depth),
            b'M' | b'U' => self.type_name().and_then(|()| self.until_end(depth)),
            b'V' => self.type_name().and_then(|()| self.counted(depth)),
            b'X' => self.counted(depth),
            0x70..=0x77 => self.type_name().and_then(|()| self.values(usize::from(tag - 0x70), depth)),
            0x78..=0x7f => self.values(usize::from(tag - 0x78), depth),
            _ => None,
        }
    }

    /// Skip the chunks of a long string or of bytes; the last has a tag of its own.
    fn chunks(&mut self, mut tag: u8) -> Option<()> {
        loop {
            match tag {
                b'A' | b'B' => {
                    let size = self.number(2)?;
                    self.bytes(size)?;
                }
                b'R' | b'S' => {
                    let units = self.number(2)?;
                    self.text(units)?;
                }
                // A chunk of this kind is the last and short.
                0x00..=0x1f => return self.text(usize::from(tag)).map(drop),
                0x20..=0x2f => return self.bytes(usize::from(tag - 0x20)).map(drop),
                0x30..=0x37 => return self.composite_tail(tag),
                _ => return None,
            }
            if matches!(tag, b'B' | b'S') {
                return Some(());
            }
            self.left = self.left.checked_sub(1)?;
            tag = self.byte()?;
        }
    }

    fn composite_tail(&mut self, tag: u8) -> Option<()> {
        let length = (usize::from(tag & 3) << 8) | self.number(1)?;
        if tag < 0x34 {
            self.text(length).map(drop)
        } else {
            self.bytes(length).map(drop)
        }
    }

    fn class(&mut self) -> Option<()> {
        self.string()?;
        let fields = usize::try_from(self.int()?).ok()?;
        self.left = self.left.checked_sub(fields)?;
        for _ in 0..fields {
            self.string()?;
        }
        self.classes.push(fields);
        (self.classes.len() <= MAX_HESSIAN_CLASSES).then_some(())
    }

    fn object(&mut self, class: usize, depth: usize) -> Option<()> {
        let fields = *self.classes.get(class)?;
        self.values(fields, depth)
    }

    fn type_name(&mut self) -> Option<()> {
        match self.peek()? {
            0x80..=0xd7 | b'I' => self.int().map(drop),
            _ => self.string().map(drop),
        }
    }

    fn counted(&mut self, depth: usize) -> Option<()> {
        let count = usize::try_from(self.int()?).ok()?;
        self.values(count, depth)
    }

    fn values(&mut self, count: usize, depth: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.value(depth))
    }

    fn until_end(&mut self, depth: usize) -> Option<()> {
        while self.peek()? != b'Z' {
            self.value(depth)?;
        }
        self.byte().map(drop)
    }

    /// Return how many bytes have been taken.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Take the beginning of a map; `false`: it is null, and there are no pairs.
    pub fn map(&mut self) -> Option<bool> {
        match self.byte()? {
            b'H' => Some(true),
            b'M' => self.type_name().map(|()| true),
            b'N' => Some(false),
            _ => None,
        }
    }

    /// Return whether a map ends here, and take its end.
    pub fn map_ends(&mut self) -> Option<bool> {
        let ends = self.peek()? == b'Z';
        self.at += usize::from(ends);
        Some(ends)
    }

    /// Read a pair of a map.
    pub fn pair(&mut self) -> Option<Pair<'a>> {
        self.left = self.left.checked_sub(1)?;
        let start = self.at;
        let key = self.string()?;
        let value = match self.peek()? {
            0x00..=0x1f | 0x30..=0x33 | b'S' => Some(Cow::Borrowed(self.string()?)),
            0x80..=0xd7 | b'I' => Some(Cow::Owned(self.int()?.to_string().into_bytes())),
            _ => self.value(1).map(|()| None)?,
        };
        Some(Pair { key, value, range: start..self.at })
    }
}

/// A pair of a map whose keys are strings.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Key.
    pub key: &'a [u8],
    /// Value, when it is a string or a whole number.
    pub value: Option<Cow<'a, [u8]>>,
    /// Where both lie in the input.
    pub range: Range<usize>,
}

/// Append a string. `None`: it is no text as [`Reader`] reads it, or too long to lie in one piece.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let units: u16 = units(text)?.try_into().ok()?;
    match units {
        0..=0x1f => out.push(units.to_be_bytes()[1]),
        0x20..=0x3ff => out.extend_from_slice(&(0x3000 | units).to_be_bytes()),
        _ => {
            out.push(b'S');
            out.extend_from_slice(&units.to_be_bytes());
        }
    }
    out.extend_from_slice(text);
    Some(())
}

/// Return how many UTF-16 units a text has.
fn units(text: &[u8]) -> Option<usize> {
    let (mut rest, mut count) = (text, 0);
    while let Some(first) = rest.first() {
        let (size, counts) = unit(*first)?;
        rest = rest.get(size..)?;
        count += counts;
    }
    Some(count)
}

/// Return (bytes, UTF-16 units) of the character that begins with this byte.
fn unit(first: u8) -> Option<(usize, usize)> {
    match first {
        0x00..=0x7f => Some((1, 1)),
        0xc0..=0xdf => Some((2, 1)),
        0xe0..=0xef => Some((3, 1)),
        0xf0..=0xf7 => Some((4, 2)),
        _ => None,
    }
}

/// Return how many arguments a JVM descriptor lists (`Ljava/lang/String;[[I`).
pub fn arguments(descriptor: &[u8]) -> Option<usize> {
    let (mut rest, mut count) = (descriptor, 0);
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'[' => {
                rest = after;
                continue;
            }
            b'L' => after.get(memchr::memchr(b';', after)? + 1..)?,
            b'Z' | b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' | b'V' => after,
            _ => return None,
        };
        count += 1;
    }
    Some(count)
}
