//! What a Content-Type says of an event: its mode and its format.

use std::borrow::Cow;

use super::{Field, Refusal, Shown};
use crate::ascii::trim;

const EVENT: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";
const JSON: &str = "application/cloudevents+json";
const PROTOBUF: &str = "application/cloudevents+protobuf";
const JSON_BATCH: &str = "application/cloudevents-batch+json";
const PROTOBUF_BATCH: &str = "application/cloudevents-batch+protobuf";

/// How an HTTP message carries events (cloudevents/bindings/http-protocol-binding.md, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes are headers, the body is the data.
    Binary,
    /// The body is an event.
    Structured,
    /// The body is many.
    Batch,
}

impl Mode {
    /// Return the mode that a message claims; `None`: it is no event.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a Field<'a>>) -> Option<Self> {
        let mut mode = None;
        for (name, value) in fields {
            match *name {
                "content-type" => {
                    if let Some(said) = Self::of_media_type(&essence(value)) {
                        return Some(said);
                    }
                }
                "ce-specversion" => mode = Some(Self::Binary),
                _ => {}
            }
        }
        mode
    }

    /// Return the mode that a media type names: not the binary one, which goes with any other.
    pub fn of_media_type(essence: &str) -> Option<Self> {
        match essence {
            _ if essence.starts_with(BATCH) => Some(Self::Batch),
            _ if essence.starts_with(EVENT) => Some(Self::Structured),
            _ => None,
        }
    }

    /// Return its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Structured => "structured",
            Self::Batch => "batch",
        }
    }
}

/// A format of events that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Protobuf,
}

impl Format {
    /// Return the format of one event.
    pub fn of_event(essence: &str) -> Result<Self, Refusal> {
        match essence {
            EVENT | JSON => Ok(Self::Json),
            PROTOBUF => Ok(Self::Protobuf),
            _ => Err(unknown("event", essence, JSON, PROTOBUF)),
        }
    }

    /// Return the format of a batch.
    pub fn of_batch(essence: &str) -> Result<Self, Refusal> {
        match essence {
            JSON_BATCH => Ok(Self::Json),
            PROTOBUF_BATCH => Ok(Self::Protobuf),
            _ => Err(unknown("batch", essence, JSON_BATCH, PROTOBUF_BATCH)),
        }
    }
}

fn unknown(what: &str, essence: &str, json: &str, protobuf: &str) -> Refusal {
    Refusal::UnknownFormat(format!("{what} format '{}' is not supported: use {json} or {protobuf}", Shown(essence)))
}

/// Return a media type in lower case, without its parameters; empty when it is not UTF-8.
pub fn essence(content_type: &[u8]) -> Cow<'_, str> {
    let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
    let essence = std::str::from_utf8(trim(content_type.get(..end).unwrap_or_default())).unwrap_or_default();
    if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(essence.to_ascii_lowercase())
    } else {
        Cow::Borrowed(essence)
    }
}

/// Return whether data of a media type is JSON: subtype `json` or a `+json` suffix, parameters ignored.
pub fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type.as_bytes());
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}
