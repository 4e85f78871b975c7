//! What only exchanges of this process have: what was asked for, what for, and the answer as far as it has come.

use crate::head::Head;
use crate::slab::Id;

/// The answer to a `send`.
#[derive(Debug, Default)]
pub struct OwnAnswer {
    /// HTTP status.
    pub status: u16,
    /// Head of the response.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// Empty, or what went wrong.
    pub error: &'static str,
}

impl OwnAnswer {
    /// Set what went wrong, unless that is known more precisely.
    pub fn fail(&mut self, code: &'static str) {
        if self.error.is_empty() {
            self.error = code;
        }
    }
}

/// What a `send` asked for besides the request.
#[derive(Debug, Default)]
pub struct OwnTerms {
    /// Longest time; 0: the route's.
    pub timeout_s: f64,
    /// Wait for capacity.
    pub hold: bool,
    /// Longest response body.
    pub max_response_bytes: usize,
}

/// What only a `send` has: its terms, and its answer as far as it has come.
#[derive(Debug, Default)]
pub struct Own {
    /// What was asked for.
    pub terms: OwnTerms,
    /// What the answer is for, when the engine itself has asked.
    pub errand: Option<Errand>,
    /// Its bytes come and go piece by piece (`Engine::open_stream`).
    pub is_stream: bool,
    /// It is a copy of another request: nobody waits for its answer.
    pub is_copy: bool,
    /// What has come.
    pub answer: OwnAnswer,
}

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// The key set with this number.
    Keys(usize),
    /// Whether the request with this number may go on.
    Verdict(Id),
}

/// What binds a check to its endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Pinned {
    /// Its number in the cluster.
    pub endpoint: usize,
    /// A connection is all that is wanted, one of its own.
    pub connects_only: bool,
}

/// What there is to tell of a stream.
#[derive(Debug)]
pub enum Told {
    /// The answer begins.
    Head(Box<Head>),
    /// It goes on.
    Bytes(Vec<u8>),
    /// What this process sends may go on.
    Room,
    /// A request has come whole.
    End,
    /// Nobody waits for the answer any more.
    Gone,
}
