//! Bodies: by length, in chunks (RFC 9112 7.1), or until the connection ends.

use memchr::memchr;

use crate::ascii;
use crate::events::{Fault, Piece};
use crate::head::Head;
use crate::http1::fields::{self, Block};
use crate::http1::message::{HeadLimits, Search};
use crate::limits::{MAX_CHUNK_LINE, MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD};

/// How a body is delimited, and how far it has come.
#[derive(Debug)]
pub enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// All until the peer closes.
    UntilClose,
}

/// One step through a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More input is needed.
    More,
    /// Bytes of the body; `true`: the last ones.
    Data(Piece, bool),
    /// Trailers are in the head; the body has ended.
    Trailers,
}

impl Body {
    /// Decode the next step; return how many bytes were used up. `status` is that of a fault.
    pub fn step(&mut self, input: &[u8], head: &mut Head, status: u16) -> Result<(usize, Step), Fault> {
        if input.is_empty() {
            return Ok((0, Step::More));
        }
        match self {
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= take as u64;
                Ok((take, Step::Data(Piece { start: 0, end: take }, *left == 0)))
            }
            Self::Chunked(chunks) => chunks.step(input, head, status),
            Self::UntilClose => Ok((input.len(), Step::Data(Piece { start: 0, end: input.len() }, false))),
        }
    }
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Size,
    Bytes(u64),
    BytesEnd,
    Trailers,
}

/// A chunked body.
#[derive(Debug, Default)]
pub struct Chunks {
    part: Part,
    search: Search,
}

impl Chunks {
    fn step(&mut self, input: &[u8], head: &mut Head, status: u16) -> Result<(usize, Step), Fault> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match &mut self.part {
                Part::Size => {
                    let Some((line, size)) = size_line(rest, status)? else { return Ok((used, Step::More)) };
                    used += line;
                    self.part = if size == 0 { Part::Trailers } else { Part::Bytes(size) };
                }
                Part::Bytes(_) if rest.is_empty() => return Ok((used, Step::More)),
                Part::Bytes(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= take as u64;
                    if *left == 0 {
                        self.part = Part::BytesEnd;
                    }
                    return Ok((used + take, Step::Data(Piece { start: used, end: used + take }, false)));
                }
                Part::BytesEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        self.part = Part::Size;
                    }
                    [] | [b'\r'] => return Ok((used, Step::More)),
                    _ => return Err(Fault { status, what: "chunk longer than its size" }),
                },
                Part::Trailers => {
                    let limits = HeadLimits { bytes: MAX_RESPONSE_HEAD, fields: MAX_RESPONSE_FIELDS };
                    let Some(length) = self.search.block(rest, limits.bytes, status)? else {
                        return Ok((used, Step::More));
                    };
                    let end = used + length;
                    if length == 2 {
                        return Ok((end, Step::Data(Piece { start: end, end }, true)));
                    }
                    head.clear();
                    let block = head.store(rest.get(..length).unwrap_or_default());
                    fields::read(head, block, Block::Trailers, limits.fields, status)?;
                    return Ok((end, Step::Trailers));
                }
            }
        }
    }
}

/// Read a chunk-size line: its length and the size, or `None` when it is not whole.
fn size_line(input: &[u8], status: u16) -> Result<Option<(usize, u64)>, Fault> {
    let fault = |what| Fault { status, what };
    let window = input.get(..MAX_CHUNK_LINE.min(input.len())).unwrap_or_default();
    let Some(end) = memchr(b'\n', window) else {
        return if input.len() < MAX_CHUNK_LINE { Ok(None) } else { Err(fault("chunk-size line too long")) };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(fault("invalid chunk-size line"))?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at_checked(digits).unwrap_or_default();
    let extended = matches!(extension, [] | [b';', ..]);
    if size.is_empty() || size.len() > 15 || !extended || !ascii::is_field_value(extension) {
        return Err(fault("invalid chunk size"));
    }
    let size = size.iter().fold(0u64, |n, byte| n * 16 + u64::from(hex_value(*byte)));
    Ok(Some((end + 1, size)))
}

fn hex_value(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut body: Body, input: &[u8], cut: usize) -> Result<(Vec<u8>, Vec<String>), Fault> {
        let (mut got, mut ends, mut head) = (Vec::new(), Vec::new(), Head::default());
        let mut kept = Vec::new();
        for part in input.chunks(cut) {
            kept.extend_from_slice(part);
            loop {
                let (used, step) = body.step(&kept, &mut head, 400)?;
                match step {
                    Step::More => {
                        kept.drain(..used);
                        break;
                    }
                    Step::Data(piece, end) => {
                        got.extend_from_slice(piece.of(&kept));
                        kept.drain(..used);
                        if end {
                            ends.push("end".to_owned());
                            return Ok((got, ends));
                        }
                    }
                    Step::Trailers => {
                        ends.extend(head.fields().map(|(name, _)| String::from_utf8_lossy(name).into_owned()));
                        return Ok((got, ends));
                    }
                }
            }
        }
        Ok((got, ends))
    }

    #[test]
    fn chunks_cut_anywhere_are_the_same_body() {
        for cut in 1..40 {
            let plain =
                all(Body::Chunked(Chunks::default()), b"3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n", cut).unwrap();
            assert_eq!(plain, (b"abc0123456789".to_vec(), vec!["end".to_owned()]));
            let trailed =
                all(Body::Chunked(Chunks::default()), b"1\r\na\r\n0\r\nX-T: 1\r\nHost: no\r\n\r\n", cut).unwrap();
            assert_eq!(trailed, (b"a".to_vec(), vec!["x-t".to_owned()]));
        }
    }

    #[test]
    fn odd_chunks_are_refused() {
        let long = [b"1;".as_slice(), &[b'x'; MAX_CHUNK_LINE]].concat();
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"0x1\r\n",
            b"1\na",
            b"1\r\nab\r\n",
            b"1 1\r\n",
            b"1;\0\r\n",
            b"1000000000000000\r\n",
            &long,
        ] {
            assert_eq!(all(Body::Chunked(Chunks::default()), bad, 1000).unwrap_err().status, 400, "{bad:?}");
        }
    }
}
