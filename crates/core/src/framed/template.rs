//! Frames that the mesh writes itself: errors and answers to heartbeats.

use crate::framed::step::Field;
use crate::limits::MAX_FRAMED_TEXT;

/// One part, compiled.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Box<[u8]>),
    /// The request's id.
    Id(Field),
    /// The echoed piece of this number.
    Echo(usize),
    /// Bytes that follow, and what is added to their number.
    Length(Field, i64),
    /// The code as a number.
    Code(Field),
    /// The code as digits.
    CodeText,
    /// What went wrong, behind its length.
    Text(Option<Field>),
}

/// What changes from one such frame to the next.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The request's id.
    pub id: u64,
    /// Pieces of the request, each behind its length in four bytes.
    pub echo: &'a [u8],
    /// The protocol's code.
    pub code: u64,
    /// What went wrong.
    pub text: &'a [u8],
}

/// Append a frame.
pub fn write(pieces: &[Piece], filling: &Filling<'_>, out: &mut Vec<u8>) {
    for (at, piece) in pieces.iter().enumerate() {
        if let Piece::Length(field, adjust) = piece {
            // Lengths have fixed sizes: what follows is as long as it is, whatever lengths inside say.
            let rest = pieces.get(at + 1..).unwrap_or_default();
            let follow = rest.iter().map(|piece| size(piece, filling)).sum::<usize>();
            let number = i128::from(*adjust) + follow as i128;
            append(*field, u64::try_from(number).unwrap_or(0), out);
            continue;
        }
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Id(field) => append(*field, filling.id, out),
            Piece::Echo(number) => out.extend_from_slice(echoed(filling.echo, *number)),
            Piece::Code(field) => append(*field, filling.code, out),
            Piece::CodeText => out.extend_from_slice(filling.code.to_string().as_bytes()),
            Piece::Text(field) => {
                let text = fitting(filling.text, *field);
                if let Some(field) = field {
                    append(*field, text.len() as u64, out);
                }
                out.extend_from_slice(text);
            }
            Piece::Length(..) => {}
        }
    }
}

fn size(piece: &Piece, filling: &Filling<'_>) -> usize {
    match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Id(field) | Piece::Length(field, _) | Piece::Code(field) => field.size,
        Piece::Echo(number) => echoed(filling.echo, *number).len(),
        Piece::CodeText => filling.code.to_string().len(),
        Piece::Text(field) => field.map_or(0, |field| field.size) + fitting(filling.text, *field).len(),
    }
}

fn append(field: Field, number: u64, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + field.size, 0);
    if let Some(target) = out.get_mut(at..) {
        field.write(number, target);
    }
}

/// Cut a text to what its length can say.
fn fitting(text: &[u8], field: Option<Field>) -> &[u8] {
    let most = field.map_or(u64::MAX, Field::max);
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_FRAMED_TEXT);
    text.get(..most).unwrap_or(text)
}

/// Add a piece of a request to those that its answer may echo.
pub fn remember(echo: &mut Vec<u8>, piece: &[u8]) {
    echo.extend_from_slice(&u32::try_from(piece.len()).unwrap_or(0).to_be_bytes());
    echo.extend_from_slice(piece);
}

fn echoed(mut echo: &[u8], number: usize) -> &[u8] {
    for left in (0..=number).rev() {
        let Some((length, rest)) = echo.split_first_chunk::<4>() else { return &[] };
        let (piece, after) = rest.split_at((u32::from_be_bytes(*length) as usize).min(rest.len()));
        if left == 0 {
            return piece;
        }
        echo = after;
    }
    &[]
}
