//! SOFARPC's header map: `i32 length, key, i32 length, value`, again and again; length -1 is null.

use crate::events::Fault;
use crate::head::{Head, Span};
use crate::limits::{MAX_BOLT_FIELDS, MAX_BOLT_HEADER};

/// Read the map that lies at `map` in `head` into its fields. Pairs with a null are dropped, as Java does.
pub fn read(head: &mut Head, map: Span, status: u16) -> Result<(), Fault> {
    let (mut at, end) = map.range();
    let mut count = 0;
    while at < end {
        let (key, next) = text(head, at, end, status)?;
        let (value, next) = text(head, next, end, status)?;
        at = next;
        count += 1;
        if count > MAX_BOLT_FIELDS {
            return Err(Fault { status, what: "too many Bolt header fields" });
        }
        if let (Some(key), Some(value)) = (key, value) {
            head.place_field(key, value);
        }
    }
    Ok(())
}

/// Read one text; return where it lies (`None`: null) and what follows.
fn text(head: &Head, at: usize, end: usize, status: u16) -> Result<(Option<Span>, usize), Fault> {
    let fault = Fault { status, what: "malformed Bolt header map" };
    let start = at + 4;
    let length = head.bytes(Span::new(at, start.min(end))).try_into().map(i32::from_be_bytes).map_err(|_| fault)?;
    if length == -1 {
        return Ok((None, start));
    }
    let stop = usize::try_from(length).ok().map(|length| start + length).filter(|stop| *stop <= end).ok_or(fault)?;
    Ok((Some(Span::new(start, stop)), stop))
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
