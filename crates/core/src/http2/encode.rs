//! From heads to header blocks.

use super::frame::{self, flag, Kind};
use super::limits::MAX_FRAME_BYTES;
use crate::head::Head;
use crate::hpack::Encoder;

/// Which pseudo-header fields go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    Request,
    Response,
    Trailers,
}

/// Append a head (or trailers) as HEADERS and, if it must be, CONTINUATION frames.
pub(super) fn head(encoder: &mut Encoder, stream: u32, head: &Head, lead: Lead, end: bool, out: &mut Vec<u8>) {
    framed(encoder, stream, end, out, |encoder, out| {
        match lead {
            Lead::Request => {
                encoder.field(b":method", head.method(), false, out);
                let scheme = if head.scheme().is_empty() { b"http" } else { head.scheme() };
                encoder.field(b":scheme", scheme, false, out);
                encoder.field(b":authority", head.authority(), false, out);
                encoder.field(b":path", head.path(), false, out);
            }
            Lead::Response => status(encoder, head.status, out),
            Lead::Trailers => {}
        }
        if lead != Lead::Trailers {
            if let Some(length) = head.content_length {
                let (digits, start) = decimal(length);
                encoder.field(b"content-length", digits.get(start..).unwrap_or_default(), false, out);
            }
        }
        for (name, value, never_indexed) in head.fields_marked() {
            if !is_connection_specific(name, value) {
                encoder.field(name, value, never_indexed, out);
            }
        }
    });
}

/// Append an answer of our own: a status and fields.
pub(super) fn reply(
    encoder: &mut Encoder,
    stream: u32,
    code: u16,
    fields: &[(&[u8], &[u8])],
    end: bool,
    out: &mut Vec<u8>,
) {
    framed(encoder, stream, end, out, |encoder, out| {
        status(encoder, code, out);
        for (name, value) in fields {
            encoder.field(name, value, false, out);
        }
    });
}

fn status(encoder: &mut Encoder, code: u16, out: &mut Vec<u8>) {
    let (digits, start) = decimal(u64::from(code));
    encoder.field(b":status", digits.get(start..).unwrap_or_default(), false, out);
}

/// Put a frame header before what `fields` appends; cut it when it does not fit one frame.
fn framed(
    encoder: &mut Encoder,
    stream: u32,
    end: bool,
    out: &mut Vec<u8>,
    fields: impl FnOnce(&mut Encoder, &mut Vec<u8>),
) {
    let at = out.len();
    out.extend_from_slice(&[0; frame::HEADER_LEN]);
    let start = out.len();
    encoder.begin(out);
    fields(encoder, out);
    let length = out.len() - start;
    let end_stream = if end { flag::END_STREAM } else { 0 };
    let fits = length <= MAX_FRAME_BYTES;
    let flags = end_stream | if fits { flag::END_HEADERS } else { 0 };
    let header = frame::header_bytes(length.min(MAX_FRAME_BYTES), Kind::Headers, flags, stream);
    if let Some(place) = out.get_mut(at..start) {
        place.copy_from_slice(&header);
    }
    if !fits {
        let rest = out.split_off(start + MAX_FRAME_BYTES);
        let mut chunks = rest.chunks(MAX_FRAME_BYTES).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { flag::END_HEADERS } else { 0 };
            frame::write_header(chunk.len(), Kind::Continuation, flags, stream, out);
            out.extend_from_slice(chunk);
        }
    }
}

/// Fields that HTTP/2 forbids (RFC 9113 §8.2.2). Wires do not let them in; a head edit or a handler might.
fn is_connection_specific(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" | b"host" => true,
        b"te" => value != b"trailers",
        _ => false,
    }
}

/// Return `number` in decimal digits and where in the array they begin.
pub(super) fn decimal(number: u64) -> ([u8; 20], usize) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut start = digits.len() - 1;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        let [low, ..] = (rest % 10).to_le_bytes();
        *digit = b'0' + low;
        start = at;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    (digits, start)
}
