//! An answer that the mesh gives instead of an endpoint, and those that are given in several places.

use crate::engine::exchange::Flag;
use crate::events::ReplyKind;

/// An answer that the mesh gives instead of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// For the access log.
    pub flag: Flag,
    /// For protocols with finer errors.
    pub kind: ReplyKind,
    /// Short text.
    pub text: &'a [u8],
    /// Further fields.
    pub fields: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> Refusal<'a> {
    pub(super) fn new(status: u16, flag: Flag, kind: ReplyKind, text: &'a [u8]) -> Self {
        Self { status, flag, kind, text, fields: &[] }
    }
}

/// No endpoint is configured, or none is healthy.
pub(super) const NO_ENDPOINT: Refusal<'static> = Refusal {
    status: 503,
    flag: Flag::NoEndpoint,
    kind: ReplyKind::NoEndpoint,
    text: b"no healthy upstream",
    fields: &[],
};

/// A queue is full.
pub(super) const OVERFLOW: Refusal<'static> = Refusal {
    status: 503,
    flag: Flag::Overflow,
    kind: ReplyKind::Overload,
    text: b"pending request queue full",
    fields: &[(b"retry-after", b"1")],
};

/// Bolt for an HTTP cluster, or the other way round.
pub(super) const MISMATCH: Refusal<'static> = Refusal {
    status: 502,
    flag: Flag::UpstreamProtocol,
    kind: ReplyKind::NoRoute,
    text: b"this protocol cannot be sent to that cluster",
    fields: &[],
};

/// What a body longer than its handler takes is told.
pub const TOO_LARGE: Refusal<'static> = Refusal {
    status: 413,
    flag: Flag::Overflow,
    kind: ReplyKind::BadRequest,
    text: b"request body too large",
    fields: &[],
};
