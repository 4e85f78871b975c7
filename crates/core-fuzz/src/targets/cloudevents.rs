//! Events in every mode and format: any bytes are events that obey the rules, or a reason.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use eventmesh_core::cloudevents::{
    check, concerns, decode, decode_batch, is_json, Event, Field, Refusal, MAX_ATTRIBUTES, MAX_NAME_LENGTH,
    MAX_VALUE_BYTES,
};
use serde_json::Value as Json;

/// Most events of a batch, so that a short one can have too many.
const LIMIT: usize = 4;

/// Longest refusal: it repeats a part of a value and a name at most.
const MAX_REFUSAL: usize = 16 * 1024;

/// Run a message: lines of headers, an empty one, a body.
pub fn run(input: &[u8], _seed: u64) -> Result<u64, String> {
    let (fields, body) = message(input);
    let mut behaviour = DefaultHasher::new();
    match decode(&fields, body) {
        Ok(event) => sound(&event, body, &mut behaviour)?,
        Err(refusal) => told(&refusal, &mut behaviour)?,
    }
    match decode_batch(&fields, body, LIMIT) {
        Ok(events) if events.len() > LIMIT => return Err(format!("{} events, more than {LIMIT}", events.len())),
        Ok(events) => events.iter().try_for_each(|event| sound(event, body, &mut behaviour))?,
        Err(refusal) => told(&refusal, &mut behaviour)?,
    }
    as_others_read(body)?;
    Ok(behaviour.finish())
}

fn message(input: &[u8]) -> (Vec<Field<'_>>, &[u8]) {
    let (mut fields, mut rest) = (Vec::new(), input);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| concerns(name)) else { continue };
        fields.push((name, Cow::Borrowed(value.get(1..).unwrap_or_default())));
    }
    (fields, rest)
}

/// Return nothing when an event is what the rules allow, and no larger than what it was read from.
fn sound(event: &Event<'_>, body: &[u8], behaviour: &mut DefaultHasher) -> Result<(), String> {
    check(&event.attributes).map_err(|refusal| format!("an event that breaks a rule: {refusal:?}"))?;
    if event.attributes.len() > MAX_ATTRIBUTES {
        return Err(format!("{} attributes", event.attributes.len()));
    }
    if event.data.as_ref().is_some_and(|data| data.len() > body.len()) {
        return Err("data that is longer than the body".to_owned());
    }
    for (name, value) in event.attributes.iter() {
        if name.len() > MAX_NAME_LENGTH || value.text().len() > MAX_VALUE_BYTES {
            return Err(format!("attribute {name:?} is too long"));
        }
        std::mem::discriminant(value).hash(behaviour);
    }
    (event.attributes.len(), event.data.as_ref().map(|data| data.len().min(3))).hash(behaviour);
    Ok(())
}

fn told(refusal: &Refusal, behaviour: &mut DefaultHasher) -> Result<(), String> {
    let (attribute, problem) = match refusal {
        Refusal::Invalid { attribute, problem } => (attribute.as_str(), problem),
        Refusal::UnknownFormat(problem) => ("", problem),
    };
    if problem.is_empty() || attribute.len() + problem.len() > MAX_REFUSAL {
        return Err(format!("a refusal of {} bytes", problem.len()));
    }
    // What stands between the first quote and the last is the input's, as numbers are.
    let ours = [problem.split(['\'', '"']).next(), problem.rsplit(['\'', '"']).next()];
    let words = ours.into_iter().flatten().flat_map(|text| text.split(' '));
    words.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).for_each(|word| word.hash(behaviour));
    Ok(())
}

/// Return nothing unless another reader of JSON takes other data out of the same event.
fn as_others_read(body: &[u8]) -> Result<(), String> {
    let structured = [("content-type", Cow::Borrowed(&b"application/cloudevents+json"[..]))];
    let ours = decode(&structured, body);
    let theirs: Result<Json, _> = serde_json::from_slice(body);
    let (event, theirs) = match (ours, theirs) {
        (Ok(event), Ok(theirs)) => (event, theirs),
        // It reads neither numbers beyond a double nor half of a surrogate pair, nor more than 128 levels.
        (Ok(_), Err(error)) if error.is_syntax() && !is_beyond(&error) => {
            return Err(format!("read, and is not JSON: {error}"));
        }
        _ => return Ok(()),
    };
    let content_type = event.attributes.get("datacontenttype").map(|value| value.text().into_owned());
    let (Some(data), Some(wanted)) = (&event.data, theirs.get("data")) else { return Ok(()) };
    let same = if content_type.as_deref().is_some_and(is_json) {
        serde_json::from_slice::<Json>(data).is_ok_and(|read| read == *wanted)
    } else {
        wanted.as_str().is_some_and(|text| text.as_bytes() == &**data)
    };
    same.then_some(()).ok_or_else(|| format!("data differs from {wanted}"))
}

fn is_beyond(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["out of range", "surrogate", "hex escape", "recursion"].iter().any(|known| text.contains(known))
}
