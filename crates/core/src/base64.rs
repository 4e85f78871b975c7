//! Base64 in the two alphabets of RFC 4648.

/// A way to write bytes as text.
#[derive(Debug)]
pub struct Alphabet {
    characters: &'static [u8; 64],
    /// Whether texts are filled up with `=` to whole groups, and must be.
    padded: bool,
}

/// The alphabet for URLs, without padding (section 5, as RFC 7515 wants it).
pub static URL: Alphabet =
    Alphabet { characters: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", padded: false };

/// The alphabet of MIME, with padding (section 4).
pub static STANDARD: Alphabet =
    Alphabet { characters: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", padded: true };

impl Alphabet {
    /// Return the bytes of `text`; `None` if it is no such text.
    pub fn decode(&self, text: &[u8]) -> Option<Vec<u8>> {
        let text = if self.padded { without_padding(text)? } else { text };
        if text.len() % 4 == 1 {
            return None;
        }
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
        for group in text.chunks(4) {
            let bits = group.iter().try_fold(0u32, |bits, byte| Some((bits << 6) | u32::from(self.value(*byte)?)))?;
            let whole = (bits << (6 * (4 - group.len()))).to_be_bytes();
            bytes.extend_from_slice(whole.get(1..group.len())?);
        }
        Some(bytes)
    }

    /// Return `bytes` as text.
    pub fn encode(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
            for at in 0..=group.len() {
                let place = (bits >> (18 - 6 * at)) & 0x3f;
                text.extend(self.characters.get(place as usize));
            }
        }
        if self.padded {
            text.resize(bytes.len().div_ceil(3) * 4, b'=');
        }
        text
    }

    fn value(&self, byte: u8) -> Option<u8> {
        match byte {
            b'A'..=b'Z' => Some(byte - b'A'),
            b'a'..=b'z' => Some(byte - b'a' + 26),
            b'0'..=b'9' => Some(byte - b'0' + 52),
            _ if byte == self.characters[62] => Some(62),
            _ if byte == self.characters[63] => Some(63),
            _ => None,
        }
    }
}

/// Return a text of whole groups without what fills the last one.
fn without_padding(text: &[u8]) -> Option<&[u8]> {
    let whole = text.len() % 4 == 0;
    whole.then(|| text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let bytes: Vec<u8> = (0..=255).collect();
        for alphabet in [&URL, &STANDARD] {
            for length in 0..bytes.len() {
                let text = alphabet.encode(&bytes[..length]);
                assert_eq!(alphabet.decode(&text).as_deref(), Some(&bytes[..length]));
            }
        }
        assert_eq!((URL.encode(b"\xfb\xff"), STANDARD.encode(b"\xfb\xff")), (b"-_8".to_vec(), b"+/8=".to_vec()));
    }

    #[test]
    fn what_is_no_such_text_is_refused() {
        for text in [&b"A"[..], b"AAAAA", b"AA==", b"A+", b"A/", b"A A", b"A\n"] {
            assert_eq!(URL.decode(text), None);
        }
        for text in [&b"A"[..], b"AA", b"AAA", b"A===", b"====", b"AA=A", b"AA-_", b"AA =", b"AAAAAA=", b"=AAA"] {
            assert_eq!(STANDARD.decode(text), None);
        }
    }
}
