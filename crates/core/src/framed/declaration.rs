//! A declaration as its author writes it: YAML or JSON, read here as JSON. What it means is compiled in `compile`.

use serde::Deserialize;
use serde_json::Value;

use crate::limits::DEFAULT_FRAMED_FRAME;

/// One protocol. Lists are kept as values, so that an error can say which of their elements is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Name: clusters say it to say what they speak.
    pub name: String,
    /// Order of bytes in numbers that do not say.
    #[serde(default)]
    pub endian: Endian,
    /// Longest frame.
    #[serde(default = "default_frame")]
    pub max_frame_bytes: usize,
    /// What a frame is made of ([`Element`]).
    pub frame: Vec<Value>,
    /// What a frame is ([`Rule`]): the first that fits.
    pub kinds: Vec<Value>,
    /// What routes are found by.
    #[serde(default)]
    pub route: Routing,
    /// The caller's budget in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<Source>,
    /// Answer to a heartbeat ([`Part`]).
    #[serde(default)]
    pub heartbeat_reply: Vec<Value>,
    /// Answer of the mesh when there is no other.
    pub error: ErrorReply,
}

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endian {
    /// Most significant first.
    #[default]
    Big,
    /// Least significant first.
    Little,
}

/// One piece of a frame; pieces follow each other without gaps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Element {
    /// These bytes, in hexadecimal.
    Magic(Value),
    /// So many bytes that mean nothing to the mesh.
    Skip(usize),
    /// A number with a name.
    Number { name: String, size: usize, endian: Option<Endian> },
    /// How many bytes follow in the frame, `adjust` added.
    Length {
        size: usize,
        #[serde(default)]
        adjust: i64,
        endian: Option<Endian>,
    },
    /// The id that an answer repeats.
    Id { size: usize, endian: Option<Endian> },
    /// A text behind its length.
    Text { name: String, prefix: usize, endian: Option<Endian> },
    /// A text in a fixed place, filled up with zeros or blanks.
    FixedText { name: String, size: usize },
    /// Keys and values behind their common length.
    Headers { prefix: usize, format: HeaderFormat, endian: Option<Endian> },
    /// Bytes behind their length that are never read.
    Section { prefix: usize, endian: Option<Endian> },
}

/// How keys and values stand in a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderFormat {
    /// `key\nvalue\n`.
    Lines,
    /// Each behind a length of two bytes.
    Pairs16,
    /// Each behind a length of four bytes.
    Pairs32,
}

/// What a frame is when all conditions hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is.
    pub is: super::Kind,
    /// Conditions on numbers, by name.
    #[serde(default)]
    pub when: std::collections::BTreeMap<String, Condition>,
}

/// A condition on a number.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Condition {
    /// It is this.
    Equals(u64),
    /// Some of its bits are these.
    Masked(Masked),
}

/// A condition on some bits of a number.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masked {
    /// Which bits.
    pub mask: u64,
    /// What they are.
    pub equals: u64,
}

/// What a route is found by: the service stands where HTTP has the host.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// Service.
    pub service: Option<Source>,
    /// Method.
    pub method: Option<Source>,
    /// What conditions of routes see as `group`.
    pub group: Option<Source>,
    /// What they see as `version`.
    pub version: Option<Source>,
}

/// Where a word comes from: exactly one of `text`, `header` and `number`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of a text.
    pub text: Option<String>,
    /// Key in the header block.
    pub header: Option<String>,
    /// Name of a number, as decimal digits.
    pub number: Option<String>,
    /// Only what stands before the first of these; nothing if there is none.
    pub before: Option<String>,
    /// Only what stands behind the first of these; all of it if there is none.
    pub after: Option<String>,
}

/// How the mesh spells an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorReply {
    /// The protocol's code for each thing that goes wrong.
    pub codes: Codes,
    /// The frame ([`Part`]).
    pub frame: Vec<Value>,
}

/// Codes of the protocol; what is not given is `default`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codes {
    /// Whatever is not named.
    pub default: u64,
    /// No route matched.
    pub no_route: Option<u64>,
    /// No endpoint, or none that could be connected.
    pub no_endpoint: Option<u64>,
    /// The connection to the endpoint broke.
    pub broken: Option<u64>,
    /// The endpoint broke the protocol.
    pub bad_response: Option<u64>,
    /// A deadline passed.
    pub timeout: Option<u64>,
    /// A limit was reached.
    pub overload: Option<u64>,
    /// The request was refused.
    pub bad_request: Option<u64>,
    /// A configured answer.
    pub configured: Option<u64>,
}

/// One piece of a frame that the mesh writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// These bytes, in hexadecimal.
    Bytes(Value),
    /// The id of the request.
    Id,
    /// A named piece of the request, byte for byte, its length included.
    Echo(String),
    /// How many bytes follow, `adjust` added.
    Length {
        size: usize,
        #[serde(default)]
        adjust: i64,
        endian: Option<Endian>,
    },
    /// The code, as a number.
    Code { size: usize, endian: Option<Endian> },
    /// The code, as decimal digits.
    CodeText,
    /// What went wrong, behind a length of so many bytes (0: none).
    Text { prefix: usize, endian: Option<Endian> },
}

fn default_frame() -> usize {
    DEFAULT_FRAMED_FRAME
}
