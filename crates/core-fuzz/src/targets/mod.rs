//! What is fuzzed, each with the promises that hold for any bytes.

mod hpack;
mod wires;

/// One thing to fuzz.
pub struct Target {
    /// Also the name of its corpus folder.
    pub name: &'static str,
    /// Words of its grammar, for the mutator.
    pub words: &'static [&'static [u8]],
    /// Run one input; the second argument seeds where it is cut. Return a digest of the behaviour seen, or the broken promise.
    pub run: fn(&[u8], u64) -> Result<u64, String>,
}

/// Frame headers and preface.
const HTTP2_WORDS: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0\0\0\x04\0\0\0\0\0",
    b"\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x04\x01\x05\0\0\0\x01\x82\x86\x84\x81",
    b"\0\0\x04\x01\x04\0\0\0\x03\x83\x86\x84\x81",
    b"\0\0\0\0\x01\0\0\0\x01",
    b"\0\0\x05\0\0\0\0\0\x01hello",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\x08\x06\0\0\0\0\0pingpong",
    b"\0\0\x04\x08\0\0\0\0\0\0\0\xff\xff",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\xff",
    b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\0\0\0\x09\x04\0\0\0\x01",
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01",
];

pub static ALL: &[Target] = &[
    Target { name: "hpack", words: &[], run: hpack::run },
    Target { name: "http2-server", words: HTTP2_WORDS, run: wires::http2_server },
    Target { name: "http2-client", words: HTTP2_WORDS, run: wires::http2_client },
];
