//! Events (`CloudEvents` 1.0.2) as they come in: the modes of the HTTP binding, the JSON and the protobuf format, and the rules that
//! attributes obey; and how values are written in binary mode. Pure; nobody is asked about them.
//!
//! What is read borrows from the message wherever it stands there as it is meant.

mod attributes;
mod binary;
mod json;
mod json_text;
mod media;
mod protobuf;
mod rules;
mod timestamp;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use attributes::{check_count, Attributes, Value, MAX_ATTRIBUTES};
pub use binary::{encode_value, PREFIX};
pub use json_text::MAX_DEPTH;
pub use media::{is_json, Mode};
pub use rules::{check, check_one, forbidden, out_of_range, MAX_NAME_LENGTH, MAX_VALUE_BYTES, REQUIRED};

use media::{essence, Format};

/// Most characters of a value that a refusal repeats: enough to recognise it.
const MAX_SHOWN: usize = 200;

/// An event that obeys the rules.
#[derive(Debug, PartialEq)]
pub struct Event<'a> {
    /// Context attributes and extensions, `specversion` included, `datacontenttype` when known.
    pub attributes: Attributes<'a>,
    /// The payload; `None` when the event has none, which differs from an empty payload.
    pub data: Option<Cow<'a, [u8]>>,
}

impl<'a> Event<'a> {
    fn checked(attributes: Attributes<'a>, data: Option<Cow<'a, [u8]>>) -> Result<Self, Refusal> {
        check(&attributes)?;
        Ok(Self { attributes, data })
    }
}

/// A header that concerns events: its name in lower case, its value as octets.
pub type Field<'a> = (&'a str, Cow<'a, [u8]>);

/// Why a message is no event.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It breaks a rule: of one attribute, or of the message as a whole, when the name is empty.
    Invalid { attribute: String, problem: String },
    /// It is in a format that is not read.
    UnknownFormat(String),
}

impl Refusal {
    /// Return what is said of one attribute.
    pub fn of(attribute: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { attribute: attribute.chars().take(MAX_NAME_LENGTH).collect(), problem: problem.into() }
    }

    /// Return what is said of a message.
    pub fn whole(problem: impl Into<String>) -> Self {
        Self::of("", problem)
    }
}

/// Return whether headers of this name say something of an event.
pub fn concerns(name: &str) -> bool {
    name.starts_with(binary::PREFIX) || name == "content-type"
}

/// Return the event of an HTTP message.
pub fn decode<'a>(fields: &'a [Field<'a>], body: &'a [u8]) -> Result<Event<'a>, Refusal> {
    let content_type = content_type(fields)?;
    let media_type = essence(content_type);
    match Mode::of_media_type(&media_type) {
        None => binary::decode(fields, content_type, body),
        Some(Mode::Batch) => Err(Refusal::whole("batched CloudEvents are not accepted here: send one event a request")),
        Some(Mode::Structured | Mode::Binary) => decode_structured(content_type, body),
    }
}

/// Return the event that is all of `body`, in the format that its media type names.
pub fn decode_structured<'a>(content_type: &[u8], body: &'a [u8]) -> Result<Event<'a>, Refusal> {
    match Format::of_event(&essence(content_type))? {
        Format::Json => json::decode(body),
        Format::Protobuf => protobuf::decode(body),
    }
}

/// Return the events of a batch, which may be none, in their order; more than `limit` are refused.
pub fn decode_batch<'a>(fields: &'a [Field<'a>], body: &'a [u8], limit: usize) -> Result<Vec<Event<'a>>, Refusal> {
    match Format::of_batch(&essence(content_type(fields)?))? {
        Format::Json => json::decode_batch(body, limit),
        Format::Protobuf => protobuf::decode_batch(body, limit),
    }
}

fn content_type<'a>(fields: &'a [Field<'a>]) -> Result<&'a [u8], Refusal> {
    let mut values = fields.iter().filter(|(name, _)| *name == "content-type").map(|(_, value)| value);
    let value = values.next().map_or(&b""[..], |value| value);
    match values.count() {
        0 => Ok(value),
        more => Err(Refusal::whole(format!("the header content-type is given {} times", more + 1))),
    }
}

fn too_many(events: usize, limit: usize) -> Refusal {
    Refusal::whole(format!("batch has {events} events, more than {limit}"))
}

/// A value as a refusal shows it: without what cannot be seen, and not at any length.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, cut) = match self.0.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => (self.0.get(..end).unwrap_or_default(), "..."),
            None => (self.0, ""),
        };
        write!(f, "{}{cut}", shown.escape_debug())
    }
}
