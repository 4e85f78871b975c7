//! Which protocol a message is of, and in which of its versions.

/// Protocol a head was read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no 1xx, no keep-alive unless asked.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
    /// SOFARPC Bolt, in one of its versions.
    Bolt(Dialect),
    /// Dubbo 2.
    Dubbo,
    /// A declared protocol, by its number in the engine.
    Framed(u16),
}

impl Version {
    /// Return the name the access log uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Bolt(Dialect::V1) => "BOLT",
            Self::Bolt(_) => "BOLT/2",
            Self::Dubbo => "DUBBO",
            Self::Framed(_) => "FRAMED",
        }
    }

    /// Return whether messages are whole frames, which pass without `Via` and the like.
    pub fn is_framed(self) -> bool {
        matches!(self, Self::Bolt(_) | Self::Dubbo | Self::Framed(_))
    }
}

/// The version that two ends speak on one connection. A Java server takes it from the first frame and answers all
/// others in it, so frames of different dialects never share a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Protocol 1.
    #[default]
    V1,
    /// Protocol 2, version 1: a switch byte, and no checksum whatever it says.
    V2,
    /// Protocol 2, version 2: a CRC32 behind each frame whose switch asks for it.
    V2Checked,
}
