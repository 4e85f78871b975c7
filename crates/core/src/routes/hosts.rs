//! Names of hosts without wildcards, found whatever the case of their letters.
//!
//! Names come from the configuration, so nobody who asks for one can make them collide: a multiplication a word is enough, and
//! a name need not be copied to be looked up.

use crate::numbers::Numbered;

/// Hosts by name.
#[derive(Debug, Default)]
pub struct Hosts {
    /// The name that was added last among those of one sum.
    by_sum: Numbered<usize>,
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    host: usize,
    /// Another one of the same sum.
    next: Option<usize>,
}

impl Hosts {
    /// Add a name; return the host that has it already, if one has.
    pub fn insert(&mut self, text: &[u8], host: usize) -> Option<usize> {
        let known = self.get(text);
        if known.is_none() {
            let sum = sum(text);
            let next = self.by_sum.remove(sum);
            self.by_sum.insert(sum, self.names.len());
            self.names.push(Name { text: text.into(), host, next });
        }
        known
    }

    /// Return the host of this name.
    pub fn get(&self, text: &[u8]) -> Option<usize> {
        let mut at = self.by_sum.get(sum(text));
        while let Some(name) = at.and_then(|at| self.names.get(at)) {
            if *name.text == *text || name.text.eq_ignore_ascii_case(text) {
                return Some(name.host);
            }
            at = name.next;
        }
        None
    }
}

/// Return a number that is the same for names that differ in the case of their letters alone.
fn sum(text: &[u8]) -> u64 {
    /// What the two cases of a letter differ in; that it makes a few other characters alike, too, does no harm.
    const CASE: u64 = 0x2020_2020_2020_2020;
    let mix = |sum: u64, word: u64| (sum ^ (word | CASE)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let number = |word: &[u8]| word.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let words = text.chunks_exact(8);
    let rest = number(words.remainder());
    let sum = words.fold(text.len() as u64, |sum, word| mix(sum, word.try_into().map_or(0, u64::from_le_bytes)));
    mix(sum, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_no_other_is() {
        let mut hosts = Hosts::default();
        for host in 0..500 {
            assert_eq!(hosts.insert(format!("svc-{host}.example.com").as_bytes(), host), None);
        }
        assert_eq!(hosts.insert(b"SVC-7.example.com", 9), Some(7), "who has it keeps it");
        for host in 0..500 {
            assert_eq!(hosts.get(format!("Svc-{host}.EXAMPLE.com").as_bytes()), Some(host));
            assert_eq!(hosts.get(format!("svc-{host}.example.co").as_bytes()), None);
        }
        assert_eq!((hosts.get(b""), Hosts::default().get(b"a")), (None, None));
    }

    #[test]
    fn names_of_one_sum_are_told_apart() {
        // `@` and the grave accent differ as letters of two cases do, and are none.
        let mut hosts = Hosts::default();
        assert_eq!((hosts.insert(b"a@b", 1), hosts.insert(b"a`b", 2)), (None, None));
        assert_eq!((hosts.get(b"A@B"), hosts.get(b"a`b")), (Some(1), Some(2)));
    }
}
