//! The frame layer (RFC 9113 §4, §6): the nine-byte header both ways, and the small frames we write.

/// What a client says first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const HEADER_LEN: usize = 9;

pub(super) mod flag {
    pub(in crate::http2) const END_STREAM: u8 = 0x1;
    pub(in crate::http2) const ACK: u8 = 0x1;
    pub(in crate::http2) const END_HEADERS: u8 = 0x4;
    pub(in crate::http2) const PADDED: u8 = 0x8;
    pub(in crate::http2) const PRIORITY: u8 = 0x20;
}

/// Payload of the PING whose return tells that the client has heard the first GOAWAY.
pub(super) const DRAIN_PING: [u8; 8] = *b"draining";

/// Payload of the PING that asks a silent server whether it lives; any bytes are its answer.
pub(super) const ALIVE_PING: [u8; 8] = *b"alive???";

/// The frame types of RFC 9113 §6; any other is ignored (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

impl Kind {
    const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::RstStream => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation | Self::Unknown => 9,
        }
    }
}

/// Error codes (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    pub const NO_ERROR: Self = Self(0x0);
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    pub const INTERNAL_ERROR: Self = Self(0x2);
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    pub const STREAM_CLOSED: Self = Self(0x5);
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    pub const REFUSED_STREAM: Self = Self(0x7);
    pub const CANCEL: Self = Self(0x8);
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    pub const CONNECT_ERROR: Self = Self(0xa);
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// The reserved bit is ignored (RFC 9113 §4.1).
    pub(super) stream: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind: Kind::from_byte(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Append a frame header. `length` is below 2^24: every caller cuts at `SETTINGS_MAX_FRAME_SIZE`.
pub(super) fn write_header(length: usize, kind: Kind, flags: u8, stream: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&header_bytes(length, kind, flags, stream));
}

pub(super) fn header_bytes(length: usize, kind: Kind, flags: u8, stream: u32) -> [u8; HEADER_LEN] {
    let [l0, l1, l2, ..] = length.to_le_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [l2, l1, l0, kind.to_byte(), flags, s0, s1, s2, s3]
}

pub(super) fn write_rst_stream(stream: u32, code: ErrorCode, out: &mut Vec<u8>) {
    write_header(4, Kind::RstStream, 0, stream, out);
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(super) fn write_window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    write_header(4, Kind::WindowUpdate, 0, stream, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(super) fn write_ping(ack: bool, payload: [u8; 8], out: &mut Vec<u8>) {
    write_header(8, Kind::Ping, if ack { flag::ACK } else { 0 }, 0, out);
    out.extend_from_slice(&payload);
}

pub(super) fn write_goaway(last_stream: u32, code: ErrorCode, reason: &str, out: &mut Vec<u8>) {
    write_header(8 + reason.len(), Kind::GoAway, 0, 0, out);
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}
