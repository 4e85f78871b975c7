//! How a frame begins: what it is can mostly be told at once, since it is what a frame was that began as it does.

use std::collections::BTreeSet;

use crate::framed::step::Step;

/// So many bytes are looked at.
const SIZE: usize = 16;

/// Those of the first bytes of a frame that say what it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Opening {
    mask: u128,
}

impl Opening {
    /// Return what says what a frame is of which so many bytes, no more than are looked at, do.
    pub const fn first(count: usize) -> Self {
        Self { mask: u128::from_le((1 << (8 * count)) - 1) }
    }

    /// Return what says what a frame of these elements is: its magic, and the numbers that rules look at. `None`: some of it does
    /// not stand in the first bytes.
    pub fn of(steps: &[Step], tested: &BTreeSet<usize>) -> Option<Self> {
        let (mut mask, mut at) = ([0; SIZE], Some(0));
        for step in steps {
            let end = at.map(|at| at + step.fixed());
            let says = match step {
                Step::Magic(_) => true,
                Step::Number(slot, _) => tested.contains(slot),
                _ => false,
            };
            if says {
                mask.get_mut(at?..end?)?.fill(0xff);
            }
            // Nothing has a place of its own behind what has any length.
            at = end.filter(|_| !matches!(step, Step::Text(..) | Step::Headers(..) | Step::Section(_)));
        }
        Some(Self { mask: u128::from_ne_bytes(mask) })
    }

    /// Return what the frame at the front of `input` says of what it is: frames of which it is the same are the same. `None`: there
    /// are too few bytes.
    #[inline]
    pub fn read(&self, input: &[u8]) -> Option<u128> {
        input.first_chunk().map(|bytes| u128::from_ne_bytes(*bytes) & self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framed::declaration::Endian;
    use crate::framed::step::Field;

    fn number(slot: usize, size: usize) -> Step {
        Step::Number(slot, Field { size, endian: Endian::Big })
    }

    #[test]
    fn it_is_the_magic_and_the_numbers_of_rules() {
        let tested = BTreeSet::from([1, 2]);
        let magic = || Step::Magic(b"ab".as_slice().into());
        let steps = [magic(), number(0, 1), number(1, 2), Step::Skip(9), number(2, 2)];
        let opening = Opening::of(&steps, &tested).unwrap();
        let first: Vec<u8> = (1..=20).collect();
        let told = opening.read(&first).unwrap();
        for (at, _) in first.iter().enumerate() {
            let mut other = first.clone();
            other[at] ^= 0x40;
            assert_eq!(opening.read(&other) != Some(told), matches!(at, 0 | 1 | 3 | 4 | 14 | 15), "{at}");
        }
        assert_eq!(opening.read(&first[..15]), None);
        // One byte too far, or behind what has any length.
        assert_eq!(Opening::of(&[magic(), number(0, 1), Step::Skip(12), number(1, 2)], &tested), None);
        let text = Step::Text(0, Field { size: 1, endian: Endian::Big });
        assert_eq!(Opening::of(&[number(1, 1), text, number(2, 1)], &tested), None);
    }
}
