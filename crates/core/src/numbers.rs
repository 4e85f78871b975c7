//! Hashing of numbers that we gave out ourselves: nobody outside can choose them, so one multiplication is enough.

use std::hash::{BuildHasherDefault, Hasher};

/// Spreads a number over all bits (Fibonacci hashing).
#[derive(Debug, Default, Clone, Copy)]
pub struct NumberHasher(u64);

/// For `HashMap` and `HashSet`.
pub type ByNumber = BuildHasherDefault<NumberHasher>;

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}
