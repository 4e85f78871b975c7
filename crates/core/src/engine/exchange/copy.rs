//! What has come of a request that is copied for other clusters.

use std::sync::Arc;

use crate::engine::exchange::Exchange;
use crate::head::Head;
use crate::limits::{MAX_MIRRORED, MAX_MIRROR_BYTES};
use crate::random::Random;
use crate::routes::{drawn, Forward, Mirror};

/// A request on its way to be copied.
#[derive(Debug)]
pub struct RequestCopy {
    /// Its head.
    pub head: Head,
    /// What has come of its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<Box<Head>>,
    /// Where copies go.
    pub targets: Vec<Arc<Mirror>>,
    /// How long a copy may take.
    pub timeout_s: f64,
    /// There was no room for all of it.
    pub spoiled: bool,
}

impl RequestCopy {
    /// Begin to copy a routed request, for those targets that are drawn; `None`: for none.
    pub fn begin(exchange: &Exchange, forward: &Forward, random: &mut Random) -> Option<Box<Self>> {
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
        Some(Box::new(Self { head: *head, body, trailers: None, targets, timeout_s: exchange.timeout_s, spoiled }))
    }

    /// Keep body bytes; `kept` counts those of all copies.
    pub fn keep(&mut self, bytes: &[u8], kept: &mut usize) {
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
    pub fn keep_trailers(&mut self, trailers: &Head) {
        self.trailers = Some(Box::new(trailers.clone()));
    }
}
