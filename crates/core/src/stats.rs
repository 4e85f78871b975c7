//! Counters in plain numbers; names and labels meet them only when somebody asks (`engine::report`).

/// Upper bounds in milliseconds: Envoy's default histogram buckets.
pub const BOUNDS_MS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Durations in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [u64; BOUNDS_MS.len() + 1],
    sum_ms: f64,
}

impl Histogram {
    /// Count a duration.
    pub fn record(&mut self, seconds: f64) {
        self.record_many(seconds, 1);
    }

    /// Count a duration so many times.
    pub fn record_many(&mut self, seconds: f64, count: u32) {
        let ms = seconds * 1_000.0;
        let at = BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BOUNDS_MS.len());
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += u64::from(count);
        }
        self.sum_ms += ms * f64::from(count);
    }

    /// Return (upper bound, how many were at most that long) for each bound.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS_MS.iter().zip(&self.buckets).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((*bound, *sum))
        })
    }

    /// Return how many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Return the sum of all, in milliseconds.
    pub fn sum_ms(&self) -> f64 {
        self.sum_ms
    }
}

/// Responses by class: 1xx to 5xx.
#[derive(Debug, Default)]
pub struct Responses {
    classes: [u64; 5],
}

impl Responses {
    /// Count a response.
    pub fn record(&mut self, status: u16) {
        self.record_many(status, 1);
    }

    /// Count so many responses.
    pub fn record_many(&mut self, status: u16, count: u32) {
        if let Some(class) = usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get_mut(class)) {
            *class += u64::from(count);
        }
    }

    /// Return (first digit, count) of each class.
    pub fn classes(&self) -> impl Iterator<Item = (char, u64)> + '_ {
        ['1', '2', '3', '4', '5'].into_iter().zip(self.classes)
    }
}

/// Counters of the filters of a listener.
#[derive(Debug, Default)]
pub struct FilterCounters {
    /// `fault.delays_injected`.
    pub delays_injected: u64,
    /// `fault.aborts_injected`.
    pub aborts_injected: u64,
    /// `http_local_rate_limit.enabled`.
    pub limit_enabled: u64,
    /// `http_local_rate_limit.ok`.
    pub limit_ok: u64,
    /// `http_local_rate_limit.rate_limited`.
    pub limited: u64,
    /// `http_local_rate_limit.enforced`.
    pub limit_enforced: u64,
    /// `cors.origin_valid`.
    pub origin_valid: u64,
    /// `cors.origin_invalid`.
    pub origin_invalid: u64,
    /// `rbac.allowed`.
    pub rbac_allowed: u64,
    /// `rbac.denied`.
    pub rbac_denied: u64,
    /// `rbac.shadow_allowed`.
    pub rbac_shadow_allowed: u64,
    /// `rbac.shadow_denied`.
    pub rbac_shadow_denied: u64,
    /// `jwt_authn.allowed`.
    pub jwt_allowed: u64,
    /// `jwt_authn.denied`.
    pub jwt_denied: u64,
    /// `ext_authz.*`.
    pub authz: AskCounters,
    /// `python_filter.*`.
    pub python: AskCounters,
}

/// What came of asking about requests.
#[derive(Debug, Default)]
pub struct AskCounters {
    /// They may go on.
    pub ok: u64,
    /// They may not.
    pub denied: u64,
    /// Nothing was learned.
    pub error: u64,
    /// Of them, those that went on nevertheless.
    pub failure_allowed: u64,
    /// Nobody was asked.
    pub disabled: u64,
}

impl FilterCounters {
    /// Return each by its name after `envoy_http_`.
    pub fn named(&self) -> [(&'static str, u64); 23] {
        [
            ("fault_delays_injected", self.delays_injected),
            ("fault_aborts_injected", self.aborts_injected),
            ("local_rate_limit_enabled", self.limit_enabled),
            ("local_rate_limit_ok", self.limit_ok),
            ("local_rate_limit_rate_limited", self.limited),
            ("local_rate_limit_enforced", self.limit_enforced),
            ("cors_origin_valid", self.origin_valid),
            ("cors_origin_invalid", self.origin_invalid),
            ("rbac_allowed", self.rbac_allowed),
            ("rbac_denied", self.rbac_denied),
            ("rbac_shadow_allowed", self.rbac_shadow_allowed),
            ("rbac_shadow_denied", self.rbac_shadow_denied),
            ("jwt_authn_allowed", self.jwt_allowed),
            ("jwt_authn_denied", self.jwt_denied),
            ("ext_authz_ok", self.authz.ok),
            ("ext_authz_denied", self.authz.denied),
            ("ext_authz_error", self.authz.error),
            ("ext_authz_failure_mode_allowed", self.authz.failure_allowed),
            ("ext_authz_disabled", self.authz.disabled),
            ("python_filter_ok", self.python.ok),
            ("python_filter_denied", self.python.denied),
            ("python_filter_error", self.python.error),
            ("python_filter_failure_mode_allowed", self.python.failure_allowed),
        ]
    }
}

/// Counters of a listener.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// `downstream_cx_total`.
    pub cx_total: u64,
    /// `downstream_cx_active`.
    pub cx_active: u64,
    /// `downstream_rq_total`.
    pub rq_total: u64,
    /// `downstream_rq_active`.
    pub rq_active: u64,
    /// `downstream_rq_xx`.
    pub responses: Responses,
    /// `downstream_cx_protocol_error`.
    pub protocol_error: u64,
    /// Of them, clients that began with a TLS handshake.
    pub tls_refused: u64,
    /// `ssl.handshake`.
    pub tls_handshake: u64,
    /// `ssl.connection_error`.
    pub tls_error: u64,
    /// `downstream_rq_time`, milliseconds.
    pub time: Histogram,
    /// Of its filters.
    pub filters: FilterCounters,
}

/// Counters of a route.
#[derive(Debug, Default)]
pub struct RouteCounters {
    /// Virtual host.
    pub host: String,
    /// Name.
    pub name: String,
    /// Requests begun.
    pub rq_total: u64,
    /// Responses by class.
    pub responses: Responses,
    /// Durations.
    pub time: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative() {
        let mut histogram = Histogram::default();
        for (seconds, count) in [(0.0001, 1), (0.003, 2), (9_999.0, 1)] {
            histogram.record_many(seconds, count);
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).take(3).collect();
        assert_eq!((counts, histogram.count()), (vec![1, 1, 3], 4));
        assert!((histogram.sum_ms() - 9_999_006.1).abs() < 0.001);
    }

    #[test]
    fn responses_are_counted_by_class() {
        let mut responses = Responses::default();
        for status in [200, 204, 503, 0, 999] {
            responses.record(status);
        }
        assert_eq!(responses.classes().map(|(_, count)| count).collect::<Vec<_>>(), [0, 2, 0, 0, 1]);
    }
}
