//! HPACK, the header compression of HTTP/2 (RFC 7541): one [`Decoder`] and one [`Encoder`] per connection.
//!
//! Both speak in names and values and know nothing of frames, pseudo-headers or requests: that is `http2`'s part.
//! Any error is fatal to the connection (`COMPRESSION_ERROR`), because the two tables no longer agree.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod static_table;
mod table;

pub use decoder::{Decoder, Field, Known};
pub use encoder::Encoder;

use std::fmt;

/// Bytes of dynamic table each side of a connection may use.
///
/// The protocol's default, which every peer speaks without negotiation. Doubling it buys little once the dozen fields
/// that repeat on a connection are in it, and it is memory any peer can make us spend: 2 × 4 KiB a connection.
pub const MAX_TABLE_BYTES: usize = 4096;

/// What an entry costs beside its name and value (RFC 7541 §4.1).
pub const ENTRY_OVERHEAD: usize = 32;

/// Why a header block cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside an integer or a string.
    Truncated,
    /// An integer does not fit 32 bits or is spelt with more bytes than that needs.
    IntegerOverflow,
    /// An index points at no entry of either table.
    UnknownIndex,
    /// A Huffman string holds the end-of-string symbol or ends in something other than fewer than eight one bits.
    BadHuffman,
    /// A table size update stands after a field, or exceeds what we allow.
    BadSizeUpdate,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "header block ends inside a field",
            Self::IntegerOverflow => "header block holds an integer of more than 32 bits",
            Self::UnknownIndex => "header block refers to an entry that is not in the table",
            Self::BadHuffman => "header block holds an invalid Huffman string",
            Self::BadSizeUpdate => "header block holds a misplaced or excessive table size update",
        })
    }
}

#[cfg(test)]
mod tests;
