//! SOFARPC's header map: `i32 length, key, i32 length, value`, again and again; length -1 is null.

use crate::events::Fault;
use crate::head::{Head, Span};
use crate::limits::{MAX_BOLT_FIELDS, MAX_BOLT_HEADER};

/// Read `map`, which `head` holds at `start`, into its fields. Pairs with a null are dropped, as Java does.
pub fn read(head: &mut Head, map: &[u8], start: usize, status: u16) -> Result<(), Fault> {
    let (mut at, mut count) = (0, 0);
    while let Some((key, value, next)) = pair(map, at, status)? {
        (at, count) = (next, count + 1);
        if count > MAX_BOLT_FIELDS {
            return Err(Fault { status, what: "too many Bolt header fields" });
        }
        if let (Some(key), Some(value)) = (key, value) {
            let place = |text: Text| Span::new(start + text.0, start + text.1);
            head.place_field(place(key), place(value));
        }
    }
    Ok(())
}

/// Tell each key with its value, in order; an error means that `read` finds the map malformed, or too long.
pub fn each<'a>(map: &'a [u8], status: u16, mut tell: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), Fault> {
    let (mut at, mut count) = (0, 0);
    while let Some((key, value, next)) = pair(map, at, status)? {
        (at, count) = (next, count + 1);
        if count > MAX_BOLT_FIELDS {
            return Err(Fault { status, what: "too many Bolt header fields" });
        }
        if let (Some(key), Some(value)) = (key, value) {
            tell(map.get(key.0..key.1).unwrap_or_default(), map.get(value.0..value.1).unwrap_or_default());
        }
    }
    Ok(())
}

/// Where a text begins and ends in its map.
type Text = (usize, usize);

/// Return the key and the value at `at` (`None`: null), and what follows; `None`: the map ends there.
#[allow(clippy::type_complexity)] // two texts and a place
fn pair(map: &[u8], at: usize, status: u16) -> Result<Option<(Option<Text>, Option<Text>, usize)>, Fault> {
    if at >= map.len() {
        return Ok(None);
    }
    let (key, next) = text(map, at, status)?;
    let (value, next) = text(map, next, status)?;
    Ok(Some((key, value, next)))
}

/// Read one text; return where it lies (`None`: null) and what follows.
fn text(map: &[u8], at: usize, status: u16) -> Result<(Option<Text>, usize), Fault> {
    let fault = Fault { status, what: "malformed Bolt header map" };
    let start = at + 4;
    let length = map.get(at..start).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes).ok_or(fault)?;
    if length == -1 {
        return Ok((None, start));
    }
    let stop =
        usize::try_from(length).ok().map(|length| start + length).filter(|stop| *stop <= map.len()).ok_or(fault)?;
    Ok((Some((start, stop)), stop))
}

/// Append the fields of `head` as a map. Fields beyond the largest map are left out: the frame must stay readable.
pub fn write(head: &Head, out: &mut Vec<u8>) {
    let start = out.len();
    for (name, value) in head.fields() {
        if out.len() - start + name.len() + value.len() + 8 > MAX_BOLT_HEADER {
            return;
        }
        for text in [name, value] {
            out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(text);
        }
    }
}
