//! What ends a connection or a stream, and the words that say why.

use super::frame::ErrorCode;
use crate::hpack::HpackError;

/// The peer broke the protocol, or a limit: GOAWAY with `code` and `reason`, then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    pub code: ErrorCode,
    pub reason: &'static str,
}

impl ConnectionError {
    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self { code: ErrorCode::PROTOCOL_ERROR, reason }
    }

    pub(super) const fn flow_control(reason: &'static str) -> Self {
        Self { code: ErrorCode::FLOW_CONTROL_ERROR, reason }
    }

    pub(super) const fn frame_size(reason: &'static str) -> Self {
        Self { code: ErrorCode::FRAME_SIZE_ERROR, reason }
    }

    pub(super) const fn flood(reason: &'static str) -> Self {
        Self { code: ErrorCode::ENHANCE_YOUR_CALM, reason }
    }
}

impl From<HpackError> for ConnectionError {
    fn from(error: HpackError) -> Self {
        let reason = match error {
            HpackError::Truncated => "header block ends inside a field",
            HpackError::IntegerOverflow => "header block holds an integer of more than 32 bits",
            HpackError::UnknownIndex => "header block refers to an entry that is not in the table",
            HpackError::BadHuffman => "header block holds an invalid Huffman string",
            HpackError::BadSizeUpdate => "header block holds a misplaced or excessive table size update",
        };
        Self { code: ErrorCode::COMPRESSION_ERROR, reason }
    }
}
