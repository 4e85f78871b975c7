//! Key sets that are fetched: when the first token needs them, and again when they have grown old.

use std::sync::Arc;

use crate::access::{Fetched, Keys};
use crate::config::RemoteKeys;
use crate::engine::errand::Question;
use crate::engine::exchange::{Errand, OwnAnswer};
use crate::engine::Engine;
use crate::head::{Head, Version};
use crate::limits::MAX_KEY_SET_BYTES;
use crate::slab::Id;

/// A key set at run time.
#[derive(Debug)]
pub struct KeySet {
    /// Where it is fetched.
    pub terms: RemoteKeys,
    keys: Option<Arc<Keys>>,
    /// When the keys have grown old.
    good_until: f64,
    /// Until then nobody asks again, after a failure.
    quiet_until: f64,
    fetching: bool,
    /// Requests that wait for it.
    waiting: Vec<Id>,
}

impl KeySet {
    /// Return a key set that has not been fetched yet.
    pub fn new(terms: RemoteKeys) -> Self {
        let never = f64::NEG_INFINITY;
        Self { terms, keys: None, good_until: never, quiet_until: never, fetching: false, waiting: Vec::new() }
    }

    /// Return what a token can be judged by now.
    fn fetched(&self, now: f64) -> Fetched {
        match &self.keys {
            Some(keys) if now < self.good_until || self.terms.background => Fetched::Ready(Arc::clone(keys)),
            _ if now < self.quiet_until => Fetched::Failed,
            _ => Fetched::Awaited,
        }
    }

    fn is_due(&self, now: f64) -> bool {
        !self.fetching && now >= self.good_until && now >= self.quiet_until
    }
}

impl Engine {
    /// Return what tokens can be judged by.
    pub(super) fn fetched(&self, set: usize, now: f64) -> Fetched {
        self.key_sets.get(set).map_or(Fetched::Failed, |set| set.fetched(now))
    }

    /// See to it that `id` is looked at again when the keys are there.
    pub(super) fn await_keys(&mut self, id: Id, set: usize, now: f64) {
        if let Some(set) = self.key_sets.get_mut(set) {
            set.waiting.push(id);
        }
        self.fetch_keys(set, now);
    }

    /// Fetch keys anew that requests are judged by while they are fetched.
    pub(super) fn renew_keys(&mut self, set: usize, now: f64) {
        if self.key_sets.get(set).is_some_and(|keys| keys.terms.background) {
            self.fetch_keys(set, now);
        }
    }

    /// Fetch keys that have grown old, or are not there yet.
    fn fetch_keys(&mut self, set: usize, now: f64) {
        let Some(keys) = self.key_sets.get_mut(set).filter(|keys| keys.is_due(now)) else { return };
        keys.fetching = true;
        let terms = keys.terms.clone();
        let mut head = Head::default();
        head.version = Version::Http11;
        head.set_method(b"GET");
        head.set_authority(terms.authority.as_bytes());
        head.set_path(terms.path.as_bytes());
        head.push(b"user-agent", b"eventmesh/jwks");
        let (timeout_s, max_answer_bytes) = (terms.timeout_s, MAX_KEY_SET_BYTES);
        let question = Question { cluster: &terms.cluster, head, body: Vec::new(), timeout_s, max_answer_bytes };
        self.ask_for(question, Errand::Keys(set), now);
    }

    /// The answer to a fetch is there. Keys that were good before stay until there are better ones.
    pub(super) fn keys_came(&mut self, set: usize, answer: &OwnAnswer, now: f64) {
        let Some(set) = self.key_sets.get_mut(set) else { return };
        set.fetching = false;
        let good = answer.error.is_empty() && answer.status == 200;
        if let Some(keys) = good.then(|| Keys::parse(&answer.body).ok()).flatten() {
            set.keys = Some(Arc::new(keys));
            set.good_until = now + set.terms.cache_s;
            self.keys_fetched += 1;
        } else {
            set.quiet_until = now + set.terms.retry_s;
            self.keys_failed += 1;
        }
        let waiting = std::mem::take(&mut set.waiting);
        self.go_on(waiting, now);
    }
}
