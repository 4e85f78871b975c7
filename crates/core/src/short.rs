//! Short texts: a call of what compares texts of any length costs more than to do it on the spot.

/// So many bytes of a text are its front.
pub const FRONT: usize = 8;

/// Return the first bytes of a text as a number; of two texts of one length, no longer than that, it says whether they are the same.
#[inline]
pub fn front(text: &[u8]) -> u64 {
    text.first_chunk::<FRONT>().map_or_else(|| few(text), |bytes| u64::from_be_bytes(*bytes))
}

/// Return a number made of the last 16 bytes of a text, and of its length.
pub fn end(text: &[u8]) -> u64 {
    let before = text.get(..text.len().saturating_sub(FRONT)).unwrap_or_default();
    back(text) ^ back(before).rotate_left(31) ^ text.len() as u64
}

/// Return whether two texts are the same.
#[inline]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    const PIECE: usize = 16;
    if one.len() != other.len() {
        return false;
    }
    // The end in one piece, whatever the pieces before it have of it.
    if let (Some(end), Some(other_end)) = (one.last_chunk::<PIECE>(), other.last_chunk::<PIECE>()) {
        let before = one.chunks_exact(PIECE).zip(other.chunks_exact(PIECE));
        return end == other_end && before.into_iter().all(|(piece, other)| piece == other);
    }
    front(one) == front(other) && (one.len() <= FRONT || back(one) == back(other))
}

/// Return the last bytes of a text as a number, likewise.
#[inline]
fn back(text: &[u8]) -> u64 {
    text.last_chunk::<FRONT>().map_or_else(|| few(text), |bytes| u64::from_be_bytes(*bytes))
}

/// Return fewer than eight bytes as a number: as two pieces, which have some of them in common.
#[inline]
fn few(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last));
    }
    let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte));
    byte(0) << 16 | byte(text.len() / 2) << 8 | byte(text.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_if_all_of_them_is() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..text.len() {
            assert!(is_same(&text[..length], &text.clone()[..length]) && !is_same(&text[..length], &text[..=length]));
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 0x80;
                assert!(!is_same(&text[..length], &other), "{length} {at}");
                assert_eq!(front(&text[..length]) == front(&other), at >= FRONT, "{length} {at}");
                assert_eq!(end(&text[..length]) == end(&other), at + 16 < length, "{length} {at}");
            }
        }
    }
}
