//! Byte classes and decimal numbers of the text protocols, without formatting machinery.

/// Lower-case form of every byte that may stand in a token (RFC 9110 5.6.2); 0 for the others.
static TOKEN: [u8; 256] = token_table();

const fn token_table() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let symbol = matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        if byte.is_ascii_alphanumeric() || symbol {
            #[allow(clippy::indexing_slicing)] // const evaluation: out of range does not compile
            {
                table[byte as usize] = byte.to_ascii_lowercase();
            }
        }
        byte += 1;
    }
    table
}

/// Lower-case a token in place; `false` if it is empty or holds another byte.
pub fn lower_token(name: &mut [u8]) -> bool {
    let mut valid = !name.is_empty();
    for byte in name {
        let lower = TOKEN.get(usize::from(*byte)).copied().unwrap_or(0);
        valid &= lower != 0;
        *byte = lower;
    }
    valid
}

/// Lower-case the token at the front of a header line in place; return its length, which is where the colon stands.
/// `None`: there is no token, or something else than a colon follows it.
pub fn lower_name(line: &mut [u8]) -> Option<usize> {
    for (at, byte) in line.iter_mut().enumerate() {
        let lower = TOKEN.get(usize::from(*byte)).copied().unwrap_or(0);
        if lower == 0 {
            return (*byte == b':' && at > 0).then_some(at);
        }
        *byte = lower;
    }
    None
}

/// Return whether `bytes` is a token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN.get(usize::from(*byte)).is_some_and(|lower| *lower != 0))
}

/// Return whether `bytes` is a token without upper-case letters.
pub fn is_lower_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| TOKEN.get(usize::from(*byte)).is_some_and(|lower| lower == byte && *lower != 0))
}

/// Return whether `bytes` may be a field value: no control characters but the tab.
pub fn is_field_value(bytes: &[u8]) -> bool {
    let control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    bytes.iter().fold(0, |bad, byte| bad | u8::from(control(*byte))) == 0
}

/// Return whether `bytes` may be a request target: visible ASCII, no fragment.
pub fn is_target(bytes: &[u8]) -> bool {
    let barred = |byte: u8| byte <= 0x20 || byte >= 0x7f || byte == b'#';
    !bytes.is_empty() && bytes.iter().fold(0, |bad, byte| bad | u8::from(barred(*byte))) == 0
}

/// Return whether `bytes` may be a Host (RFC 3986 3.2: no user information, and no comma, which joins lists).
pub fn is_authority(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'-' | b':' | b'_' | b'~' | b'[' | b']' | b'%')
                || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
        })
}

/// Return `bytes` without blanks and tabs at both ends.
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Read digits and nothing else; `None` if empty, too long or anything but digits.
pub fn parse_decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, byte| {
        byte.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
    })
}

/// Append `n` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + digit(n % 10);
        used += 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Append `n` in decimal with leading zeros up to `width` digits.
pub fn push_padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let mut scale = 10u64.pow(u32::try_from(width.saturating_sub(1)).unwrap_or(0));
    while scale > 0 {
        out.push(b'0' + digit(n / scale % 10));
        scale /= 10;
    }
}

/// Append `n` in lower-case hexadecimal without leading zeros.
pub fn push_hex(out: &mut Vec<u8>, n: usize) {
    let digits = (usize::BITS - n.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        out.push(hex_digit((n >> (at * 4)) & 15));
    }
}

/// Return the character of a value below 16.
pub fn hex_digit(value: usize) -> u8 {
    b"0123456789abcdef".get(value & 15).copied().unwrap_or(b'0')
}

fn digit(n: u64) -> u8 {
    u8::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_go_out_and_come_back() {
        for n in [0, 7, 10, 99, 65_536, 9_999_999_999_999_999_999] {
            let mut out = Vec::new();
            push_decimal(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
            assert_eq!(parse_decimal(&out), Some(n));
        }
        for bad in [&b""[..], b"+1", b"1 ", b"0x1", b"99999999999999999999"] {
            assert_eq!(parse_decimal(bad), None);
        }
    }

    #[test]
    fn hex_and_padding() {
        let mut out = Vec::new();
        push_hex(&mut out, 0x1f40);
        push_hex(&mut out, 0);
        push_padded(&mut out, 7, 3);
        assert_eq!(out, b"1f400007");
    }

    #[test]
    fn tokens_are_lowered_and_others_refused() {
        let mut name = *b"Content-TYPE";
        assert!(lower_token(&mut name));
        assert_eq!(&name, b"content-type");
        assert!(is_lower_token(b"x-id") && !is_lower_token(b"X-id") && !is_lower_token(b"") && !is_lower_token(b"\0"));
        assert!(!lower_token(&mut b"a b".to_owned()) && !lower_token(&mut []));
    }

    #[test]
    fn values_and_targets_refuse_control_characters() {
        assert!(is_field_value(b"a\tb \xff") && !is_field_value(b"a\rb") && !is_field_value(b"a\0"));
        assert!(is_target(b"/a?b=%20") && !is_target(b"/a b") && !is_target(b"/\x80") && !is_target(b"/#x"));
        assert!(is_authority(b"a.b:80") && is_authority(b"[::1]:80") && !is_authority(b"u@h") && !is_authority(b"a,b"));
    }
}
