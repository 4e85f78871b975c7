//! What is kept of a request so that it can be sent again, and when it is.

use crate::head::Head;
use crate::limits::MAX_REPLAY_BYTES;
use crate::routes::Retries;
use crate::timers::NEVER;

/// What only a request of a route with a retry policy has.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not states
pub struct Retry {
    /// Tries that are left.
    pub left: u32,
    /// Retries so far.
    pub made: u32,
    /// It counts among the retries of its cluster.
    pub counted: bool,
    /// There was none left when another one was wanted (Envoy's flag URX).
    pub exhausted: bool,
    /// Endpoints that had it, when they are to be passed over.
    pub tried: Vec<usize>,
    avoids_tried: bool,
    /// Body bytes already sent.
    pub replay: Vec<u8>,
    /// Trailers already sent.
    pub trailers: Option<Box<Head>>,
    /// More was sent than is kept.
    pub spoiled: bool,
    per_try_timeout_s: f64,
    /// When it is sent again.
    pub due: f64,
    /// When the try under way is given up.
    pub try_by: f64,
}

impl Retry {
    /// Return the state of a request that begins.
    pub fn new(policy: &Retries) -> Self {
        Self {
            left: policy.most(),
            made: 0,
            counted: false,
            exhausted: false,
            tried: Vec::new(),
            avoids_tried: policy.avoids_tried(),
            replay: Vec::new(),
            trailers: None,
            spoiled: false,
            per_try_timeout_s: policy.per_try_timeout_s(),
            due: NEVER,
            try_by: NEVER,
        }
    }

    /// Return whether it was sent again.
    pub fn was_made(&self) -> bool {
        self.made > 0
    }

    /// Keep body bytes that are being sent.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.spoiled |= self.replay.len() + bytes.len() > MAX_REPLAY_BYTES;
        if self.spoiled {
            self.replay = Vec::new();
        } else {
            self.replay.extend_from_slice(bytes);
        }
    }

    /// Keep trailers that are being sent.
    pub fn keep_trailers(&mut self, trailers: &Head) {
        self.trailers = Some(Box::new(trailers.clone()));
    }

    /// It goes to an endpoint.
    pub fn goes_to(&mut self, endpoint: usize) {
        if self.avoids_tried && !self.tried.contains(&endpoint) {
            self.tried.push(endpoint);
        }
    }

    /// The whole request has been sent: the time of this try runs.
    pub fn start_clock(&mut self, now: f64) {
        if self.per_try_timeout_s > 0.0 {
            self.try_by = now + self.per_try_timeout_s;
        }
    }
}
