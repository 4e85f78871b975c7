//! SOFARPC's header map: `i32 length, key, i32 length, value`, again and again; length -1 is null.

use crate::events::Fault;
use crate::head::{Head, Span};
use crate::limits::{MAX_BOLT_FIELDS, MAX_BOLT_HEADER};

/// Where a text begins and ends.
type Place = (usize, usize);

/// Read the map that `head` holds at `map` into its fields. Pairs with a null are dropped, as Java does.
///
/// Its lengths are read from `input`, the map as it was received: those in the head have just been copied there, and to read
/// them would wait until they have arrived.
pub fn read(input: &[u8], head: &mut Head, map: Span, status: u16) -> Result<(), Fault> {
    let (base, _) = map.range();
    let (mut at, mut count) = (0, 0);
    while at < input.len() {
        let (key, next) = text(input, at, status)?;
        let (value, next) = text(input, next, status)?;
        at = next;
        count += 1;
        if count > MAX_BOLT_FIELDS {
            return Err(Fault { status, what: "too many Bolt header fields" });
        }
        if let (Some(key), Some(value)) = (key, value) {
            let placed = |(start, stop): Place| Span::new(base + start, base + stop);
            head.place_field(placed(key), placed(value));
        }
    }
    Ok(())
}

/// Read one text; return where it lies (`None`: null) and where the next one does.
fn text(input: &[u8], at: usize, status: u16) -> Result<(Option<Place>, usize), Fault> {
    let fault = Fault { status, what: "malformed Bolt header map" };
    let (start, end) = (at + 4, input.len());
    let length = input.get(at..start).and_then(|length| length.try_into().ok()).map(i32::from_be_bytes).ok_or(fault)?;
    if length == -1 {
        return Ok((None, start));
    }
    let stop = usize::try_from(length).ok().map(|length| start + length).filter(|stop| *stop <= end).ok_or(fault)?;
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
