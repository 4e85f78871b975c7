//! The protobuf event format (cloudevents/formats/cloudevents.proto, package io.cloudevents.v1).
//!
//! The `.proto` file is the authority: the Markdown page beside it shows other numbers.

use std::borrow::Cow;

use super::attributes::{Attributes, Value};
use super::{timestamp, too_many, Event, Refusal, REQUIRED};
use crate::base64::STANDARD;
use crate::protobuf::{Fields, Wire};

/// What `proto_data` is; `dataschema` then says which message.
const PROTOBUF: &str = "application/protobuf";

const NANOSECONDS: i64 = 1_000_000_000;

/// Return the event in `body`.
pub fn decode(body: &[u8]) -> Result<Event<'_>, Refusal> {
    let mut attributes = Attributes::default();
    let mut data = None;
    let mut packed = None;
    for_each(body, "", "CloudEvent", |number, wire| {
        match number {
            1 => attributes.set("id", text("id", wire)?)?,
            2 => attributes.set("source", text("source", wire)?)?,
            3 => attributes.set("specversion", text("specversion", wire)?)?,
            4 => attributes.set("type", text("type", wire)?)?,
            5 => {
                let (name, value) = entry(bytes("attributes", wire)?)?;
                if REQUIRED.contains(&name) {
                    // With a field beside it two readers could take different ones: neither is to be trusted.
                    return Err(Refusal::of(name, "has a field of its own, and is no entry of \"attributes\""));
                }
                attributes.add(Cow::Borrowed(name), value, "is given twice")?;
            }
            6 => (data, packed) = (Some(bytes("data", wire)?), None),
            7 => (data, packed) = (Some(string("data", wire)?.as_bytes()), None),
            8 => {
                let (message, url) = any(bytes("proto_data", wire)?)?;
                (data, packed) = (Some(message), Some(url));
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(url) = packed {
        imply(&mut attributes, url)?;
    }
    Event::checked(attributes, data.map(Cow::Borrowed))
}

/// Return the events of a `CloudEventBatch`.
pub fn decode_batch(body: &[u8], limit: usize) -> Result<Vec<Event<'_>>, Refusal> {
    let (mut parts, mut count) = (Vec::new(), 0);
    for_each(body, "", "batch", |number, wire| {
        if number == 1 {
            count += 1;
            let part = bytes("events", wire)?;
            if count <= limit {
                parts.push(part);
            }
        }
        Ok(())
    })?;
    if count > limit {
        return Err(too_many(count, limit));
    }
    parts.into_iter().map(decode).collect()
}

/// Hand over the fields of a message; `what` it is stands in front of what is wrong with its bytes, and `of` names the attribute
/// that it belongs to, if it belongs to one.
fn for_each<'a>(
    message: &'a [u8],
    of: &str,
    what: &str,
    mut each: impl FnMut(u64, Wire<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut fields = Fields::of(message);
    for (number, wire) in fields.by_ref() {
        each(number, wire)?;
    }
    match fields.flaw() {
        Some(flaw) => Err(Refusal::of(of, format!("{what} is not protobuf: it has {flaw}"))),
        None => Ok(()),
    }
}

/// Return name and value of an entry in the map of attributes.
fn entry(message: &[u8]) -> Result<(&str, Value<'_>), Refusal> {
    let (mut name, mut value) = ("", &b""[..]);
    for_each(message, "attributes", "an entry", |number, wire| {
        match number {
            1 => name = string("attributes", wire)?,
            2 => value = bytes("attributes", wire)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, attribute(name, value)?))
}

/// Return a `CloudEventAttributeValue`: of its oneof, what comes last counts.
fn attribute<'a>(name: &str, message: &'a [u8]) -> Result<Value<'a>, Refusal> {
    let mut read = None;
    for_each(message, name, "the value", |number, wire| {
        read = match number {
            1 => Some(Value::Boolean(self::number(name, wire)? != 0)),
            2 => Some(Value::Integer(integer(name, wire)?)),
            3 | 5 | 6 => Some(text(name, wire)?),
            4 => {
                let encoded = STANDARD.encode(bytes(name, wire)?);
                Some(Value::Text(Cow::Owned(String::from_utf8(encoded).unwrap_or_default())))
            }
            7 => Some(Value::Text(Cow::Owned(moment(name, bytes(name, wire)?)?))),
            _ => return Ok(()),
        };
        Ok(())
    })?;
    read.ok_or_else(|| Refusal::of(name, "has no value"))
}

/// Return a `google.protobuf.Timestamp`.
fn moment(name: &str, message: &[u8]) -> Result<String, Refusal> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for_each(message, name, "the value", |number, wire| {
        match number {
            1 => seconds = signed(self::number(name, wire)?),
            2 => nanoseconds = signed(self::number(name, wire)?),
            _ => {}
        }
        Ok(())
    })?;
    let fraction = u32::try_from(nanoseconds).ok().filter(|_| nanoseconds < NANOSECONDS);
    let fraction = fraction.ok_or_else(|| Refusal::of(name, format!("has {nanoseconds} nanoseconds")))?;
    timestamp::written(seconds, fraction)
        .ok_or_else(|| Refusal::of(name, format!("is {seconds} s from 1970, outside the years 1 to 9999")))
}

/// Return the message in an `Any`, and its type's URL.
fn any(packed: &[u8]) -> Result<(&[u8], &str), Refusal> {
    let (mut message, mut url) = (&b""[..], "");
    for_each(packed, "proto_data", "the value", |number, wire| {
        match number {
            1 => url = string("proto_data", wire)?,
            2 => message = bytes("proto_data", wire)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((message, url))
}

/// Add the attributes that a message in an `Any` implies, where the event does not say otherwise.
fn imply<'a>(attributes: &mut Attributes<'a>, url: &'a str) -> Result<(), Refusal> {
    if attributes.get("datacontenttype").is_none() {
        attributes.push(Cow::Borrowed("datacontenttype"), Value::Text(Cow::Borrowed(PROTOBUF)))?;
    }
    if url.is_empty() || attributes.get("dataschema").is_some() {
        return Ok(());
    }
    // Type URLs have no scheme by custom, `dataschema` must have one; https is what they stand for (any.proto).
    let schema = if url.contains("://") { Cow::Borrowed(url) } else { Cow::Owned(format!("https://{url}")) };
    attributes.push(Cow::Borrowed("dataschema"), Value::Text(schema))
}

fn mistyped(name: &str) -> Refusal {
    Refusal::of(name, "has another type on the wire than the format gives it")
}

fn bytes<'a>(name: &str, wire: Wire<'a>) -> Result<&'a [u8], Refusal> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        _ => Err(mistyped(name)),
    }
}

fn number(name: &str, wire: Wire<'_>) -> Result<u64, Refusal> {
    match wire {
        Wire::Number(number) => Ok(number),
        _ => Err(mistyped(name)),
    }
}

fn integer(name: &str, wire: Wire<'_>) -> Result<i32, Refusal> {
    let number = signed(number(name, wire)?);
    i32::try_from(number).map_err(|_| super::rules::out_of_range(name, &number.to_string()))
}

/// Return what a varint is as an int64 (and an int32, which is written as one).
fn signed(number: u64) -> i64 {
    i64::from_le_bytes(number.to_le_bytes())
}

fn string<'a>(name: &str, wire: Wire<'a>) -> Result<&'a str, Refusal> {
    std::str::from_utf8(bytes(name, wire)?).map_err(|_| Refusal::of(name, "is not UTF-8"))
}

fn text<'a>(name: &str, wire: Wire<'a>) -> Result<Value<'a>, Refusal> {
    string(name, wire).map(|text| Value::Text(Cow::Borrowed(text)))
}
