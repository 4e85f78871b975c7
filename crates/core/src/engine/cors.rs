//! Cross-origin requests of browsers (Fetch standard, "HTTP extensions"; Envoy: `filters/http/cors`).

use crate::engine::exchange::{Exchange, Flag};
use crate::engine::refusal::Refusal;
use crate::engine::Engine;
use crate::events::ReplyKind;
use crate::head::Head;
use crate::routes::{Cors, Found, Tables};
use crate::slab::Id;

impl Engine {
    /// Answer a preflight request that the route's policy is for; return whether the request may go on.
    pub(super) fn no_preflight(&mut self, id: Id, found: Found, tables: &Tables, now: f64) -> bool {
        let route = tables.resolve(found).map(|(_, route)| route);
        let Some(cors) = route.and_then(|route| route.filters.as_ref()?.cors.as_ref()) else { return true };
        let Some(exchange) = self.exchanges.get(id) else { return false };
        let Some(origin) = exchange.head.get(b"origin").filter(|origin| !origin.is_empty()) else { return true };
        let (origin, allowed) = (origin.to_vec(), cors.allows(origin));
        let asks = exchange.head.get(b"access-control-request-method").is_some_and(|method| !method.is_empty());
        let preflight = exchange.head.method() == b"OPTIONS" && asks;
        if let Some(counters) = self.filter_counters(id) {
            counters.origin_valid += u64::from(allowed);
            counters.origin_invalid += u64::from(!allowed);
        }
        if !allowed || !preflight {
            return true;
        }
        let all: [(&[u8], &[u8]); 6] = [
            (b"access-control-allow-origin", &origin),
            (b"access-control-allow-credentials", if cors.credentials { b"true" } else { b"" }),
            (b"access-control-allow-methods", &cors.methods),
            (b"access-control-allow-headers", &cors.headers),
            (b"access-control-max-age", &cors.max_age),
            (b"access-control-expose-headers", &cors.expose),
        ];
        let fields: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let refusal = Refusal::new(200, Flag::None, ReplyKind::Configured, b"");
        self.refuse(id, &Refusal { fields: &fields, ..refusal }, now);
        false
    }
}

impl Exchange {
    /// Return the policy and the origin of a cross-origin request whose origin is allowed.
    pub(super) fn cross_origin<'a>(&'a self, current: &'a Tables) -> Option<(&'a Cors, &'a [u8])> {
        let (_, route) = self.route(current)?;
        let cors = route.filters.as_ref()?.cors.as_ref()?;
        let origin = self.head.get(b"origin").filter(|origin| !origin.is_empty() && cors.allows(origin))?;
        Some((cors, origin))
    }
}

/// Say in the head of a response which origin may read it.
pub(super) fn admit_origin(cors: &Cors, origin: &[u8], head: &mut Head) {
    head.set(b"access-control-allow-origin", origin);
    if cors.credentials {
        head.set(b"access-control-allow-credentials", b"true");
    }
    if !cors.expose.is_empty() {
        head.set(b"access-control-expose-headers", &cors.expose);
    }
}
