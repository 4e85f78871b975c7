//! Retries by policy: when a request is sent again, and what that counts as.
//!
//! Beside the policy of a route there is what is always safe: a connection that could not be made is tried once more
//! elsewhere (`dispatch`), and a request that met a stale connection once more (`upstream`).

use std::sync::Arc;

use crate::engine::exchange::Flag;
use crate::engine::refusal::Refusal;
use crate::engine::Engine;
use crate::events::{Cause, ReplyKind};
use crate::routes::{Action, Failure, Retries, Tables};
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    /// Send an exchange once more if its policy does not take the response in the scratch head; return whether it is.
    pub(super) fn retry_response(&mut self, id: Id, end: bool, now: f64) -> bool {
        let Some(exchange) = self.exchanges.get_mut(id) else { return false };
        let tables = Arc::clone(exchange.tables(&self.tables));
        let found = exchange.found.and_then(|found| policy(&tables, found));
        let (Some(retry), Some(policy)) = (exchange.retry.as_mut(), found) else { return false };
        retry.try_by = NEVER;
        let (status, made, cluster) = (self.scratch.status, retry.made, exchange.cluster);
        if !policy.wants_response(&self.scratch) {
            if let Some(cluster) = cluster.filter(|_| made > 0).and_then(|at| self.clusters.get_mut(at)) {
                cluster.counters.rq_retry_success += 1;
            }
            return false;
        }
        let whole = end && exchange.request_done;
        if !self.may_retry(id) {
            return false;
        }
        if let Some(cluster) = cluster.and_then(|at| self.clusters.get_mut(at)) {
            cluster.counters.retry_responses.record(status);
        }
        self.leave_upstream(id, (!whole).then_some(Cause::Cancelled), now);
        self.retry_later(id, policy, status, now);
        true
    }

    /// Send an exchange that got no answer once more if its policy says so; return whether it is.
    pub(super) fn retry_failure(&mut self, id: Id, failure: Failure, cause: Cause, now: f64) -> bool {
        let Some(exchange) = self.exchanges.get(id).filter(|exchange| exchange.retry.is_some()) else { return false };
        let tables = Arc::clone(exchange.tables(&self.tables));
        let Some(policy) = exchange.found.and_then(|found| policy(&tables, found)) else { return false };
        if exchange.response_started || !policy.wants_failure(failure) || !self.may_retry(id) {
            return false;
        }
        self.leave_upstream(id, Some(cause), now);
        self.retry_later(id, policy, 0, now);
        true
    }

    /// Take one of the tries that are left, and a place among the retries of the cluster.
    fn may_retry(&mut self, id: Id) -> bool {
        self.retry_ended(id);
        let Some(exchange) = self.exchanges.get_mut(id) else { return false };
        let cluster = exchange.cluster.and_then(|at| self.clusters.get_mut(at));
        let (Some(retry), Some(cluster)) = (exchange.retry.as_mut(), cluster) else { return false };
        if retry.spoiled {
            return false;
        }
        if retry.left == 0 {
            retry.exhausted = true;
            cluster.counters.rq_retry_limit_exceeded += 1;
            return false;
        }
        retry.left -= 1;
        if !cluster.takes_retry() {
            exchange.flag = Flag::Overflow;
            cluster.counters.rq_retry_overflow += 1;
            return false;
        }
        (retry.counted, exchange.retried) = (true, true);
        cluster.retries += 1;
        cluster.counters.rq_retry += 1;
        true
    }

    /// The retry under way, if any, has come to its end.
    pub(super) fn retry_ended(&mut self, id: Id) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Some(retry) = exchange.retry.as_mut().filter(|retry| retry.counted) else { return };
        retry.counted = false;
        if let Some(cluster) = exchange.cluster.and_then(|at| self.clusters.get_mut(at)) {
            cluster.retries = cluster.retries.saturating_sub(1);
        }
    }

    /// Let an exchange that has left its endpoint, which answered `status` (0: nothing), wait for its next try.
    fn retry_later(&mut self, id: Id, policy: &Retries, status: u16, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.note_retry(now, status);
        let Some(retry) = exchange.retry.as_mut() else { return };
        retry.made += 1;
        retry.try_by = NEVER;
        retry.due = now + policy.back_off_s(retry.made, &mut self.random);
        let unsent = std::mem::replace(&mut exchange.held, std::mem::take(&mut retry.replay));
        exchange.held.extend_from_slice(&unsent);
        exchange.trailers = exchange.trailers.take().or_else(|| retry.trailers.take());
        exchange.up.queued = 0; // what waited in the window of the former connection waits no more
        self.watch(id);
    }

    /// A moment of a retry has come: the back-off is over, or the try under way has taken too long.
    pub(super) fn retry_due(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Some(retry) = exchange.retry.as_mut() else { return };
        if retry.due <= now {
            retry.due = NEVER;
            self.watch(id);
            return self.dispatch(id, now);
        }
        retry.try_by = NEVER;
        self.watch(id);
        let Some(exchange) = self.exchanges.get(id).filter(|exchange| !exchange.response_started) else { return };
        if let Some(cluster) = exchange.cluster.and_then(|at| self.clusters.get_mut(at)) {
            cluster.counters.rq_per_try_timeout += 1;
        }
        self.judge_silence(id, now);
        if !self.retry_failure(id, Failure::Reset, Cause::Timeout, now) {
            let refusal = Refusal::new(504, Flag::Timeout, ReplyKind::Timeout, b"upstream request timeout");
            self.refuse(id, &refusal, now);
        }
    }
}

fn policy(tables: &Tables, found: crate::routes::Found) -> Option<&Retries> {
    match &tables.resolve(found)?.1.action {
        Action::Forward(forward) => forward.retry.as_ref(),
        _ => None,
    }
}
