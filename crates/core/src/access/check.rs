//! `Authorization.Check` of Envoy's `service.auth.v3`, message for message: what a request looks like, and what comes back.

use serde_json::{Map, Number, Value};

use crate::access::mutation::{Granted, How, Mutation, Refused, Said};
use crate::access::request::Request;
use crate::limits::MAX_RULE_DEPTH;
use crate::protobuf::{bytes, fixed64, message, number, text, Fields, Wire};
use crate::request_parts::query_of;

/// What a service is told of a request beside its head.
#[derive(Debug)]
pub struct Told<'a> {
    /// Number of the exchange.
    pub id: u64,
    /// Seconds since the epoch.
    pub time: u64,
    /// What the route says.
    pub extensions: &'a [(String, String)],
    /// What earlier steps have noted, as far as it is told.
    pub noted: Vec<(&'a str, &'a Value)>,
    /// Headers, in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is told of the body.
    pub body: Option<Body<'a>>,
}

/// As much of a body as is told.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// It.
    pub bytes: &'a [u8],
    /// There is more.
    pub partial: bool,
    /// As bytes, whatever they are.
    pub raw: bool,
}

/// Return a `CheckRequest`.
pub fn question(request: &Request<'_>, told: &Told<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    message(1, &mut out, |out| {
        message(1, out, |out| {
            if let Some(socket) = crate::access::socket_of(request.peer) {
                address(socket.0.to_string().as_bytes(), socket.1, out);
            }
            if let Some(name) = request.names().and_then(<[String]>::first) {
                text(4, name.as_bytes(), out);
            }
        });
        message(2, out, |out| {
            if let Some(socket) = request.destination {
                address(socket.0.to_string().as_bytes(), socket.1, out);
            }
        });
        message(4, out, |out| {
            message(1, out, |out| number(1, told.time, out));
            message(2, out, |out| http(request, told, out));
        });
        for (key, value) in told.extensions {
            pair(10, key.as_bytes(), value.as_bytes(), out);
        }
        if !told.noted.is_empty() {
            message(11, out, |out| {
                for (namespace, noted) in &told.noted {
                    message(1, out, |out| {
                        text(1, namespace.as_bytes(), out);
                        message(2, out, |out| structure(noted, out));
                    });
                }
            });
        }
    });
    out
}

fn address(host: &[u8], port: u16, out: &mut Vec<u8>) {
    message(1, out, |out| {
        message(1, out, |out| {
            text(2, host, out);
            number(3, u64::from(port), out);
        });
    });
}

fn pair(field: u64, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    message(field, out, |out| {
        text(1, key, out);
        text(2, value, out);
    });
}

fn http(request: &Request<'_>, told: &Told<'_>, out: &mut Vec<u8>) {
    let head = request.head;
    text(1, told.id.to_string().as_bytes(), out);
    text(2, head.method(), out);
    for (at, (name, value)) in told.headers.iter().enumerate() {
        // A map has one value of a name: lines are joined, as a list is.
        let mut same = told.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_slice());
        if told.headers.iter().take(at).all(|(other, _)| other != name) {
            let joined = same.clone().nth(1).map(|_| same.by_ref().collect::<Vec<_>>().join(&b","[..]));
            pair(3, name, joined.as_deref().unwrap_or(value), out);
        }
    }
    text(4, head.path(), out);
    text(5, head.authority(), out);
    text(6, head.scheme(), out);
    let query = query_of(head.path());
    if !query.is_empty() {
        text(7, query, out);
    }
    if let Some(size) = head.content_length {
        number(9, size, out);
    }
    text(10, head.version.name().as_bytes(), out);
    match told.body {
        Some(body) if body.raw => bytes(12, body.bytes, out),
        Some(body) => text(11, body.bytes, out),
        None => {}
    }
}

/// Append the fields of a `google.protobuf.Struct`.
fn structure(noted: &Value, out: &mut Vec<u8>) {
    for (key, value) in noted.as_object().into_iter().flatten() {
        message(1, out, |out| {
            text(1, key.as_bytes(), out);
            message(2, out, |out| noted_value(value, out));
        });
    }
}

/// Append a `google.protobuf.Value`. What is noted is as deep as a token's payload, which its parser has bounded.
fn noted_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => number(1, 0, out),
        Value::Number(amount) => fixed64(2, amount.as_f64().unwrap_or_default().to_bits(), out),
        Value::String(words) => text(3, words.as_bytes(), out),
        Value::Bool(flag) => number(4, u64::from(*flag), out),
        Value::Object(_) => message(5, out, |out| structure(value, out)),
        Value::Array(members) => message(6, out, |out| {
            for member in members {
                message(1, out, |out| noted_value(member, out));
            }
        }),
    }
}

/// Return what a `CheckResponse` says; `None`: it is none.
pub fn answer(response: &[u8]) -> Option<Said> {
    let (mut code, mut granted, mut refused) = (0, Granted::default(), None);
    let mut failed = None;
    let mut fields = Fields::of(response);
    for (field, value) in fields.by_ref() {
        let inner = value.bytes();
        match field {
            1 => code = member(inner, 1)?.number(),
            2 => refused = Some(refusal(inner)?),
            3 => grant(inner, &mut granted)?,
            4 => granted.noted = Some(object(inner, 0)?),
            5 => failed = Some(refusal(inner)?),
            _ => {}
        }
    }
    if !fields.is_sound() {
        return None;
    }
    Some(match (code, failed) {
        (0, _) => Said::Through(Box::new(granted)),
        (_, Some(failed)) => Said::Failed(Some(failed)),
        _ => Said::Refused(refused.unwrap_or_default()),
    })
}

/// Return the last value of a field, nothing where it is absent; `None`: this is no message.
fn member(message: &[u8], wanted: u64) -> Option<Wire<'_>> {
    let mut fields = Fields::of(message);
    let found = fields.by_ref().filter(|(field, _)| *field == wanted).last();
    fields.is_sound().then_some(found.map_or(Wire::Bytes(b""), |(_, value)| value))
}

/// Read an `OkHttpResponse`.
fn grant(message: &[u8], granted: &mut Granted) -> Option<()> {
    let mut fields = Fields::of(message);
    for (field, value) in fields.by_ref() {
        let inner = value.bytes();
        match field {
            2 => {
                let mut asked = option(inner)?;
                // Of a request Envoy (1.40) looks at the older field alone.
                asked.how = if asked.how == How::Join { How::Join } else { How::Set };
                granted.request.push(asked);
            }
            5 => granted.remove.push(inner.to_ascii_lowercase()),
            6 => {
                let mut told = option(inner)?;
                // The older field joins what is in a request; of an answer it means one more line.
                told.how = if told.how == How::Join { How::Add } else { told.how };
                granted.response.push(told);
            }
            7 => {
                let part = |field| Some(member(inner, field)?.bytes().to_vec());
                granted.set_query.push((part(1)?, part(2)?));
            }
            8 => granted.remove_query.push(inner.to_vec()),
            _ => {}
        }
    }
    // Envoy sets what is to be set before it appends anything, in whichever order they were told.
    granted.request.sort_by_key(|mutation| mutation.how == How::Join);
    fields.is_sound().then_some(())
}

/// Read a `DeniedHttpResponse` or an `ErrorHttpResponse`, which are alike.
fn refusal(message: &[u8]) -> Option<Refused> {
    let (mut fields, mut refused) = (Fields::of(message), Refused::default());
    for (field, value) in fields.by_ref() {
        match field {
            1 => {
                let status = member(value.bytes(), 1)?.number();
                refused.status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
            }
            2 => refused.fields.push(option(value.bytes())?),
            3 => refused.body = value.bytes().to_vec(),
            _ => {}
        }
    }
    fields.is_sound().then_some(refused)
}

/// Read a `HeaderValueOption`.
fn option(message: &[u8]) -> Option<Mutation> {
    let (mut fields, mut mutation) = (Fields::of(message), Mutation::default());
    let mut append = None;
    for (field, value) in fields.by_ref() {
        match field {
            1 => {
                let part = |field| Some(member(value.bytes(), field)?.bytes());
                let (key, plain, raw) = (part(1)?, part(2)?, part(3)?);
                mutation.name = key.to_ascii_lowercase();
                mutation.value = if plain.is_empty() { raw } else { plain }.to_vec();
            }
            2 => append = Some(member(value.bytes(), 1)?.number() != 0),
            3 => {
                mutation.how = match value.number() {
                    0 => How::Add,
                    1 => How::AddIfAbsent,
                    2 => How::Set,
                    3 => How::SetIfThere,
                    _ => return None,
                };
            }
            _ => {}
        }
    }
    match append {
        // The older field, of which Envoy makes a list of what is there already and nothing else.
        Some(true) => mutation.how = How::Join,
        Some(false) => mutation.how = How::Set,
        None => {}
    }
    fields.is_sound().then_some(mutation)
}

/// Read a `google.protobuf.Struct`.
fn object(message: &[u8], depth: usize) -> Option<Value> {
    let (mut fields, mut found) = (Fields::of(message), Map::new());
    for (_, entry) in fields.by_ref().filter(|(field, _)| *field == 1) {
        let key = member(entry.bytes(), 1)?.bytes();
        let value = member(entry.bytes(), 2)?.bytes();
        found.insert(String::from_utf8_lossy(key).into_owned(), any(value, depth + 1)?);
    }
    fields.is_sound().then_some(Value::Object(found))
}

/// Read a `google.protobuf.Value`.
fn any(message: &[u8], depth: usize) -> Option<Value> {
    if depth > MAX_RULE_DEPTH {
        return None;
    }
    let (mut fields, mut found) = (Fields::of(message), Value::Null);
    for (field, value) in fields.by_ref() {
        found = match (field, value) {
            (2, Wire::Fixed64(bits)) => Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number),
            (3, Wire::Bytes(words)) => Value::String(String::from_utf8_lossy(words).into_owned()),
            (4, Wire::Number(flag)) => Value::Bool(flag != 0),
            (5, Wire::Bytes(inner)) => object(inner, depth + 1)?,
            (6, Wire::Bytes(inner)) => {
                let mut members = Fields::of(inner);
                let read = members.by_ref().filter(|(field, _)| *field == 1);
                let read: Option<Vec<Value>> = read.map(|(_, member)| any(member.bytes(), depth + 1)).collect();
                Value::Array(read.filter(|_| members.is_sound())?)
            }
            _ => Value::Null,
        };
    }
    fields.is_sound().then_some(found)
}
