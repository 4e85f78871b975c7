//! A map from numbers: of the streams of one connection, and the sums of hosts' names.
//!
//! Each call asks such maps some eight times. A number has one place, or the next free one behind it, and nothing stays where it
//! was taken away: to find, to add and to remove is a look or two. Only clients of HTTP/2 choose their numbers
//! themselves: whoever makes theirs collide has a look at each of the few hundred streams that one connection may have.

/// Values by number. Memory grows with the most that there ever were, and stays.
#[derive(Debug)]
pub struct Numbered<T> {
    /// A power of two of them, at least half free; none before there is a value.
    places: Vec<Option<(u64, T)>>,
    len: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { places: Vec::new(), len: 0 }
    }
}

impl<T: Copy> Numbered<T> {
    /// Add a value; `false`: its number was there already, and keeps the value it had.
    #[inline]
    pub fn insert(&mut self, number: u64, value: T) -> bool {
        if (self.len + 1) * 2 > self.places.len() {
            self.grow();
        }
        let at = self.home(number);
        match self.places.get_mut(at) {
            Some(free @ None) => {
                *free = Some((number, value));
                self.len += 1;
                true
            }
            _ => self.insert_behind(at, number, value),
        }
    }

    /// Add a value whose place is taken.
    fn insert_behind(&mut self, mut at: usize, number: u64, value: T) -> bool {
        let (mask, mut one) = (self.mask(), (number, value));
        loop {
            let home = self.home(one.0);
            match self.places.get_mut(at) {
                Some(Some(known)) if known.0 == number => return false,
                // Whoever is further from where it belongs has the place; nobody is passed over by one that came later.
                Some(Some(known)) if at.wrapping_sub(low(known.0)) & mask < at.wrapping_sub(home) & mask => {
                    std::mem::swap(known, &mut one);
                }
                Some(Some(_)) => {}
                Some(free) => {
                    *free = Some(one);
                    self.len += 1;
                    return true;
                }
                None => return false, // never: `grow` has made places
            }
            at = self.after(at);
        }
    }

    /// Return the value of a number.
    pub fn get(&self, number: u64) -> Option<T> {
        self.places.get(self.find(number)?)?.map(|(_, value)| value)
    }

    /// Take the value of a number away.
    #[inline]
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let mut hole = self.find(number)?;
        let (_, taken) = self.places.get_mut(hole)?.take()?;
        self.len -= 1;
        loop {
            let next = self.after(hole);
            match self.places.get(next) {
                // Whoever is not where it belongs moves closer.
                Some(Some((number, _))) if self.home(*number) != next => self.places.swap(hole, next),
                _ => break,
            }
            hole = next;
        }
        Some(taken)
    }

    /// Return whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterate over all, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, T)> + '_ {
        self.places.iter().filter_map(|place| *place)
    }

    /// Remove all.
    pub fn clear(&mut self) {
        self.places.fill(None);
        self.len = 0;
    }

    fn find(&self, number: u64) -> Option<usize> {
        let mut at = self.home(number);
        loop {
            match self.places.get(at)? {
                Some((known, _)) if *known == number => return Some(at),
                Some(_) => at = self.after(at),
                None => return None,
            }
        }
    }

    /// Return where a number belongs: numbers that are given out in a row lie in a row.
    fn home(&self, number: u64) -> usize {
        low(number) & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn mask(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    #[cold]
    fn grow(&mut self) {
        const FIRST: usize = 8;
        let room = (self.places.len() * 2).max(FIRST);
        let old = std::mem::replace(&mut self.places, vec![None; room]);
        self.len = 0;
        for (number, value) in old.into_iter().flatten() {
            self.insert(number, value);
        }
    }
}

/// Return the lower half of a number, in which neighbours differ; the upper one of a stream says how often its slot was used.
fn low(number: u64) -> usize {
    usize::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::random::Random;

    #[test]
    fn it_holds_what_a_map_of_the_standard_library_holds() {
        let (mut random, mut ours, mut theirs) = (Random::new(7), Numbered::default(), HashMap::new());
        for step in 0..200_000_u64 {
            // Few numbers, so that they come again; some high ones, as slabs and one-way calls give out.
            let number = (random.next() % 300) << (if step % 3 == 0 { 31 } else { 0 });
            if random.next() % 5 < 2 + step / 100_000 {
                assert_eq!(ours.remove(number), theirs.remove(&number));
            } else {
                assert_eq!(ours.insert(number, step), !theirs.contains_key(&number));
                theirs.entry(number).or_insert(step);
            }
            assert_eq!((ours.get(number), ours.len), (theirs.get(&number).copied(), theirs.len()));
        }
        assert!(ours.iter().all(|(number, value)| theirs.get(&number) == Some(&value)));
        assert_eq!(ours.iter().count(), theirs.len());
        ours.clear();
        assert!(ours.is_empty() && ours.iter().count() == 0 && ours.get(1).is_none());
    }

    #[test]
    fn half_of_its_places_are_free_and_a_hole_is_closed() {
        let mut numbered = Numbered::default();
        for number in 0..1_000 {
            assert!(numbered.insert(number, ()) && numbered.places.len() >= 2 * numbered.len);
        }
        for number in (0..1_000).rev() {
            assert_eq!(numbered.remove(number), Some(()));
            assert!((0..number).all(|left| numbered.get(left).is_some()));
        }
        assert_eq!((numbered.len, numbered.places.len()), (0, 2_048));
    }
}
