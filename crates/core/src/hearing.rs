//! A wire under test hears bytes, cut as its test likes.

use crate::events::{Event, Piece, Wire};
use crate::head::Head;

/// The events seen, each with its data or the path of its head and what came with it, and what was answered.
pub type Heard = (Vec<(Event, Vec<u8>)>, Vec<u8>);

/// Decode everything, `cut` bytes at a time, up to the first fault.
pub fn hear(wire: &mut impl Wire, input: &[u8], cut: usize) -> Heard {
    let (mut seen, mut out, mut kept, mut head) = (Vec::new(), Vec::new(), Vec::new(), Head::default());
    for part in input.chunks(cut) {
        kept.extend_from_slice(part);
        loop {
            let (used, event) = wire.decode(&kept, &mut head, &mut out);
            let (event, data) = match event {
                Some(Event::Data { piece, .. }) => (event, piece.of(&kept).to_vec()),
                Some(Event::Head { stream, body, end }) => {
                    let data = [head.path(), body.of(&kept)].concat();
                    // Where it lies depends on how the input was cut.
                    (Some(Event::Head { stream, body: Piece { start: 0, end: body.len() }, end }), data)
                }
                _ => (event, head.path().to_vec()),
            };
            kept.drain(..used);
            let Some(event) = event else { break };
            seen.push((event, data));
            if matches!(event, Event::Fault(_)) {
                return (seen, out);
            }
        }
    }
    (seen, out)
}

/// Return what hexadecimal digits spell; anything between them is passed over.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = String::from_utf8(digits).unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
