//! Active health: what the checks of an endpoint have come to (Envoy: `config/core/v3/health_check.proto`). `engine/health.rs` makes them.

use crate::config::HealthCheck;
use crate::random::Random;
use crate::timers::NEVER;

/// What one check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered as it should.
    Well,
    /// It could not be asked, or did not answer in time.
    Silent,
    /// It answered otherwise: no threshold is waited for.
    Ill,
}

/// The checks of one endpoint.
#[derive(Debug)]
pub struct Check {
    failed: bool,
    /// No check has been answered yet.
    fresh: bool,
    in_a_row: u32,
    /// When the next one begins; never while one is under way.
    pub due: f64,
}

impl Default for Check {
    fn default() -> Self {
        Self { failed: false, fresh: true, in_a_row: 0, due: NEVER }
    }
}

impl Check {
    /// Return whether requests should go elsewhere.
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// Begin to check, or stop. Until its first check an endpoint counts as failed.
    pub fn configure(&mut self, checked: bool, now: f64) {
        if !checked {
            *self = Self::default();
        } else if self.fresh && !self.failed {
            (self.failed, self.due) = (true, now);
        }
    }

    /// Take note of a check that ended at `now`; return whether the endpoint's state has changed.
    pub fn record(
        &mut self,
        outcome: Outcome,
        terms: &HealthCheck,
        traffic: bool,
        now: f64,
        random: &mut Random,
    ) -> bool {
        let before = self.failed;
        let well = outcome == Outcome::Well;
        // Checks that confirm the state begin the count anew.
        self.in_a_row = if well == self.failed { self.in_a_row + 1 } else { 0 };
        if well && self.failed && (self.fresh || self.in_a_row >= terms.healthy_threshold) {
            self.failed = false;
        } else if !well && !self.failed && (outcome == Outcome::Ill || self.in_a_row >= terms.unhealthy_threshold) {
            self.failed = true;
        }
        if self.failed != before {
            self.in_a_row = 0;
        }
        self.fresh = false;
        let interval = match (traffic, self.failed) {
            (false, _) => terms.no_traffic_interval_s,
            (true, true) => terms.unhealthy_interval_s,
            (true, false) => terms.interval_s,
        };
        let jitter = terms.interval_jitter_s + interval * f64::from(terms.interval_jitter_percent) / 100.0;
        self.due = now + interval + jitter * random.unit();
        self.failed != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> HealthCheck {
        serde_json::from_str(
            r#"{"probe": {"tcp_probe": {}}, "timeout_s": 1, "interval_s": 10, "unhealthy_interval_s": 2,
                "no_traffic_interval_s": 60, "interval_jitter_s": 0,
                "interval_jitter_percent": 0, "unhealthy_threshold": 3, "healthy_threshold": 2}"#,
        )
        .unwrap()
    }

    fn states(outcomes: &[Outcome]) -> Vec<bool> {
        let (mut check, mut random) = (Check::default(), Random::new(1));
        check.configure(true, 0.0);
        let state = |outcome: &Outcome| {
            check.record(*outcome, &terms(), true, 0.0, &mut random);
            !check.is_failed()
        };
        outcomes.iter().map(state).collect()
    }

    #[test]
    fn the_first_good_check_is_enough_and_later_ones_need_their_threshold() {
        use Outcome::{Silent, Well};
        assert_eq!(states(&[Well]), [true]);
        assert_eq!(states(&[Silent, Well, Well]), [false, false, true]);
        assert_eq!(states(&[Well, Silent, Silent, Silent, Well, Silent, Well, Well]).last(), Some(&true));
        assert_eq!(states(&[Well, Silent, Silent, Well, Silent, Silent]).last(), Some(&true));
        assert_eq!(states(&[Well, Silent, Silent, Silent]).last(), Some(&false));
    }

    #[test]
    fn a_wrong_answer_waits_for_no_threshold() {
        assert_eq!(states(&[Outcome::Well, Outcome::Ill]), [true, false]);
    }

    #[test]
    fn the_next_check_comes_after_the_interval_of_the_state() {
        let (mut check, mut random) = (Check::default(), Random::new(1));
        check.configure(true, 5.0);
        assert!(check.is_failed() && (check.due - 5.0).abs() < 1e-9);
        check.record(Outcome::Well, &terms(), true, 6.0, &mut random);
        assert!((check.due - 16.0).abs() < 1e-9);
        check.record(Outcome::Ill, &terms(), true, 16.0, &mut random);
        assert!((check.due - 18.0).abs() < 1e-9);
        check.record(Outcome::Ill, &terms(), false, 20.0, &mut random);
        assert!((check.due - 80.0).abs() < 1e-9);
        let jittered = HealthCheck { interval_jitter_percent: 50, interval_jitter_s: 1.0, ..terms() };
        for _ in 0..100 {
            check.record(Outcome::Ill, &jittered, true, 0.0, &mut random);
            assert!((2.0..4.0).contains(&check.due));
        }
        check.configure(false, 0.0);
        assert!(!check.is_failed() && check.due == NEVER);
    }
}
