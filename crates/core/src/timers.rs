//! Deadlines, checked lazily: a deadline that moves later costs one store.
//!
//! Each owner (a connection or exchange *slot*: its alarm outlives the entry in it, so that a million short exchanges
//! in one slot are one heap entry) keeps its true deadline in an [`Alarm`]. When an entry comes due the owner is asked
//! for its true deadline: due, or armed again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Never.
pub const NEVER: f64 = f64::INFINITY;

/// When the heap will ask an owner.
#[derive(Debug, Clone, Copy)]
pub struct Alarm {
    /// The owner's true deadline.
    pub deadline: f64,
    asked_at: f64,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { deadline: NEVER, asked_at: NEVER }
    }
}

impl Alarm {
    /// Forget the deadline; an entry in the heap, if any, stays for the slot's next user.
    pub fn disarm(&mut self) {
        self.deadline = NEVER;
    }
}

/// Who owns a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A connection.
    Connection(u32),
    /// An exchange.
    Exchange(u32),
    /// A cluster.
    Cluster(usize),
}

/// Seconds as a totally ordered number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct At(f64);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// All alarms, earliest first.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(At, Owner)>>,
}

impl Timers {
    /// See to it that the owner is asked at its deadline.
    pub fn arm(&mut self, alarm: &mut Alarm, owner: Owner) {
        if alarm.deadline < alarm.asked_at {
            alarm.asked_at = alarm.deadline;
            self.heap.push(Reverse((At(alarm.deadline), owner)));
        }
    }

    /// Return the earliest time at which somebody must be asked.
    pub fn next(&self) -> f64 {
        self.heap.peek().map_or(NEVER, |Reverse((at, _))| at.0)
    }

    /// Take the next owner that is to be asked at `now`, and the time its entry carried.
    pub fn pop(&mut self, now: f64) -> Option<(f64, Owner)> {
        (self.next() <= now).then(|| self.heap.pop()).flatten().map(|Reverse((at, owner))| (at.0, owner))
    }

    /// Tell an owner taken by `pop` at `entry`: return whether its deadline has passed; if not it is armed again.
    pub fn due(&mut self, alarm: &mut Alarm, owner: Owner, entry: f64, now: f64) -> bool {
        if entry > alarm.asked_at {
            return false; // an older entry of an alarm that was moved earlier since
        }
        alarm.asked_at = NEVER;
        if alarm.deadline <= now {
            alarm.deadline = NEVER;
            return true;
        }
        self.arm(alarm, owner);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner::Exchange(1);

    #[test]
    fn a_deadline_that_moves_later_is_one_entry() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        for at in 10..1_000 {
            alarm.deadline = f64::from(at);
            timers.arm(&mut alarm, OWNER);
        }
        assert_eq!(timers.heap.len(), 1);
        let (entry, owner) = timers.pop(10.0).unwrap();
        assert!(!timers.due(&mut alarm, owner, entry, 10.0));
        assert!((timers.next() - 999.0).abs() < f64::EPSILON);
        let (entry, owner) = timers.pop(999.0).unwrap();
        assert!(timers.due(&mut alarm, owner, entry, 999.0));
    }

    #[test]
    fn a_deadline_that_moves_earlier_is_met() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        alarm.deadline = 50.0;
        timers.arm(&mut alarm, OWNER);
        alarm.deadline = 5.0;
        timers.arm(&mut alarm, OWNER);
        let (entry, owner) = timers.pop(5.0).unwrap();
        assert!(timers.due(&mut alarm, owner, entry, 5.0));
        let (entry, owner) = timers.pop(60.0).unwrap();
        assert!(!timers.due(&mut alarm, owner, entry, 60.0));
    }

    #[test]
    fn never_is_never_asked() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        alarm.deadline = NEVER;
        timers.arm(&mut alarm, OWNER);
        assert!(timers.pop(1e300).is_none());
    }
}
