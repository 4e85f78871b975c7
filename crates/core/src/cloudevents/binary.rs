//! Binary mode: attributes are headers with a prefix, their values percent-encoded (HTTP binding, section 3.1).

use std::borrow::Cow;

use super::attributes::{Attributes, Value};
use super::{Event, Field, Refusal};

/// How a header begins that is an attribute.
pub const PREFIX: &str = "ce-";

/// Return the event whose attributes are `fields`.
pub fn decode<'a>(fields: &'a [Field<'a>], content_type: &'a [u8], body: &'a [u8]) -> Result<Event<'a>, Refusal> {
    let mut attributes = Attributes::default();
    for (header, value) in fields {
        let Some(name) = header.strip_prefix(PREFIX) else { continue };
        if name == "datacontenttype" {
            return Err(Refusal::of(name, "is carried by Content-Type in binary mode, not by a header of its own"));
        }
        let value = Value::Text(decode_value(name, value)?);
        attributes.add(Cow::Borrowed(name), value, "its header is given twice")?;
    }
    if attributes.get("specversion").is_none() {
        return Err(Refusal::of(
            "specversion",
            "is required: no ce-specversion header, and Content-Type names no event format",
        ));
    }
    if !content_type.is_empty() {
        attributes.push(Cow::Borrowed("datacontenttype"), Value::Text(latin(content_type)))?;
    }
    let is_there = !body.is_empty() || !content_type.is_empty();
    Event::checked(attributes, is_there.then_some(Cow::Borrowed(body)))
}

/// Return the header form of an attribute value: space, quote, percent and all beyond ASCII escaped.
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let is_safe = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    if text.as_bytes().iter().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for byte in text.as_bytes() {
        if is_safe(byte) {
            written.push(char::from(*byte));
        } else {
            written.push('%');
            for digit in [byte >> 4, byte & 0x0f] {
                written.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    Cow::Owned(written)
}

/// Return the attribute value in a header: unquoted, percent-decoded once, UTF-8 (raw UTF-8 is tolerated).
fn decode_value<'a>(name: &str, raw: &'a [u8]) -> Result<Cow<'a, str>, Refusal> {
    let mut octets = Cow::Borrowed(raw);
    if let [b'"', quoted @ .., b'"'] = raw {
        octets = unquoted(quoted);
    }
    if memchr::memchr(b'%', &octets).is_some() {
        octets = Cow::Owned(unescaped(name, &octets)?);
    }
    let no_text = || Refusal::of(name, "is not UTF-8 after percent-decoding");
    match octets {
        Cow::Borrowed(octets) => std::str::from_utf8(octets).map(Cow::Borrowed).map_err(|_| no_text()),
        Cow::Owned(octets) => String::from_utf8(octets).map(Cow::Owned).map_err(|_| no_text()),
    }
}

/// Return what a quoted string stands for: a backslash makes of the next byte itself (RFC 9110 5.6.4).
fn unquoted(inner: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let (mut octets, mut rest) = (Vec::with_capacity(inner.len()), inner);
    while let [first, after @ ..] = rest {
        let (octet, after) = match (first, after) {
            (b'\\', [escaped, after @ ..]) => (escaped, after),
            plain => plain,
        };
        octets.push(*octet);
        rest = after;
    }
    Cow::Owned(octets)
}

fn unescaped(name: &str, encoded: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (mut octets, mut rest) = (Vec::with_capacity(encoded.len()), encoded);
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        octets.extend_from_slice(plain);
        let octet = match escape {
            [_, high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        octets.push(octet.ok_or_else(|| {
            Refusal::of(name, "has a \"%\" that two hexadecimal digits do not follow (write \"%25\")")
        })?);
        rest = escape.get(3..).unwrap_or_default();
    }
    octets.extend_from_slice(rest);
    Ok(octets)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn latin(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(octets.iter().map(|octet| char::from(*octet)).collect()),
    }
}
