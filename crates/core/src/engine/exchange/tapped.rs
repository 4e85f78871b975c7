//! What has been seen of an exchange that somebody looks at.

use crate::head::Head;

/// What has been seen of an exchange under way.
#[derive(Debug, Default)]
pub struct Tapped {
    /// The beginning of the request's body.
    pub request_body: Vec<u8>,
    /// The head of the response.
    pub response: Head,
    /// The beginning of its body.
    pub response_body: Vec<u8>,
    /// How much of each body is kept.
    pub body_bytes: usize,
}

impl Tapped {
    /// See bytes of the request.
    pub fn request(&mut self, bytes: &[u8]) {
        see(&mut self.request_body, bytes, self.body_bytes);
    }

    /// See the head of the response.
    pub fn response(&mut self, head: &Head) {
        self.response.clone_from(head);
    }

    /// See bytes of the response.
    pub fn response_bytes(&mut self, bytes: &[u8]) {
        see(&mut self.response_body, bytes, self.body_bytes);
    }
}

fn see(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len()).min(bytes.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
}
