//! Numbered slots that are reused, under numbers that are not.

/// Number of an entry: the slot in the low half, how often it was used in the high half.
pub type Id = u64;

/// What a slab can hold: a value that is emptied, not dropped, so that its buffers are used again.
pub trait Recycle: Default {
    /// Return to the state of a fresh value, keeping memory.
    fn recycle(&mut self);
}

/// Give fields of `$self` their default values where they lie, all but those behind `keep`. A field in neither list does not
/// compile.
///
/// `*self = Self { .., ..Self::default() }` says the same. It writes the new value in small pieces elsewhere and then moves it in
/// large ones, which wait until the small ones have arrived: some 40 ns a message for an exchange.
macro_rules! empty {
    ($self:ident { $($field:ident),* } keep { $($kept:ident),* }) => {
        let Self { $($field,)* $($kept: _,)* } = $self;
        $(*$field = Default::default();)*
    };
}

pub(crate) use empty;

/// In this order: what says whether an entry is the one that is asked for lies beside how it begins.
#[derive(Debug)]
#[repr(C)]
struct Slot<T> {
    generation: u32,
    used: bool,
    value: T,
}

impl<T> Slot<T> {
    fn holding(&mut self, id: Id) -> Option<&mut T> {
        (self.used && u64::from(self.generation) == id >> 32).then_some(&mut self.value)
    }
}

/// Entries by number. A number that is no longer in use finds nothing.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: Recycle> Slab<T> {
    /// Take a fresh entry into use and return its number.
    pub fn take(&mut self) -> Id {
        self.take_mut().map_or(0, |(id, _)| id)
    }

    /// Take a fresh entry into use; return its number, and itself for change. There always is one.
    #[inline]
    pub fn take_mut(&mut self) -> Option<(Id, &mut T)> {
        let index = self.free.pop().unwrap_or_else(|| self.add());
        let slot = self.slots.get_mut(index as usize)?;
        slot.used = true;
        slot.generation = slot.generation.wrapping_add(1);
        Some(((u64::from(slot.generation) << 32) | u64::from(index), &mut slot.value))
    }

    #[cold]
    fn add(&mut self) -> u32 {
        self.slots.push(Slot { generation: 0, used: false, value: T::default() });
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    /// Return the entry called `id`.
    pub fn get(&self, id: Id) -> Option<&T> {
        let slot = self.slots.get(slot_of(id))?;
        (slot.used && u64::from(slot.generation) == id >> 32).then_some(&slot.value)
    }

    /// Return the entry called `id` for change.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.slots.get_mut(slot_of(id))?.holding(id)
    }

    /// Return two different entries for change.
    pub fn pair_mut(&mut self, one: Id, other: Id) -> Option<(&mut T, &mut T)> {
        let (at, other_at) = (slot_of(one), slot_of(other));
        let (low, high) = self.slots.split_at_mut_checked(at.max(other_at))?;
        let (first, second) = (low.get_mut(at.min(other_at))?, high.first_mut()?);
        let (first, second) = if at < other_at { (first, second) } else { (second, first) };
        Some((first.holding(one)?, second.holding(other)?))
    }

    /// Return the number and value of a slot by its index, whether or not it is in use.
    pub fn by_slot(&mut self, index: u32) -> Option<(Id, &mut T)> {
        let slot = self.slots.get_mut(index as usize)?;
        Some(((u64::from(slot.generation) << 32) | u64::from(index), &mut slot.value))
    }

    /// Give an entry back; its number never comes again.
    pub fn release(&mut self, id: Id) {
        let Some(slot) = self.slots.get_mut(slot_of(id)) else { return };
        if let Some(value) = slot.holding(id) {
            value.recycle();
            slot.used = false;
            self.free.push(index_of(id));
        }
    }

    /// Return how many entries are in use.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Return whether no entry is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Return the entries in use, for change.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter(|slot| slot.used).map(|slot| &mut slot.value)
    }

    /// Return the numbers in use.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.used);
        used.map(|(index, slot)| (u64::from(slot.generation) << 32) | index as u64)
    }
}

/// Return the index of the slot that `id` lies in.
pub fn index_of(id: Id) -> u32 {
    u32::try_from(id & 0xffff_ffff).unwrap_or(u32::MAX)
}

fn slot_of(id: Id) -> usize {
    index_of(id) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Recycle for Vec<u8> {
        fn recycle(&mut self) {
            self.clear();
        }
    }

    #[test]
    fn a_number_is_never_used_twice_but_its_memory_is() {
        let mut slab = Slab::<Vec<u8>>::default();
        let old = slab.take();
        slab.get_mut(old).unwrap().extend_from_slice(b"long enough to allocate");
        slab.release(old);
        let new = slab.take();
        assert_ne!(old, new);
        assert!(slab.get(old).is_none() && slab.get(new).unwrap().capacity() > 0 && slab.get(new).unwrap().is_empty());
        assert_eq!((slab.len(), slab.ids().collect::<Vec<_>>()), (1, vec![new]));
    }

    #[test]
    fn two_entries_can_be_had_at_once_but_not_one_twice() {
        let mut slab = Slab::<Vec<u8>>::default();
        let (one, other, gone) = (slab.take(), slab.take(), slab.take());
        slab.release(gone);
        let (first, second) = slab.pair_mut(other, one).unwrap();
        first.push(2);
        second.push(1);
        assert_eq!((slab.get(one), slab.get(other)), (Some(&vec![1]), Some(&vec![2])));
        for (one, other) in [(one, one), (one, gone), (gone, one), (one, other + 7), (other ^ (1 << 32), one)] {
            assert!(slab.pair_mut(one, other).is_none());
        }
    }

    #[test]
    fn releasing_twice_frees_once() {
        let mut slab = Slab::<Vec<u8>>::default();
        let id = slab.take();
        slab.release(id);
        slab.release(id);
        assert!(slab.is_empty());
        assert_ne!(slab.take(), slab.take());
    }
}
