//! The JSON event format (cloudevents/formats/json-format.md): an event is an object, a batch an array of them.

use std::borrow::Cow;

use super::attributes::{Attributes, Value};
use super::json_text::{unescaped, Json, Reader};
use super::media::is_json;
use super::{rules, too_many, Event, Refusal, Shown};
use crate::base64::STANDARD;

const EVENT: &str = "structured CloudEvent";
const BATCH: &str = "batch";

/// Return the event in `body`.
pub fn decode(body: &[u8]) -> Result<Event<'_>, Refusal> {
    let mut reader = Reader::of(body, EVENT)?;
    let event = event(&mut reader)?;
    reader.end()?;
    event.checked()
}

/// Return the events in an array.
pub fn decode_batch(body: &[u8], limit: usize) -> Result<Vec<Event<'_>>, Refusal> {
    let mut reader = Reader::of(body, BATCH)?;
    let (mut events, mut count, mut beyond) = (Vec::new(), 0, Vec::new());
    if reader.peek() != Some(b'[') {
        return Err(refused(&mut reader, "batch is not a JSON array"));
    }
    reader.array(&mut |reader| {
        count += 1;
        if count <= limit {
            events.push(event(reader)?.checked()?);
            return Ok(());
        }
        beyond.clear();
        reader.copy(&mut beyond)
    })?;
    reader.end()?;
    if count > limit {
        return Err(too_many(count, limit));
    }
    Ok(events)
}

/// What stands in an object.
#[derive(Default)]
struct Members<'a> {
    attributes: Attributes<'a>,
    /// Compact.
    data: Option<Vec<u8>>,
    data_base64: Option<Cow<'a, str>>,
}

fn event<'a>(reader: &mut Reader<'a>) -> Result<Members<'a>, Refusal> {
    if reader.peek() != Some(b'{') {
        return Err(refused(reader, "structured CloudEvent is not a JSON object"));
    }
    let mut members = Members::default();
    reader.object(&mut |reader, _| members.read(reader))?;
    Ok(members)
}

/// Return the refusal of a value that is of another kind than it should be, unless it is no JSON at all.
fn refused(reader: &mut Reader<'_>, problem: &str) -> Refusal {
    match reader.copy(&mut Vec::new()).and_then(|()| reader.end()) {
        Err(refusal) => refusal,
        Ok(()) => Refusal::whole(problem),
    }
}

impl<'a> Members<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        let name = reader.name();
        match &*name {
            "data" => {
                let mut data = Vec::new();
                reader.copy(&mut data)?;
                self.data = Some(data);
            }
            "data_base64" => match reader.value("")? {
                Json::Text(text) => self.data_base64 = Some(text),
                Json::Null => {}
                _ => return Err(Refusal::whole("\"data_base64\" must be a string")),
            },
            _ => {
                let value = match reader.value(&name)? {
                    Json::Null => return Ok(()),
                    Json::Boolean(truth) => Value::Boolean(truth),
                    Json::Text(text) => Value::Text(text),
                    Json::Integer(digits) => {
                        Value::Integer(digits.parse().map_err(|_| rules::out_of_range(&name, digits))?)
                    }
                    Json::Other(kind) => {
                        let problem = format!("must be a JSON string, boolean or integer, not {kind}");
                        return Err(Refusal::of(&name, problem));
                    }
                };
                self.attributes.push(name, value)?;
            }
        }
        Ok(())
    }

    fn checked(mut self) -> Result<Event<'a>, Refusal> {
        match (self.data, self.data_base64) {
            (Some(_), Some(_)) => Err(Refusal::whole("structured CloudEvent has both \"data\" and \"data_base64\"")),
            (None, None) => Event::checked(self.attributes, None),
            (None, Some(text)) => {
                let data = STANDARD.decode(text.as_bytes());
                let data = data.ok_or_else(|| Refusal::whole("\"data_base64\" is not base64"))?;
                Event::checked(self.attributes, Some(Cow::Owned(data)))
            }
            (Some(data), None) => {
                if self.attributes.get("datacontenttype").is_none() {
                    // That is what its absence means here; written down, so that binary mode says so too.
                    let json = Value::Text(Cow::Borrowed("application/json"));
                    self.attributes.push(Cow::Borrowed("datacontenttype"), json)?;
                }
                let data = octets(data, &self.attributes)?;
                Event::checked(self.attributes, Some(Cow::Owned(data)))
            }
        }
    }
}

/// Return the payload that `data`, a value of JSON, stands for: itself, or the text that it is.
fn octets(data: Vec<u8>, attributes: &Attributes) -> Result<Vec<u8>, Refusal> {
    let content_type = attributes.get("datacontenttype").map_or(Cow::Borrowed(""), Value::text);
    if is_json(&content_type) {
        return Ok(data);
    }
    let inside = match &*data {
        [b'"', inside @ .., b'"'] => std::str::from_utf8(inside).ok(),
        _ => None,
    };
    let Some(inside) = inside else {
        let shown = Shown(&content_type);
        return Err(Refusal::whole(format!("\"data\" must be a string when datacontenttype is '{shown}'")));
    };
    let text = unescaped(inside);
    let text = text.map_err(|half| Refusal::whole(format!("\"data\" holds half of a surrogate pair, U+{half:04X}")))?;
    Ok(text.into_owned().into_bytes())
}
