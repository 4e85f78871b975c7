//! The Huffman code of RFC 7541 appendix B, both ways.
//!
//! The code is canonical: sorted by length and then by symbol, codes count upwards. So the lengths are the whole table,
//! and everything else is worked out from them when the crate is compiled.

use super::HpackError;

/// Length in bits of each symbol's code; the last one is the end of string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const LONGEST: usize = 30;

/// Everything that follows from [`LENGTHS`].
struct Tables {
    /// Code of each symbol, right-aligned.
    codes: [u32; 257],
    /// Symbols in the order of their codes.
    sorted: [u16; 257],
    /// For each length: the first code that is *not* of this length or shorter, left-aligned in 32 bits.
    limits: [u64; LONGEST + 1],
    /// For each length: its first code, and the place of that code's symbol in `sorted`.
    firsts: [(u32, u16); LONGEST + 1],
    /// What the next eight bits say: symbol and length, or length 0 when the code is longer.
    short: [(u8, u8); 256],
}

static TABLES: Tables = derive();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a wrong index does not compile")]
#[expect(clippy::cast_possible_truncation, reason = "symbols end at 256 and codes at 30 bits")]
const fn derive() -> Tables {
    let mut tables = Tables {
        codes: [0; 257],
        sorted: [0; 257],
        limits: [0; LONGEST + 1],
        firsts: [(0, 0); LONGEST + 1],
        short: [(0, 0); 256],
    };
    let mut code = 0_u32;
    let mut place = 0;
    let mut length = 1;
    while length <= LONGEST {
        code <<= 1;
        tables.firsts[length] = (code, place as u16);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                tables.codes[symbol] = code;
                tables.sorted[place] = symbol as u16;
                if length <= 8 {
                    let mut tail = 0;
                    while tail < 1 << (8 - length) {
                        tables.short[((code as usize) << (8 - length)) + tail] = (symbol as u8, length as u8);
                        tail += 1;
                    }
                }
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        tables.limits[length] = (code as u64) << (32 - length);
        length += 1;
    }
    tables
}

/// Codes of at most eight bits that are looked up together: what the 32 bits of one refill hold for certain.
const TOGETHER: usize = 4;

/// Return the next symbols and how many bits they take, if all of them have short codes. `inverted` holds 32 bits at least.
fn short_symbols(mut inverted: u64) -> Option<([u8; TOGETHER], u32)> {
    let mut symbols = [0; TOGETHER];
    let mut bits = 0;
    for symbol in &mut symbols {
        let [first, ..] = (!inverted).to_be_bytes();
        let (found, length) = TABLES.short.get(usize::from(first)).copied().unwrap_or_default();
        if length == 0 {
            return None;
        }
        *symbol = found;
        inverted <<= length;
        bits += u32::from(length);
    }
    Some((symbols, bits))
}

/// Append the decoded form of `coded` to `out`.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    out.reserve(coded.len() * 8 / 5);
    let mut rest = coded;
    // The next bits, left-aligned and inverted: padding is all ones, and what a shift brings in is all zeros.
    let mut inverted = 0_u64;
    let mut held = 0_u32;
    loop {
        if held < 32 {
            if let Some((word, after)) = rest.split_first_chunk::<4>() {
                inverted |= u64::from(!u32::from_be_bytes(*word)) << (32 - held);
                held += 32;
                rest = after;
            } else {
                while let ([byte, after @ ..], true) = (rest, held < 32) {
                    inverted |= u64::from(!*byte) << (56 - held);
                    held += 8;
                    rest = after;
                }
            }
        }
        if held >= 32 {
            if let Some((symbols, bits)) = short_symbols(inverted) {
                out.extend_from_slice(&symbols);
                inverted <<= bits;
                held -= bits;
                continue;
            }
        }
        if held < 8 && inverted == 0 {
            return Ok(()); // nothing or padding: no symbol is spelt with ones alone
        }
        let [first, ..] = (!inverted).to_be_bytes();
        let (mut symbol, mut length) = TABLES.short.get(usize::from(first)).copied().unwrap_or_default();
        if length == 0 {
            (symbol, length) = long_symbol(!inverted)?;
        }
        if u32::from(length) > held {
            return Err(HpackError::BadHuffman);
        }
        out.push(symbol);
        inverted <<= length;
        held -= u32::from(length);
    }
}

/// Return the symbol that the leading bits spell, and how many they are, when they are more than eight. The end of string
/// is given a length that nothing has: then it is padding if it is all that is left, and an error otherwise.
#[cold]
fn long_symbol(bits: u64) -> Result<(u8, u8), HpackError> {
    const UNREACHED: (u8, u8) = (0, u8::MAX);
    let word = bits >> 32;
    for (length, limit) in (0_u8..).zip(&TABLES.limits).skip(9) {
        if word < *limit {
            let code = u32::try_from(word >> (32 - length)).map_err(|_| HpackError::BadHuffman)?;
            let (first_code, place) = TABLES.firsts.get(usize::from(length)).copied().unwrap_or_default();
            let symbol = TABLES.sorted.get(usize::from(place) + (code - first_code) as usize).copied();
            return match symbol.and_then(|symbol| u8::try_from(symbol).ok()) {
                Some(symbol) => Ok((symbol, length)),
                None => Ok(UNREACHED),
            };
        }
    }
    Ok(UNREACHED)
}

/// Return how many bytes `plain` takes when coded.
pub(super) fn encoded_len(plain: &[u8]) -> usize {
    let bits: usize =
        plain.iter().map(|byte| LENGTHS.get(usize::from(*byte)).map_or(0, |bits| usize::from(*bits))).sum();
    bits.div_ceil(8)
}

/// Append the coded form of `plain` to `out`.
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let mut bits = 0_u64;
    let mut held = 0_u32;
    for byte in plain {
        let symbol = usize::from(*byte);
        let (Some(code), Some(length)) = (TABLES.codes.get(symbol), LENGTHS.get(symbol)) else { continue };
        bits = (bits << length) | u64::from(*code);
        held += u32::from(*length);
        if held >= 32 {
            held -= 32;
            let [_, _, _, _, word @ ..] = (bits >> held).to_be_bytes();
            out.extend_from_slice(&word);
        }
    }
    let padding = (8 - held % 8) % 8;
    bits = (bits << padding) | ((1 << padding) - 1);
    held += padding;
    while held >= 8 {
        held -= 8;
        let [.., byte] = (bits >> held).to_be_bytes();
        out.push(byte);
    }
}
