//! Integers with an N-bit prefix (RFC 7541 §5.1).

use super::HpackError;

/// Take an integer whose first byte is `first` and whose prefix is `prefix_bits` wide; the rest comes from `input`.
pub(super) fn decode(first: u8, prefix_bits: u32, input: &mut &[u8]) -> Result<usize, HpackError> {
    let mask = (1_u32 << prefix_bits) - 1;
    let prefix = u32::from(first) & mask;
    if prefix < mask {
        return Ok(prefix as usize);
    }
    let mut value = u64::from(prefix);
    // Five continuation bytes are all that 32 bits can need: more is somebody making us count.
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = input.split_first().ok_or(HpackError::Truncated)?;
        *input = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map(|value| value as usize).map_err(|_| HpackError::IntegerOverflow);
        }
    }
    Err(HpackError::IntegerOverflow)
}

/// Append `value` with a prefix of `prefix_bits`; `above` holds the bits above the prefix.
pub(super) fn encode(above: u8, prefix_bits: u32, value: usize, out: &mut Vec<u8>) {
    let mask = (1_u8 << (prefix_bits - 1)) | ((1_u8 << (prefix_bits - 1)) - 1);
    match u8::try_from(value) {
        Ok(small) if small < mask => out.push(above | small),
        _ => {
            out.push(above | mask);
            let mut rest = value - usize::from(mask);
            while rest >= 0x80 {
                let [low, ..] = rest.to_le_bytes();
                out.push(low | 0x80);
                rest >>= 7;
            }
            let [low, ..] = rest.to_le_bytes();
            out.push(low);
        }
    }
}
