//! Copies of requests for other clusters (Envoy's `request_mirror_policies`): sent and forgotten.
//!
//! A copy is gathered while the request passes and sent once the request is whole, so that it can hold nothing up. It waits
//! for nobody: a cluster without room or endpoint does not get it. Its answer is thrown away.

use std::sync::Arc;

use crate::engine::exchange::{Exchange, Origin, Own, OwnTerms};
use crate::engine::Engine;
use crate::head::Head;
use crate::limits::{MAX_MIRRORED, MAX_MIRROR_BYTES};
use crate::random::Random;
use crate::routes::{drawn, Forward, Mirror};
use crate::slab::Id;

/// A request on its way to be copied.
#[derive(Debug)]
pub struct RequestCopy {
    head: Head,
    body: Vec<u8>,
    trailers: Option<Box<Head>>,
    targets: Vec<Arc<Mirror>>,
    timeout_s: f64,
    /// There was no room for all of it.
    spoiled: bool,
}

impl RequestCopy {
    /// Begin to copy a routed request, for those targets that are drawn; `None`: for none.
    pub(super) fn begin(exchange: &Exchange, forward: &Forward, random: &mut Random) -> Option<Box<Self>> {
        let wanted = forward.mirrors.iter().filter(|mirror| drawn(mirror.millionths, random));
        let targets: Vec<_> = wanted.map(Arc::clone).collect();
        // A connection that turns into a tunnel is no request that could be sent twice.
        if targets.is_empty() || !exchange.head.upgrade().is_empty() {
            return None;
        }
        let mut head = exchange.head.clone();
        head.expects_continue = false;
        let spoiled = exchange.held.len() > MAX_MIRROR_BYTES;
        let body = if spoiled { Vec::new() } else { exchange.held.clone() };
        Some(Box::new(Self { head, body, trailers: None, targets, timeout_s: exchange.timeout_s, spoiled }))
    }

    /// Keep body bytes; `kept` counts those of all copies.
    pub(super) fn keep(&mut self, bytes: &[u8], kept: &mut usize) {
        if self.spoiled || self.body.len() + bytes.len() > MAX_MIRROR_BYTES || *kept + bytes.len() > MAX_MIRRORED {
            self.spoiled = true;
            *kept -= self.body.len();
            self.body = Vec::new();
        } else {
            *kept += bytes.len();
            self.body.extend_from_slice(bytes);
        }
    }

    /// Keep trailers.
    pub(super) fn keep_trailers(&mut self, trailers: &Head) {
        self.trailers = Some(Box::new(trailers.clone()));
    }
}

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
        exchange.head.clone_from(&copy.head);
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
