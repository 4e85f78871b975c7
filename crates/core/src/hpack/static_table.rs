//! The static table (RFC 7541 appendix A) and the way from a name to its place in it.

use std::sync::LazyLock;

/// Fields 1 to 61, in order.
pub(super) static FIELDS: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// First index of the dynamic table.
pub(super) const DYNAMIC_START: usize = FIELDS.len() + 1;

const SLOTS: usize = 256;

/// Open-addressed map from the hash of a name to the first index that bears it; 0 marks a free slot.
static BY_NAME: LazyLock<[u8; SLOTS]> = LazyLock::new(|| {
    let mut slots = [0_u8; SLOTS];
    for (index, (name, _)) in (1_u8..).zip(FIELDS.iter()) {
        let mut at = slot_of(hash(0, name));
        while let Some(slot) = slots.get_mut(at) {
            if *slot == 0 {
                *slot = index;
                break;
            }
            if field(usize::from(*slot)).is_some_and(|(known, _)| known == *name) {
                break;
            }
            at = (at + 1) % SLOTS;
        }
    }
    slots
});

/// Return the static field at `index`, counted from 1.
pub(super) fn field(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    FIELDS.get(index.checked_sub(1)?).copied()
}

/// Return the first index whose name is `name`; `name_hash` is `hash(0, name)`.
pub(super) fn index_of_name(name: &[u8], name_hash: u64) -> Option<usize> {
    let mut at = slot_of(name_hash);
    loop {
        let index = usize::from(*BY_NAME.get(at)?);
        if field(index)?.0 == name {
            return Some(index);
        }
        at = (at + 1) % SLOTS;
    }
}

/// Return the index of the whole field, given the first index that bears its name.
pub(super) fn index_of_pair(first: usize, name: &[u8], value: &[u8]) -> Option<usize> {
    let mut index = first;
    while let Some((known, held)) = field(index) {
        if known != name {
            return None;
        }
        if held == value {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// Hash eight bytes a step; the last step takes the last eight, some of them twice, so that no byte is read alone.
/// Not keyed: whoever forces a collision only makes one field travel uncompressed.
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = seed ^ MULTIPLIER.wrapping_mul(bytes.len() as u64 + 1);
    let last = if let Some(last) = bytes.last_chunk() {
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk().filter(|(_, after)| !after.is_empty()) {
            state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
            state ^= state >> 29;
            rest = after;
        }
        u64::from_le_bytes(*last)
    } else {
        short_word(bytes)
    };
    state = (state ^ last).wrapping_mul(MULTIPLIER);
    state ^ (state >> 32)
}

/// Return all bytes of a string of less than eight in one word.
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from(u32::from_le_bytes(*first)) << 32) | u64::from(u32::from_le_bytes(*last));
    }
    bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

fn slot_of(name_hash: u64) -> usize {
    usize::from(name_hash.to_le_bytes()[0])
}
