//! From header blocks to heads: the rules of RFC 9113 §8.2 and §8.3 that make a message malformed.

use super::error::ConnectionError;
use crate::ascii;
use crate::head::{Head, Version};
use crate::hpack::{Decoder, Field, Known, ENTRY_OVERHEAD};

/// What a block should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Request,
    Response,
    Trailers,
}

/// Bounds of one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Names and values and 32 bytes for each field, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts.
    pub max_bytes: usize,
    /// Most fields, pseudo-header fields not counted.
    pub max_count: usize,
}

/// Why a message cannot be taken. The header block was read to its end all the same: the connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooLarge,
    /// CONNECT: we are no forward tunnel.
    Connect,
    Malformed(&'static str),
}

/// Read a whole block into `head`.
///
/// An `Err` is the connection's end; `Ok(Err(..))` is that of this stream only.
pub(super) fn read(
    decoder: &mut Decoder,
    bytes: &[u8],
    block: Block,
    limits: HeadLimits,
    head: &mut Head,
) -> Result<Result<(), Refusal>, ConnectionError> {
    head.clear();
    head.version = Version::Http2;
    let mut reader = Reader { head, block, limits, size: 0, count: 0, seen: 0, regular: false, refusal: None };
    decoder.decode(bytes, |field| reader.take(field))?;
    Ok(reader.finish())
}

const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const PATH: u8 = 4;
const AUTHORITY: u8 = 8;
const STATUS: u8 = 16;
const HOST: u8 = 32;

struct Reader<'a> {
    head: &'a mut Head,
    block: Block,
    limits: HeadLimits,
    size: usize,
    count: usize,
    /// Pseudo-header fields seen so far, as bits.
    seen: u8,
    /// A regular field has been seen: no pseudo-header field may follow.
    regular: bool,
    refusal: Option<Refusal>,
}

impl Reader<'_> {
    /// Take one field in; return whether it is sound, whatever block it may come in again.
    fn take(&mut self, field: Field<'_>) -> bool {
        if self.refusal.is_none() {
            self.refusal = self.store(field).err();
        }
        self.refusal.is_none()
    }

    fn store(&mut self, field: Field<'_>) -> Result<(), Refusal> {
        let Field { name, value, never_indexed, known } = field;
        self.size += name.len() + value.len() + ENTRY_OVERHEAD;
        if self.size > self.limits.max_bytes {
            return Err(Refusal::TooLarge);
        }
        if name.first() == Some(&b':') {
            return self.pseudo(name, value, known).map_err(Refusal::Malformed);
        }
        self.regular = true;
        self.count += 1;
        if self.count > self.limits.max_count {
            return Err(Refusal::TooLarge);
        }
        if known < Known::Name && !ascii::is_lower_token(name) {
            return Err(Refusal::Malformed("field name is not a lower-case token"));
        }
        if known < Known::Field && !is_field_value(value) {
            return Err(Refusal::Malformed("field value holds a control character or begins or ends in a blank"));
        }
        self.regular_field(name, value, never_indexed).map_err(Refusal::Malformed)
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8], known: Known) -> Result<(), &'static str> {
        if self.regular {
            return Err("pseudo-header field after a regular one");
        }
        let sound = known == Known::Field;
        let bit = match (self.block, name) {
            (Block::Request, b":method") if sound || ascii::is_token(value) => METHOD,
            (Block::Request, b":scheme") if sound || is_scheme(value) => SCHEME,
            (Block::Request, b":path") if sound || is_path(value) => PATH,
            (Block::Request, b":authority") if sound || ascii::is_authority(value) => AUTHORITY,
            (Block::Response, b":status") => STATUS,
            (Block::Trailers, _) => return Err("pseudo-header field in trailers"),
            _ => return Err("unknown or invalid pseudo-header field"),
        };
        if self.seen & bit != 0 {
            return Err("pseudo-header field sent twice");
        }
        self.seen |= bit;
        match bit {
            METHOD => self.head.set_method(value),
            SCHEME => self.head.set_scheme(value),
            PATH => self.head.set_path(value),
            AUTHORITY => self.head.set_authority(value),
            _ => self.head.status = parse_status(value).ok_or("invalid :status")?,
        }
        Ok(())
    }

    fn regular_field(&mut self, name: &[u8], value: &[u8], never_indexed: bool) -> Result<(), &'static str> {
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err("connection-specific field");
            }
            b"te" if value != b"trailers" => return Err("te is anything but trailers"),
            b"content-length" => return self.content_length(value),
            b"host" if self.block == Block::Request => return self.host(value),
            b"host" if self.block == Block::Trailers => return Err("host in trailers"),
            b"cookie" => self.cookie(value, never_indexed),
            b"expect" if self.block == Block::Request && value.eq_ignore_ascii_case(b"100-continue") => {
                self.head.expects_continue = true;
                self.push(name, value, never_indexed);
            }
            _ => self.push(name, value, never_indexed),
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], value: &[u8], never_indexed: bool) {
        self.head.push(name, value);
        if never_indexed {
            self.head.mark_never_indexed();
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.block == Block::Trailers {
            return Err("content-length in trailers");
        }
        let length = ascii::parse_decimal(value).ok_or("invalid content-length")?;
        match self.head.content_length.replace(length) {
            Some(other) if other != length => Err("two different content-length fields"),
            _ => Ok(()),
        }
    }

    /// `host` may stand in for `:authority`, or repeat it, never contradict it (RFC 9113 §8.3.1).
    fn host(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.seen & HOST != 0 {
            return Err("host sent twice");
        }
        self.seen |= HOST;
        if self.seen & AUTHORITY == 0 {
            if !ascii::is_authority(value) {
                return Err("invalid host");
            }
            self.head.set_authority(value);
        } else if !self.head.authority().eq_ignore_ascii_case(value) {
            return Err("host differs from :authority");
        }
        Ok(())
    }

    /// Cookies may come in pieces and are one field to everybody else (RFC 9113 §8.2.3).
    fn cookie(&mut self, value: &[u8], never_indexed: bool) {
        if let Some(earlier) = self.head.get(b"cookie") {
            let joined = [earlier, b"; ", value].concat();
            self.head.set(b"cookie", &joined);
        } else {
            self.push(b"cookie", value, never_indexed);
        }
    }

    fn finish(self) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let has = |bits: u8| self.seen & bits == bits;
        let malformed = match self.block {
            Block::Response => (!has(STATUS)).then_some("response without :status"),
            Block::Request if self.head.method() == b"CONNECT" => return Err(Refusal::Connect),
            Block::Request if !has(METHOD | SCHEME | PATH) => Some("request without :method, :scheme or :path"),
            Block::Request if self.head.authority().is_empty() => Some("request without :authority or host"),
            Block::Request if self.head.path() == b"*" && self.head.method() != b"OPTIONS" => {
                Some("path * with a method other than OPTIONS")
            }
            Block::Request | Block::Trailers => None,
        };
        malformed.map_or(Ok(()), |what| Err(Refusal::Malformed(what)))
    }
}

fn is_field_value(bytes: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    ascii::is_field_value(bytes) && !blank(bytes.first()) && !blank(bytes.last())
}

fn is_scheme(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic) && ascii::is_lower_token(bytes)
}

fn is_path(bytes: &[u8]) -> bool {
    (bytes.first() == Some(&b'/') || bytes == b"*") && ascii::is_target(bytes)
}

fn parse_status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else { return None };
    let digit = |byte: &u8| u16::from(byte - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}
