//! The ids under which a connection has asked: they are ours to choose, so each has a place that no other open one needs.

/// Ids of requests that are not answered yet.
#[derive(Debug, Default)]
pub struct Ids {
    /// A power of two of them, at least half free; an id belongs where its low bits say.
    places: Vec<Option<u64>>,
    len: usize,
}

impl Ids {
    /// Add an id; `false`: its place is taken, by itself or another, and the next one may have one.
    #[inline]
    pub fn insert(&mut self, id: u64) -> bool {
        if (self.len + 1) * 2 > self.places.len() {
            self.grow();
        }
        let at = self.place(id);
        let Some(free @ None) = self.places.get_mut(at) else { return false };
        *free = Some(id);
        self.len += 1;
        true
    }

    /// Take an id away; `false`: it was not there.
    pub fn remove(&mut self, id: u64) -> bool {
        let at = self.place(id);
        let Some(known) = self.places.get_mut(at).filter(|known| **known == Some(id)) else { return false };
        *known = None;
        self.len -= 1;
        true
    }

    /// Return how many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    fn place(&self, id: u64) -> usize {
        usize::try_from(id & u64::from(u32::MAX)).unwrap_or(0) & self.places.len().saturating_sub(1)
    }

    /// Make twice as many places: ids that have had places of their own still have.
    #[cold]
    fn grow(&mut self) {
        const FIRST: usize = 64;
        let room = (self.places.len() * 2).max(FIRST);
        for id in std::mem::replace(&mut self.places, vec![None; room]).into_iter().flatten() {
            let at = self.place(id);
            if let Some(place) = self.places.get_mut(at) {
                *place = Some(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    #[test]
    fn no_id_is_open_twice_and_every_open_one_is_found() {
        let (mut ids, mut known, mut random, mut last) =
            (Ids::default(), BTreeSet::new(), Random::new(1), u64::MAX - 99);
        for _ in 0..20_000 {
            if random.below(5) < 3 || known.is_empty() {
                let before = last;
                loop {
                    last = last.wrapping_add(1);
                    if ids.insert(last) {
                        break;
                    }
                    assert!(last.wrapping_sub(before) <= known.len() as u64, "half of the places are free");
                }
                assert!(known.insert(last));
            } else {
                let at = random.below(known.len());
                let id = *known.iter().nth(at).unwrap();
                assert!(known.remove(&id) && ids.remove(id) && !ids.remove(id));
            }
            assert_eq!(ids.len(), known.len());
        }
        assert!(known.iter().all(|id| ids.remove(*id)) && ids.len() == 0);
    }
}
