//! Which outcomes a route tries again, and how long it waits first (Envoy: `config/route/v3/route_components.proto`, `RetryPolicy`).

use crate::config::{check_seconds, RetryOn, RetryPolicy};
use crate::head::Head;
use crate::random::Random;

/// Most retries of one request that a route may ask for: with Envoy's longest default back-off of 250 ms they fill half a
/// minute; more is a loop, not a policy.
pub const MAX_RETRIES: u32 = 100;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connection could not be made.
    Connect,
    /// The endpoint did not begin to work on it.
    Refused,
    /// The endpoint closed, reset, broke its protocol, or took too long for one try.
    Reset,
}

/// A compiled retry policy.
#[derive(Debug)]
pub struct Retries {
    policy: RetryPolicy,
}

impl Retries {
    /// Compile `policy`; an error begins with the field that is wrong.
    pub fn compile(policy: &RetryPolicy) -> Result<Self, String> {
        let durations = [
            ("per_try_timeout_s", policy.per_try_timeout_s),
            ("base_interval_s", policy.base_interval_s),
            ("max_interval_s", policy.max_interval_s),
        ];
        for (name, seconds) in durations {
            check_seconds(seconds).map_err(|what| format!("{name}: {what}"))?;
        }
        if policy.max_interval_s < policy.base_interval_s {
            return Err(format!(
                "max_interval_s: {} is less than base_interval_s ({})",
                policy.max_interval_s, policy.base_interval_s
            ));
        }
        if policy.max_retries > MAX_RETRIES {
            return Err(format!("max_retries: {} is more than the limit of {MAX_RETRIES}", policy.max_retries));
        }
        Ok(Self { policy: policy.clone() })
    }

    /// Return how many tries there may be beside the first.
    pub fn most(&self) -> u32 {
        self.policy.max_retries
    }

    /// Return the longest time for one try; 0: none.
    pub fn per_try_timeout_s(&self) -> f64 {
        self.policy.per_try_timeout_s
    }

    /// Return whether endpoints tried before are passed over.
    pub fn avoids_tried(&self) -> bool {
        self.policy.avoid_tried
    }

    /// Return whether a response that begins with `head` is not good enough.
    pub fn wants_response(&self, head: &Head) -> bool {
        let grpc = || head.get(b"grpc-status").unwrap_or_default();
        self.policy.on.iter().any(|on| match on {
            RetryOn::ServerError => (500..600).contains(&head.status),
            RetryOn::GatewayError => (502..=504).contains(&head.status),
            RetryOn::Retriable4xx => head.status == 409,
            RetryOn::RetriableStatusCodes => self.policy.status_codes.contains(&head.status),
            RetryOn::Cancelled => grpc() == b"1",
            RetryOn::DeadlineExceeded => grpc() == b"4",
            RetryOn::Internal => grpc() == b"13",
            RetryOn::ResourceExhausted => grpc() == b"8",
            RetryOn::Unavailable => grpc() == b"14",
            RetryOn::ConnectFailure | RetryOn::RefusedStream | RetryOn::Reset | RetryOn::ResetBeforeRequest => false,
        })
    }

    /// Return whether `failure` is tried again.
    pub fn wants_failure(&self, failure: Failure) -> bool {
        self.policy.on.iter().any(|on| match on {
            RetryOn::ServerError | RetryOn::GatewayError | RetryOn::Reset => true,
            RetryOn::ConnectFailure | RetryOn::ResetBeforeRequest => failure == Failure::Connect,
            RetryOn::RefusedStream => failure == Failure::Refused,
            _ => false,
        })
    }

    /// Return how long to wait before retry number `number` (from 1): anything up to (2^number - 1) times the base
    /// interval, all of it drawn, so that callers that failed together do not come back together.
    pub fn back_off_s(&self, number: u32, random: &mut Random) -> f64 {
        let most = self.policy.base_interval_s * (2f64.powi(i32::try_from(number).unwrap_or(i32::MAX)) - 1.0);
        most.min(self.policy.max_interval_s) * random.unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy {
            on: on.to_vec(),
            max_retries: 1,
            per_try_timeout_s: 0.0,
            status_codes: vec![418],
            base_interval_s: 0.025,
            max_interval_s: 0.25,
            avoid_tried: false,
        }
    }

    fn head(status: u16, grpc: &str) -> Head {
        let mut head = Head::default();
        head.status = status;
        if !grpc.is_empty() {
            head.push(b"grpc-status", grpc.as_bytes());
        }
        head
    }

    #[test]
    fn each_word_means_its_own_responses() {
        for (on, status, grpc, other) in [
            (RetryOn::ServerError, 599, "", 409),
            (RetryOn::GatewayError, 502, "", 500),
            (RetryOn::Retriable4xx, 409, "", 404),
            (RetryOn::RetriableStatusCodes, 418, "", 503),
            (RetryOn::Cancelled, 200, "1", 200),
            (RetryOn::DeadlineExceeded, 200, "4", 200),
            (RetryOn::Internal, 200, "13", 200),
            (RetryOn::ResourceExhausted, 200, "8", 200),
            (RetryOn::Unavailable, 200, "14", 200),
        ] {
            let retries = Retries::compile(&policy(&[on])).unwrap();
            assert!(retries.wants_response(&head(status, grpc)), "{on:?}");
            assert!(!retries.wants_response(&head(other, "0")), "{on:?}");
        }
    }

    #[test]
    fn each_word_means_its_own_failures() {
        let all = [Failure::Connect, Failure::Refused, Failure::Reset];
        for (on, wanted) in [
            (RetryOn::ServerError, [true, true, true]),
            (RetryOn::GatewayError, [true, true, true]),
            (RetryOn::Reset, [true, true, true]),
            (RetryOn::ConnectFailure, [true, false, false]),
            (RetryOn::ResetBeforeRequest, [true, false, false]),
            (RetryOn::RefusedStream, [false, true, false]),
            (RetryOn::Unavailable, [false, false, false]),
        ] {
            let retries = Retries::compile(&policy(&[on])).unwrap();
            assert_eq!(all.map(|failure| retries.wants_failure(failure)), wanted, "{on:?}");
        }
    }

    #[test]
    fn back_off_grows_to_its_bound_and_is_drawn_from_all_of_it() {
        let retries = Retries::compile(&policy(&[])).unwrap();
        let mut random = Random::new(3);
        for (number, most) in [(1, 0.025), (2, 0.075), (3, 0.175), (4, 0.25), (90, 0.25)] {
            let drawn: Vec<f64> = (0..500).map(|_| retries.back_off_s(number, &mut random)).collect();
            assert!(drawn.iter().all(|seconds| (0.0..most).contains(seconds)));
            assert!(drawn.iter().any(|seconds| *seconds < most * 0.05));
            assert!(drawn.iter().any(|seconds| *seconds > most * 0.95));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, field) in [
            (RetryPolicy { max_retries: MAX_RETRIES + 1, ..policy(&[]) }, "max_retries: "),
            (RetryPolicy { max_interval_s: 0.01, ..policy(&[]) }, "max_interval_s: "),
            (RetryPolicy { per_try_timeout_s: f64::NAN, ..policy(&[]) }, "per_try_timeout_s: "),
        ] {
            assert!(Retries::compile(&wrong).unwrap_err().starts_with(field));
        }
    }
}
