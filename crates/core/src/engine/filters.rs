//! Preflights, access, limits and faults, before a route is followed.

use std::sync::Arc;

use crate::engine::exchange::{Flag, Origin, Stage};
use crate::engine::refusal::Refusal;
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::routes::{drawn, Filters, Found, Tables};
use crate::slab::Id;

impl Engine {
    /// Put a routed request through its filters: those of its route, else those of its listener. Return whether it may go on.
    pub(super) fn filtered(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        self.no_preflight(id, found, tables, now)
            && self.admitted(id, found, tables, now)
            && self.unhindered(id, found, tables, now)
    }

    /// Put a request that may go on through limit and fault; return whether it may go on at once.
    pub(super) fn unhindered(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        self.within_limit(id, found, tables, now) && !self.delayed(id, found, tables, now) && self.spared(id, now)
    }

    /// The delay of a request is over.
    pub(super) fn delay_over(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.stage = Stage::Begun;
        let Some(found) = exchange.found else { return };
        let tables = Arc::clone(exchange.tables(&self.tables));
        if self.spared(id, now) {
            self.follow(id, found, &tables, now);
        }
    }

    fn within_limit(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        let listener = self.listener_filters(id);
        let route = tables.resolve(found).and_then(|(_, route)| route.filters.as_ref());
        let limit = route.and_then(|filters| filters.limit.as_ref());
        let Some(limit) = limit.or(listener.as_ref().and_then(|filters| filters.limit.as_ref())) else { return true };
        if !drawn(limit.terms.enabled_millionths, &mut self.random) {
            return true;
        }
        let taken = match (self.buckets.get_mut(limit.bucket), &self.ledger) {
            (None, _) => true,
            (Some((_, bucket)), None) => bucket.take(&limit.terms, now),
            (Some((key, bucket)), Some(ledger)) => bucket.take_shared(&**ledger, *key, &limit.terms, now),
        };
        let refused = !taken && drawn(limit.terms.enforced_millionths, &mut self.random);
        if let Some(counters) = self.filter_counters(id) {
            counters.limit_enabled += 1;
            counters.limit_ok += u64::from(taken);
            counters.limited += u64::from(!taken);
            counters.limit_enforced += u64::from(refused);
        }
        if refused {
            let kind = if limit.terms.resource_exhausted { ReplyKind::Exhausted } else { ReplyKind::Overload };
            self.refuse(id, &Refusal::new(limit.terms.status, Flag::RateLimited, kind, b"local_rate_limited"), now);
        }
        !refused
    }

    fn delayed(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        let listener = self.listener_filters(id);
        let route = tables.resolve(found).and_then(|(_, route)| route.filters.as_ref());
        let fault = route.and_then(|filters| filters.fault.as_ref());
        let Some(fault) = fault.or(listener.as_ref().and_then(|filters| filters.fault.as_ref())) else { return false };
        if fault.delay_s <= 0.0 || !drawn(fault.delay_millionths, &mut self.random) {
            return false;
        }
        let delay_s = fault.delay_s;
        if let Some(counters) = self.filter_counters(id) {
            counters.delays_injected += 1;
        }
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.flag = Flag::DelayInjected;
            exchange.stage = Stage::Delayed;
            exchange.wait_until = now + delay_s;
        }
        self.watch(id);
        true
    }

    /// Draw whether the request is answered with a failure; return whether it is not.
    fn spared(&mut self, id: Id, now: f64) -> bool {
        let listener = self.listener_filters(id);
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let fault = exchange.route(&self.tables).and_then(|(_, route)| route.filters.as_ref()?.fault.as_ref());
        let Some(fault) = fault.or(listener.as_ref().and_then(|filters| filters.fault.as_ref())) else { return true };
        let status = fault.abort_status;
        if !drawn(fault.abort_millionths, &mut self.random) {
            return true;
        }
        if let Some(counters) = self.filter_counters(id) {
            counters.aborts_injected += 1;
        }
        let refusal = Refusal::new(status, Flag::FaultInjected, ReplyKind::Configured, b"fault filter abort");
        self.refuse(id, &refusal, now);
        false
    }

    pub(super) fn listener_filters(&self, id: Id) -> Option<Arc<Filters>> {
        match self.exchanges.get(id)?.origin {
            Origin::Stream { listener, .. } => self.listeners.get(listener)?.filters.clone(),
            Origin::Own => None,
        }
    }

    pub(super) fn filter_counters(&mut self, id: Id) -> Option<&mut crate::stats::FilterCounters> {
        match self.exchanges.get(id)?.origin {
            Origin::Stream { listener, .. } => Some(&mut self.listeners.get_mut(listener)?.counters.filters),
            Origin::Own => None,
        }
    }
}
