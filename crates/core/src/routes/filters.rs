//! What happens to a request before its route is followed: limits and faults, compiled.

use crate::access::Chain;
use crate::ascii;
use crate::conditions::{condition, Condition};
use crate::config::{self, check_seconds, Fault, Filters as Config, HeaderMatch, RateLimit};
use crate::names::Names;
use crate::random::Random;

/// A million: the whole of a share.
const MILLION: u32 = 1_000_000;

/// Longest delay: beyond it callers have given up, and what waits takes memory.
pub const MAX_DELAY_S: f64 = 3_600.0;

/// Compiled filters of a listener or a route.
#[derive(Debug, Default)]
pub struct Filters {
    /// Failures made on purpose.
    pub fault: Option<Fault>,
    /// A limit.
    pub limit: Option<Limit>,
    /// Requests from other origins.
    pub cors: Option<Cors>,
    /// Who may do what.
    pub access: Chain,
}

/// A limit and the number of its bucket in the engine.
#[derive(Debug)]
pub struct Limit {
    /// As configured.
    pub terms: RateLimit,
    /// Number of the bucket.
    pub bucket: usize,
}

impl Filters {
    /// Compile `config`; `key` names its bucket across configurations, `field` the filters in errors.
    pub fn compile(config: &Config, key: &str, field: &str, names: &mut impl Names) -> Result<Self, String> {
        if let Some(fault) = &config.fault {
            check_seconds(fault.delay_s).map_err(|what| format!("{field}.fault.delay_s: {what}"))?;
            if fault.delay_s > MAX_DELAY_S {
                let delay = fault.delay_s;
                return Err(format!("{field}.fault.delay_s: {delay} is more than the limit of {MAX_DELAY_S}"));
            }
            check_status(fault.abort_status).map_err(|what| format!("{field}.fault.abort_status: {what}"))?;
        }
        if let Some(limit) = &config.rate_limit {
            if limit.max_tokens == 0 || limit.tokens_per_fill == 0 {
                return Err(format!("{field}.rate_limit: max_tokens and tokens_per_fill must be at least 1"));
            }
            let seconds = limit.fill_interval_s;
            if !(seconds.is_finite() && seconds > 0.0) {
                return Err(format!("{field}.rate_limit.fill_interval_s: {seconds} is not a duration above 0"));
            }
            check_status(limit.status).map_err(|what| format!("{field}.rate_limit.status: {what}"))?;
        }
        let limit = config.rate_limit.clone().map(|terms| Limit { terms, bucket: names.bucket(key) });
        let cors = config.cors.as_ref().map(|cors| Cors::compile(cors, &format!("{field}.cors"))).transpose()?;
        let access = Chain::compile(&config.access, &format!("{field}.access"), names)?;
        Ok(Self { fault: config.fault.clone(), limit, cors, access })
    }
}

/// A compiled policy for requests from other origins.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<Condition>,
    /// `Access-Control-Allow-Methods`.
    pub methods: Box<[u8]>,
    /// `Access-Control-Allow-Headers`.
    pub headers: Box<[u8]>,
    /// `Access-Control-Expose-Headers`.
    pub expose: Box<[u8]>,
    /// `Access-Control-Max-Age`.
    pub max_age: Box<[u8]>,
    /// `Access-Control-Allow-Credentials`.
    pub credentials: bool,
}

impl Cors {
    fn compile(config: &config::Cors, field: &str) -> Result<Self, String> {
        let origin = |origin: &config::TextMatch| {
            let (kind, value) = (origin.kind, origin.value.clone());
            condition(
                &HeaderMatch { name: "origin".to_owned(), kind, value, invert: false, ignore_case: origin.ignore_case },
                &format!("{field}.origins"),
            )
        };
        let text = |name: &str, text: &String| -> Result<Box<[u8]>, String> {
            if ascii::is_field_value(text.as_bytes()) {
                Ok(text.as_bytes().into())
            } else {
                Err(format!("{field}.{name}: {text:?} has control characters"))
            }
        };
        Ok(Self {
            origins: config.origins.iter().map(origin).collect::<Result<_, String>>()?,
            methods: text("methods", &config.methods)?,
            headers: text("headers", &config.headers)?,
            expose: text("expose", &config.expose)?,
            max_age: text("max_age", &config.max_age)?,
            credentials: config.credentials,
        })
    }

    /// Return whether pages of `origin` may read what comes.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|condition| condition.compare(b"*") || condition.compare(origin))
    }
}

fn check_status(status: u16) -> Result<(), String> {
    if (200..600).contains(&status) {
        Ok(())
    } else {
        Err(format!("{status} is not the status of a final response"))
    }
}

/// Draw whether a request belongs to a share of so many millionths.
pub fn drawn(millionths: u32, random: &mut Random) -> bool {
    millionths >= MILLION || (millionths > 0 && random.below(MILLION as usize) < millionths as usize)
}

/// Where several engines keep the state of their buckets in common, one word for each.
pub trait Ledger: Send + Sync {
    /// Replace the word of `key` (0 when it is new) by what `change` makes of it, with nobody in between; `None` leaves it.
    /// Return whether it was replaced; `None`: there is no room for another key.
    fn update(&self, key: u64, change: &dyn Fn(u64) -> Option<u64>) -> Option<bool>;
}

/// Return the key of a bucket in a ledger, alike in every process (FNV-1a, never 0).
pub fn ledger_key(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.max(1)
}

/// The state of a token bucket: when it will be full again (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    full_at: f64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { full_at: f64::NEG_INFINITY }
    }
}

impl Bucket {
    /// Take a token at `now`; return whether there was one.
    pub fn take(&mut self, terms: &RateLimit, now: f64) -> bool {
        let each = terms.fill_interval_s / f64::from(terms.tokens_per_fill);
        let full_at = self.full_at.max(now) + each;
        // A hair of slack: sums of intervals must not lose a token to rounding.
        if full_at - now > each * (f64::from(terms.max_tokens) + 1e-6) {
            return false;
        }
        self.full_at = full_at;
        true
    }

    /// Take a token out of the bucket that all engines of `ledger` have in common; out of our own while that has no room.
    pub fn take_shared(&mut self, ledger: &dyn Ledger, key: u64, terms: &RateLimit, now: f64) -> bool {
        let shared = ledger.update(key, &|word| {
            let mut bucket = Self { full_at: f64::from_bits(word) };
            bucket.take(terms, now).then(|| bucket.full_at.to_bits())
        });
        shared.unwrap_or_else(|| self.take(terms, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(max_tokens: u32, tokens_per_fill: u32, fill_interval_s: f64) -> RateLimit {
        RateLimit {
            max_tokens,
            tokens_per_fill,
            fill_interval_s,
            enabled_millionths: MILLION,
            enforced_millionths: MILLION,
            status: 429,
            resource_exhausted: false,
        }
    }

    fn taken(bucket: &mut Bucket, terms: &RateLimit, now: f64, tries: usize) -> usize {
        (0..tries).filter(|_| bucket.take(terms, now)).count()
    }

    #[test]
    fn a_bucket_gives_its_tokens_at_once_and_then_as_they_come() {
        let (mut bucket, terms) = (Bucket::default(), terms(5, 10, 1.0));
        assert_eq!(taken(&mut bucket, &terms, 100.0, 20), 5);
        assert_eq!(taken(&mut bucket, &terms, 100.25, 20), 2);
        assert_eq!(taken(&mut bucket, &terms, 100.35, 20), 1);
        assert_eq!(taken(&mut bucket, &terms, 200.0, 20), 5);
    }

    #[test]
    fn over_a_long_time_the_rate_is_the_configured_one() {
        let (mut bucket, terms) = (Bucket::default(), terms(3, 7, 2.0));
        let given = (0..100_000).filter(|step| bucket.take(&terms, 1_000.0 + f64::from(*step) * 0.001)).count();
        assert_eq!(given, 3 + 349);
    }

    /// A ledger with one word.
    struct Word(std::sync::Mutex<Option<(u64, u64)>>);

    impl Ledger for Word {
        fn update(&self, key: u64, change: &dyn Fn(u64) -> Option<u64>) -> Option<bool> {
            let mut entry = self.0.lock().unwrap();
            let (known, word) = entry.unwrap_or((key, 0));
            if known != key {
                return None;
            }
            let changed = change(word);
            *entry = Some((key, changed.unwrap_or(word)));
            Some(changed.is_some())
        }
    }

    #[test]
    fn engines_with_a_ledger_empty_one_bucket_and_without_room_in_it_each_its_own() {
        let (ledger, terms) = (Word(std::sync::Mutex::default()), terms(5, 10, 1.0));
        let mut engines = [Bucket::default(); 3];
        let mut take = |key, now, tries: usize| {
            (0..tries).filter(|turn| engines[turn % 3].take_shared(&ledger, key, &terms, now)).count()
        };
        assert_eq!(take(ledger_key("a"), 100.0, 30), 5);
        assert_eq!(take(ledger_key("a"), 100.2, 30), 2);
        assert_eq!(take(ledger_key("b"), 100.2, 30), 15);
    }

    #[test]
    fn shares_are_drawn() {
        let mut random = Random::new(2);
        let mut count = |millionths| (0..10_000).filter(|_| drawn(millionths, &mut random)).count();
        assert_eq!((count(0), count(MILLION)), (0, 10_000));
        assert!(count(250_000).abs_diff(2_500) < 150);
    }
}
