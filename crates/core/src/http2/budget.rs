//! Allowances that floods use up and honest work wins back.
//!
//! The machine has no clock, so an allowance is not a rate but a ratio: of what costs us work to what gets work done.

/// An allowance with a ceiling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    ceiling: u32,
}

impl Budget {
    pub(super) const fn new(ceiling: u32) -> Self {
        Self { left: ceiling, ceiling }
    }

    /// Return an allowance of which all but `left` must be won first.
    pub(super) const fn earned(left: u32, ceiling: u32) -> Self {
        Self { left, ceiling }
    }

    /// Take one; return whether there was one left.
    pub(super) fn spend(&mut self) -> bool {
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    pub(super) fn regain(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_and_is_won_back_up_to_its_ceiling() {
        let mut budget = Budget::new(2);
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
        budget.regain(100);
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }

    #[test]
    fn a_budget_that_must_be_earned_begins_small() {
        let mut budget = Budget::earned(1, 2);
        assert_eq!([budget.spend(), budget.spend()], [true, false]);
        budget.regain(100);
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }
}
