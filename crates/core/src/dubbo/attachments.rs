//! Attachments of a call: a map of Hessian at the end of its body. They are fields of its head, and what they tell of a trace
//! is told anew to the next hop; all else in them stays byte for byte, whatever it is.

use crate::dubbo::hessian::{write_string, Reader};
use crate::head::{Head, Span};
use crate::limits::{MAX_DUBBO_BODY, MAX_FRAMED_FIELDS, MAX_FRAMED_HEAD};
use crate::trace;

/// Read the attachments that `reader` stands before, and that end `body`, into the fields of `head`.
pub fn read(body: &[u8], reader: &mut Reader<'_>, head: &mut Head) -> Option<()> {
    let start = reader.position();
    if !reader.map()? {
        if reader.position() == body.len() {
            head.frame.attachments = head.store(b"H");
            head.frame.attachments_size = 1;
        }
        return Some(());
    }
    let (mut count, mut size) = (0, 0);
    let mut told = Vec::new();
    while !reader.map_ends()? {
        let pair = reader.pair()?;
        // What is no text stays, whatever its name: it may define a class, or be referred to, behind it.
        let Some(value) = pair.value else { continue };
        if trace::is_name(pair.key) {
            told.push(pair.range);
        }
        count += 1;
        size += pair.key.len() + value.len();
        if count > MAX_FRAMED_FIELDS || size > MAX_FRAMED_HEAD {
            return None;
        }
        if pair.key == b"timeout" {
            let digits = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
            head.frame.timeout_ms = digits.unwrap_or(0);
        }
        // The version is in the call itself.
        if pair.key != b"version" && pair.key != b"dubbo" {
            head.push(pair.key, &value);
        }
    }
    // Somebody may read what stands behind the map: then nothing is moved. Nor is more copied than a head may have.
    let end = reader.position();
    if end == body.len() && end - start <= MAX_FRAMED_HEAD {
        let (first, _) = head.store(&[]).range();
        let mut from = start;
        for range in told {
            head.store(body.get(from..range.start)?);
            from = range.end;
        }
        let (_, last) = head.store(body.get(from..end - 1)?).range();
        head.frame.attachments = Span::new(first, last);
        head.frame.attachments_size = u32::try_from(end - start).ok()?;
    }
    Some(())
}

/// Return what of the body passes as it came, and its new end, when the trace of a call is told otherwise than it came.
pub fn retold<'a>(head: &Head, body: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let (kept, replaced) = (head.bytes(head.frame.attachments), head.frame.attachments_size as usize);
    if !head.edited || replaced == 0 {
        return None;
    }
    let mut tail = kept.to_vec();
    for (name, value) in head.fields().filter(|(name, _)| trace::is_name(name)) {
        write_string(name, &mut tail)?;
        write_string(value, &mut tail)?;
    }
    tail.push(b'Z');
    let passing = body.get(..body.len().checked_sub(replaced)?)?;
    // A provider refuses a body beyond this: an untold trace is better.
    (passing.len() + tail.len() <= MAX_DUBBO_BODY).then_some((passing, tail))
}
