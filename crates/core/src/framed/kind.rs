//! The part that a frame plays in a conversation.

use serde::Deserialize;

/// What a frame is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Wants an answer.
    Request,
    /// Wants none, not even an error.
    Oneway,
    /// Answers a request.
    Response,
    /// Answers a request with an error of the service: counted as a failure.
    Failure,
    /// Wants a sign of life.
    Heartbeat,
    /// Is one.
    HeartbeatReply,
    /// The sender takes no more requests on this connection.
    GoAway,
    /// Nothing to anybody but its sender.
    #[default]
    Ignored,
}

impl Kind {
    /// Return the name that declarations use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Oneway => "oneway",
            Self::Response => "response",
            Self::Failure => "failure",
            Self::Heartbeat => "heartbeat",
            Self::HeartbeatReply => "heartbeat_reply",
            Self::GoAway => "go_away",
            Self::Ignored => "ignored",
        }
    }
}
