//! Copies of requests for other clusters (Envoy's `request_mirror_policies`): sent and forgotten.
//!
//! A copy is gathered while the request passes and sent once the request is whole, so that it can hold nothing up. It waits
//! for nobody: a cluster without room or endpoint does not get it. Its answer is thrown away.

use crate::engine::exchange::{Origin, Own, OwnTerms, RequestCopy};
use crate::engine::Engine;
use crate::routes::Mirror;
use crate::slab::Id;

impl Engine {
    /// Send a copy at once if its request is whole, else let the request gather it. A request that was refused is not copied.
    pub(super) fn copy_request(&mut self, id: Id, copy: Box<RequestCopy>, now: f64) {
        match self.exchanges.get_mut(id) {
            Some(exchange) if !exchange.request_done => {
                self.mirrored_bytes += copy.body.len();
                exchange.mirror = Some(copy);
            }
            Some(_) => self.send_copies(&copy, now),
            None if copy.head.frame.oneway => self.send_copies(&copy, now),
            None => {}
        }
    }

    /// The request is whole: send what was gathered of it.
    pub(super) fn request_copied(&mut self, id: Id, now: f64) {
        let copy = self.exchanges.get_mut(id).and_then(|exchange| exchange.mirror.take());
        if let Some(copy) = copy {
            self.mirrored_bytes -= copy.body.len();
            self.send_copies(&copy, now);
        }
    }

    /// A request ends before it was whole: forget what was gathered of it.
    pub(super) fn drop_copy(&mut self, id: Id) {
        let copy = self.exchanges.get_mut(id).and_then(|exchange| exchange.mirror.take());
        self.mirrored_bytes -= copy.map_or(0, |copy| copy.body.len());
    }

    fn send_copies(&mut self, copy: &RequestCopy, now: f64) {
        for target in &copy.targets {
            let Some(number) = target.cluster else { continue };
            if let Some(cluster) = self.clusters.get_mut(number) {
                cluster.counters.mirror_overflow += u64::from(copy.spoiled);
            }
            if !copy.spoiled {
                self.send_copy(copy, target, number, now);
            }
        }
    }

    fn send_copy(&mut self, copy: &RequestCopy, target: &Mirror, number: usize, now: f64) {
        let id = self.exchanges.take();
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        (*exchange.head).clone_from(&copy.head);
        if !exchange.head.version.is_framed() {
            let host = target.host(exchange.head.authority());
            exchange.head.set_authority(&host);
        }
        exchange.held.extend_from_slice(&copy.body);
        exchange.trailers.clone_from(&copy.trailers);
        exchange.bytes_in = copy.body.len() as u64;
        exchange.origin = Origin::Own;
        let terms = OwnTerms { hold: false, ..OwnTerms::default() };
        exchange.own = Some(Box::new(Own { terms, is_copy: true, ..Own::default() }));
        exchange.begin(true, now);
        exchange.timeout_s = copy.timeout_s;
        exchange.cluster = Some(number);
        exchange.counted = true;
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.load.begin(false, now);
            cluster.counters.rq_total += 1;
        }
        self.start_clock(id, now);
        self.dispatch(id, now);
    }
}
