//! Small harm done to good inputs.

use crate::corpus::Corpus;

/// Longest input made: several socket reads, so that every buffer bound of a decoder can be met.
const MAX_BYTES: usize = 256 * 1024;

/// Numbers at the edges of the fields that protocols have.
const EDGES: [u32; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0x4001, 0xffff, 0x00ff_ffff, 0x7fff_ffff, 0xffff_ffff];

/// A seeded source of mutations.
pub struct Mutator {
    random: Random,
    /// Words that the target's grammar knows.
    words: &'static [&'static [u8]],
}

impl Mutator {
    pub fn new(seed: u64, words: &'static [&'static [u8]]) -> Self {
        Self { random: Random::new(seed), words }
    }

    /// Return a kept input with one to eight changes.
    pub fn mutate(&mut self, corpus: &Corpus) -> Vec<u8> {
        let mut input = corpus.pick(self.random.below(usize::MAX)).to_vec();
        for _ in 0..=self.random.below(8) {
            self.change(&mut input, corpus);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &Corpus) {
        let at = self.random.below(input.len() + 1);
        let length = self.span(input.len() - at);
        match self.random.below(11) {
            0 => self.flip_bit(input, at),
            1 => self.set_byte(input, at),
            2 => self.set_edge(input, at),
            3 => drop(input.drain(at..at + length)),
            4 => input.truncate(at),
            5 => self.repeat(input, at, length),
            6 => self.move_piece(input, at, length),
            7 => {
                let other = corpus.pick(self.random.below(usize::MAX));
                let from = self.random.below(other.len() + 1);
                let most = self.span(other.len() - from);
                let piece = other.get(from..from + most).unwrap_or_default();
                drop(input.splice(at..at, piece.iter().copied()));
            }
            8 => {
                let other = corpus.pick(self.random.below(usize::MAX));
                input.truncate(at);
                input.extend_from_slice(other.get(self.random.below(other.len() + 1)..).unwrap_or_default());
            }
            9 if !self.words.is_empty() => {
                let word = self.words.get(self.random.below(self.words.len())).copied().unwrap_or_default();
                drop(input.splice(at..at, word.iter().copied()));
            }
            _ => {
                let noise: Vec<u8> = (0..=self.random.below(16)).map(|_| self.random.byte()).collect();
                drop(input.splice(at..at, noise));
            }
        }
    }

    /// Mostly short pieces, sometimes long ones.
    fn span(&mut self, most: usize) -> usize {
        let limit = if self.random.below(4) == 0 { most } else { most.min(32) };
        self.random.below(limit + 1)
    }

    fn flip_bit(&mut self, input: &mut [u8], at: usize) {
        let bit = self.random.below(8);
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set_byte(&mut self, input: &mut [u8], at: usize) {
        let value = self.random.byte();
        if let Some(byte) = input.get_mut(at) {
            *byte = value;
        }
    }

    fn set_edge(&mut self, input: &mut [u8], at: usize) {
        let edge = EDGES.get(self.random.below(EDGES.len())).copied().unwrap_or(0).to_be_bytes();
        let width = 1 + self.random.below(4);
        let tail = edge.get(4 - width..).unwrap_or_default();
        if let Some(place) = input.get_mut(at..at + width) {
            place.copy_from_slice(tail);
        }
    }

    fn repeat(&mut self, input: &mut Vec<u8>, at: usize, length: usize) {
        let piece = input.get(at..at + length).unwrap_or_default().to_vec();
        let times = if self.random.below(8) == 0 { self.random.below(2000) } else { self.random.below(8) };
        let most = MAX_BYTES.saturating_sub(input.len()) / piece.len().max(1);
        drop(input.splice(at..at, piece.repeat(times.min(most))));
    }

    fn move_piece(&mut self, input: &mut Vec<u8>, at: usize, length: usize) {
        let piece: Vec<u8> = input.drain(at..at + length).collect();
        let to = self.random.below(input.len() + 1);
        drop(input.splice(to..to, piece));
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Return a number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }
}
