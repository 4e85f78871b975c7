//! A routed request goes through the steps of its chain, one by one, until one refuses it or asks elsewhere.

use crate::access::{step_at, Request, Rules, Step};
use crate::engine::answer::Refusal;
use crate::engine::exchange::{Flag, Origin};
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::routes::{Found, Tables};
use crate::slab::Id;

impl Engine {
    /// Put a request through the steps of its listener and its route; return whether it may go on.
    ///
    /// What this process itself asks for is let through: rules are about callers.
    pub(super) fn admitted(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        let listener = self.listener_filters(id);
        let listener = listener.as_deref().map(|filters| &filters.access);
        let route = tables.resolve(found).and_then(|(_, route)| route.filters.as_ref()).map(|filters| &filters.access);
        if self.exchanges.get(id).is_none_or(|exchange| exchange.origin == Origin::Own) {
            return true;
        }
        let mut at = 0;
        while let Some(step) = step_at(listener, route, at) {
            let through = match step {
                Step::Off => true,
                Step::Rbac(rules, shadow) => self.obeyed(id, rules.as_ref(), shadow.as_ref(), now),
            };
            if !through {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Ask rules about a request, count what they say, and refuse it when those that are enforced say so.
    fn obeyed(&mut self, id: Id, rules: Option<&Rules>, shadow: Option<&Rules>, now: f64) -> bool {
        let asked = |rules: Option<&Rules>| Some(rules?.allow(&self.request(id)?));
        let (enforced, shadowed) = (asked(rules), asked(shadow));
        if let Some(counters) = self.filter_counters(id) {
            counters.rbac_allowed += u64::from(enforced == Some(true));
            counters.rbac_denied += u64::from(enforced == Some(false));
            counters.rbac_shadow_allowed += u64::from(shadowed == Some(true));
            counters.rbac_shadow_denied += u64::from(shadowed == Some(false));
        }
        if enforced != Some(false) {
            return true;
        }
        self.refuse(id, &Refusal::new(403, Flag::None, ReplyKind::Forbidden, b"RBAC: access denied"), now);
        false
    }

    /// Return a request of a caller as rules see it.
    fn request(&self, id: Id) -> Option<Request<'_>> {
        let exchange = self.exchanges.get(id)?;
        let Origin::Stream { conn, listener, .. } = exchange.origin else { return None };
        let (conn, listener) = (self.connections.get(conn)?, self.listeners.get(listener)?);
        Some(Request {
            head: &exchange.head,
            peer: &conn.peer,
            tls: conn.tls.as_ref(),
            destination: listener.destination,
            direct: listener.config.use_remote_address,
            noted: &[],
        })
    }
}
