//! As much of the protobuf wire format as the core writes and reads itself: spans, what it asks of authorization services, events.

use std::fmt;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Append a number, seven bits a byte.
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Append a field that is a number.
pub fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | VARINT, out);
    varint(value, out);
}

/// Append a field that is eight bytes.
pub fn fixed64(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Append a field that is bytes.
pub fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | BYTES, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Append a field that is text: what is no UTF-8 is replaced, since a receiver refuses a whole message for it.
pub fn text(field: u64, value: &[u8], out: &mut Vec<u8>) {
    bytes(field, String::from_utf8_lossy(value).as_bytes(), out);
}

/// Append a field that is a message, which `write` writes.
pub fn message(field: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | BYTES, out);
    let start = out.len();
    write(out);
    // Its length stands before it; nearly always that is one byte or two.
    let mut length = Vec::with_capacity(3);
    varint((out.len() - start) as u64, &mut length);
    out.splice(start..start, length);
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// A number, a truth or a member of an enum.
    Number(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Bytes, a text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// Return bytes; empty for anything else.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => b"",
        }
    }

    /// Return a number; 0 for anything else.
    pub fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            _ => 0,
        }
    }
}

/// What is wrong with the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// They end within a field, or a number has no end.
    Cut,
    /// No field has the number 0.
    Unnumbered,
    /// A wire type that there is not, or that of groups, which nobody writes any more.
    WireType(u64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("a field that is cut short or overlong"),
            Self::Unnumbered => f.write_str("a field of number 0"),
            Self::WireType(wire) => write!(f, "a field of wire type {wire}"),
        }
    }
}

/// Reads the fields of a message, in the order in which they were written. After what is no field there is nothing more.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    broken: Option<Flaw>,
}

impl<'a> Fields<'a> {
    /// Return the fields of `message`.
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message, broken: None }
    }

    /// Return whether everything so far was a field.
    pub fn is_sound(&self) -> bool {
        self.broken.is_none()
    }

    /// Return what has ended the reading, if that was not the end of the message.
    pub fn flaw(&self) -> Option<Flaw> {
        self.broken
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(at).unwrap_or(10) * 7).unwrap_or(0);
            if *byte < 0x80 {
                self.rest = self.rest.get(at + 1..)?;
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, size: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(size).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), Flaw> {
        let key = self.varint().ok_or(Flaw::Cut)?;
        if key >> 3 == 0 {
            return Err(Flaw::Unnumbered);
        }
        let value = match key & 7 {
            VARINT => self.varint().map(Wire::Number),
            FIXED64 => self.array().map(|bytes| Wire::Fixed64(u64::from_le_bytes(bytes))),
            BYTES => self.varint().and_then(|size| self.take(size)).map(Wire::Bytes),
            FIXED32 => self.array().map(|bytes| Wire::Fixed32(u32::from_le_bytes(bytes))),
            wire => return Err(Flaw::WireType(wire)),
        };
        Ok((key >> 3, value.ok_or(Flaw::Cut)?))
    }

    fn array<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        self.take(SIZE as u64)?.try_into().ok()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken.is_some() {
            return None;
        }
        match self.field() {
            Ok(field) => Some(field),
            Err(flaw) => {
                self.broken = Some(flaw);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_protobuf_has_them() {
        let mut out = Vec::new();
        number(1, 150, &mut out);
        assert_eq!(out, [0x08, 0x96, 0x01], "the encoding guide's own example");
        out.clear();
        bytes(2, b"testing", &mut out);
        assert_eq!(out, [0x12, 0x07, b't', b'e', b's', b't', b'i', b'n', b'g']);
        out.clear();
        message(3, &mut out, |out| number(1, 150, out));
        assert_eq!(out, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        out.clear();
        message(1, &mut out, |out| bytes(1, &[0; 300], out));
        assert_eq!((out.len(), &out[..3]), (306, &[0x0a, 0xaf, 0x02][..]));
        out.clear();
        fixed64(7, 1, &mut out);
        assert_eq!(out, [0x39, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn text_is_utf_8_whatever_came() {
        let mut out = Vec::new();
        text(1, b"a\xff", &mut out);
        assert_eq!(out, [0x0a, 0x04, b'a', 0xef, 0xbf, 0xbd]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        number(1, u64::MAX, &mut out);
        fixed64(2, 7, &mut out);
        message(300, &mut out, |out| text(1, b"deep", out));
        let read: Vec<_> = Fields::of(&out).collect();
        let inner = [(1, Wire::Bytes(b"deep"))];
        assert_eq!(read[..2], [(1, Wire::Number(u64::MAX)), (2, Wire::Fixed64(7))]);
        assert_eq!((read[2].0, Fields::of(read[2].1.bytes()).collect::<Vec<_>>()), (300, inner.to_vec()));
        assert_eq!(
            (read[0].1.bytes(), read[2].1.number()),
            (&b""[..], 0),
            "a field of another kind is as good as none"
        );
    }

    #[test]
    fn what_is_cut_or_no_field_is_told() {
        let mut whole = Vec::new();
        bytes(1, &[7; 200], &mut whole);
        let sound = |message: &[u8]| {
            let mut fields = Fields::of(message);
            fields.by_ref().for_each(drop);
            fields.is_sound()
        };
        assert!(sound(&whole) && sound(b""));
        assert!((1..whole.len()).all(|cut| !sound(&whole[..cut])));
        assert!(
            !sound(&[0x0b])
                && !sound(&[0xff; 11])
                && !sound(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
        );
    }
}
