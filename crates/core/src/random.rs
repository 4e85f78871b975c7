//! The engine's own source of chance: seeded, so that a run can be replayed. Not for secrets.

use crate::ascii::hex_digit;

/// Where each byte of a UUID stands in its text.
const UUID_PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// `SplitMix64` (Steele, Lea, Flood 2014): one addition and two multiplications a draw.
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Return a source that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Return the next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Return a number below `bound` (0 for a bound of 0).
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// Return a number from 0 up to, but without, 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits are what the result holds
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Return a random UUID (RFC 9562 version 4) as text.
    pub fn uuid(&mut self) -> [u8; 36] {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let mut text = [b'-'; 36];
        for (byte, at) in bits.to_be_bytes().into_iter().zip(UUID_PLACES) {
            if let Some([high, low]) = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                (*high, *low) = (hex_digit(usize::from(byte >> 4)), hex_digit(usize::from(byte & 15)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| one.next() == two.next()));
    }

    #[test]
    fn draws_stay_below_the_bound_and_reach_all_of_it() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn uuids_are_version_four() {
        let uuid = Random::new(3).uuid();
        assert_eq!((uuid[14], uuid[8], uuid[23]), (b'4', b'-', b'-'));
        assert!(matches!(uuid[19], b'8' | b'9' | b'a' | b'b'));
    }
}
