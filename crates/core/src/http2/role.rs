//! Which end of a connection is ours.

use super::limits;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We have dialled.
    Client,
    /// We have accepted.
    Server,
}

impl Role {
    /// Return how many bytes the peer may have in flight, all streams together.
    pub(super) const fn connection_window(self) -> u32 {
        match self {
            Role::Client => limits::UPSTREAM_CONNECTION_WINDOW,
            Role::Server => limits::CONNECTION_WINDOW,
        }
    }
}
