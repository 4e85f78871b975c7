//! Passive health: an endpoint that answers badly is given nothing for a while (Envoy: `config/cluster/v3/outlier_detection.proto`).

use crate::cluster::{Cluster, Endpoint};
use crate::config::OutlierDetection;
use crate::random::Random;
use crate::timers::NEVER;

/// What the endpoints of a cluster came to in the last interval.
#[derive(Debug, Clone, Copy)]
pub struct SuccessRates {
    /// Mean, in per cent.
    pub average: f64,
    /// Who is below this stands out.
    pub threshold: f64,
}

/// What an ejection is for; the order is that of [`Offences`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offence {
    ServerErrors,
    GatewayErrors,
    SuccessRate,
    FailurePercentage,
}

/// Envoy's names of what an ejection is for.
const OFFENCES: [&str; 4] = ["consecutive_5xx", "consecutive_gateway_failure", "success_rate", "failure_percentage"];

/// Counters `outlier_detection.*` of a cluster.
#[derive(Debug, Default)]
pub struct Ejections {
    detected: [u64; 4],
    enforced: [u64; 4],
    /// `ejections_overflow`: not carried out, since too many are out already.
    pub overflow: u64,
}

impl Ejections {
    /// Return (name, detected, enforced) of each offence.
    pub fn offences(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        OFFENCES
            .into_iter()
            .zip(self.detected.iter().zip(&self.enforced))
            .map(|(name, (seen, done))| (name, *seen, *done))
    }

    /// Return `ejections_enforced_total`.
    pub fn enforced_total(&self) -> u64 {
        self.enforced.iter().sum()
    }
}

fn count(of: &mut [u64; 4], offence: Offence) {
    if let Some(counter) = of.get_mut(offence as usize) {
        *counter += 1;
    }
}

impl Cluster {
    /// Take note of what endpoint `at` answered; return whether the set of those that get requests has changed.
    pub fn judge(&mut self, at: usize, status: u16, now: f64, random: &mut Random) -> bool {
        let Some(terms) = self.config.outlier.clone() else { return false };
        if self.sweep_at == NEVER {
            self.sweep_at = self.next_sweep(now, terms.interval_s);
        }
        let Some(conduct) = self.endpoints.get_mut(at).map(|endpoint| &mut endpoint.conduct) else { return false };
        conduct.answers += 1;
        if status < 500 {
            conduct.good += 1;
            (conduct.server_errors, conduct.gateway_errors) = (0, 0);
            return false;
        }
        conduct.server_errors += 1;
        conduct.gateway_errors = if (502..=504).contains(&status) { conduct.gateway_errors + 1 } else { 0 };
        let (server, gateway) = (conduct.server_errors, conduct.gateway_errors);
        let mut changed = false;
        if gateway == terms.consecutive_gateway_failure && gateway > 0 {
            self.forget(at, Offence::GatewayErrors);
            changed |= self.eject(at, Offence::GatewayErrors, &terms, now, random);
        }
        if server == terms.consecutive_5xx && server > 0 {
            self.forget(at, Offence::ServerErrors);
            changed |= self.eject(at, Offence::ServerErrors, &terms, now, random);
        }
        changed
    }

    /// Let those return whose time is over, and look at the rates of an interval; return whether the set of those that get
    /// requests has changed.
    pub fn sweep(&mut self, now: f64, random: &mut Random) -> bool {
        let Some(terms) = self.config.outlier.clone() else {
            self.sweep_at = NEVER;
            return self.pardon_all();
        };
        let mut changed = false;
        for endpoint in &mut self.endpoints {
            let conduct = &mut endpoint.conduct;
            if let Some(since) = conduct.ejected_at {
                let longest = terms.max_ejection_time_s.max(terms.base_ejection_time_s);
                let sentence = (terms.base_ejection_time_s * f64::from(conduct.ejections)).min(longest);
                if now - since >= sentence {
                    conduct.ejected_at = None;
                    changed = true;
                }
            } else {
                conduct.ejections = conduct.ejections.saturating_sub(1);
            }
        }
        changed |= self.judge_rates(&terms, now, random);
        // A rate is told for one interval: the sweep that finds none takes it back.
        let busy = |endpoint: &Endpoint| {
            let conduct = &endpoint.conduct;
            conduct.answers > 0 || conduct.ejections > 0 || conduct.success_rate.is_some()
        };
        let go_on = self.endpoints.iter().any(busy);
        for endpoint in &mut self.endpoints {
            (endpoint.conduct.answers, endpoint.conduct.good) = (0, 0);
        }
        self.sweep_at = if go_on { self.next_sweep(now, terms.interval_s) } else { NEVER };
        changed
    }

    /// Return how many endpoints are ejected.
    pub fn ejected(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.is_member() && endpoint.conduct.is_ejected()).count()
    }

    /// Let everybody return; return whether anybody was out.
    pub(super) fn pardon_all(&mut self) -> bool {
        let mut changed = false;
        self.success_rates = None;
        for endpoint in &mut self.endpoints {
            changed |= std::mem::take(&mut endpoint.conduct).is_ejected();
        }
        changed
    }

    /// Sweeps fall on whole intervals since the cluster was made, as Envoy's do.
    fn next_sweep(&self, now: f64, interval_s: f64) -> f64 {
        self.born + (((now - self.born) / interval_s).floor() + 1.0) * interval_s
    }

    fn forget(&mut self, at: usize, offence: Offence) {
        if let Some(endpoint) = self.endpoints.get_mut(at) {
            match offence {
                Offence::GatewayErrors => endpoint.conduct.gateway_errors = 0,
                _ => endpoint.conduct.server_errors = 0,
            }
        }
    }

    fn eject(&mut self, at: usize, offence: Offence, terms: &OutlierDetection, now: f64, random: &mut Random) -> bool {
        let out = self.ejected();
        let members = self.endpoints.iter().filter(|endpoint| endpoint.is_member()).count();
        let Some(endpoint) = self.endpoints.get_mut(at).filter(|endpoint| !endpoint.conduct.is_ejected()) else {
            return false;
        };
        count(&mut self.counters.ejections.detected, offence);
        let allowed = (out + 1) * 100 <= members * terms.max_ejection_percent || (out == 0 && terms.always_eject_one);
        if !allowed {
            self.counters.ejections.overflow += 1;
            return false;
        }
        let enforced = match offence {
            Offence::ServerErrors => terms.enforcing_consecutive_5xx,
            Offence::GatewayErrors => terms.enforcing_consecutive_gateway_failure,
            Offence::SuccessRate => terms.enforcing_success_rate,
            Offence::FailurePercentage => terms.enforcing_failure_percentage,
        };
        if random.below(100) >= enforced {
            return false;
        }
        count(&mut self.counters.ejections.enforced, offence);
        endpoint.conduct.ejected_at = Some(now);
        endpoint.conduct.ejections += 1;
        true
    }

    fn judge_rates(&mut self, terms: &OutlierDetection, now: f64, random: &mut Random) -> bool {
        let rates = |volume: u32| -> Vec<(usize, f64)> {
            let judged = self.endpoints.iter().enumerate().filter(|(_, endpoint)| {
                let conduct = &endpoint.conduct;
                endpoint.is_member() && !conduct.is_ejected() && conduct.answers >= volume.max(1)
            });
            judged
                .map(|(at, endpoint)| {
                    (at, 100.0 * f64::from(endpoint.conduct.good) / f64::from(endpoint.conduct.answers))
                })
                .collect()
        };
        let by_success = rates(terms.success_rate_request_volume);
        let by_failure = rates(terms.failure_percentage_request_volume);
        for endpoint in &mut self.endpoints {
            endpoint.conduct.success_rate = None;
        }
        for (at, rate) in by_success.iter().chain(&by_failure) {
            if let Some(endpoint) = self.endpoints.get_mut(*at) {
                endpoint.conduct.success_rate = Some(*rate);
            }
        }
        self.success_rates = None;
        let mut changed = false;
        if by_success.len() >= terms.success_rate_minimum_hosts.max(1) {
            let found = success_rates(&by_success, f64::from(terms.success_rate_stdev_factor) / 1000.0);
            self.success_rates = Some(found);
            for (at, _) in by_success.into_iter().filter(|(_, rate)| *rate < found.threshold) {
                changed |= self.eject(at, Offence::SuccessRate, terms, now, random);
            }
        }
        if by_failure.len() >= terms.failure_percentage_minimum_hosts.max(1) {
            let most = f64::from(terms.failure_percentage_threshold);
            for (at, _) in by_failure.into_iter().filter(|(_, rate)| 100.0 - rate >= most) {
                changed |= self.eject(at, Offence::FailurePercentage, terms, now, random);
            }
        }
        changed
    }
}

/// Return the mean of the rates, and what lies so many standard deviations below it.
#[allow(clippy::cast_precision_loss)] // numbers of endpoints are far below 2^52
fn success_rates(rates: &[(usize, f64)], factor: f64) -> SuccessRates {
    let number = rates.len() as f64;
    let average = rates.iter().map(|(_, rate)| rate).sum::<f64>() / number;
    let variance = rates.iter().map(|(_, rate)| (rate - average).powi(2)).sum::<f64>() / number;
    SuccessRates { average, threshold: average - factor * variance.sqrt() }
}
