//! What another implementation said and saw (`tests/vectors/http2.json`), seen the same however it is cut.

use serde::Deserialize;
use serde_json::Value;

use super::*;

/// Vectors up to this length are cut at every byte; longer ones at every so many.
const EVERY_BYTE_BELOW: usize = 4096;

#[derive(Deserialize)]
struct Vector {
    name: String,
    role: String,
    requests: Vec<String>,
    wire: String,
    seen: Vec<Value>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

impl Vector {
    fn end(&self) -> End {
        if self.role == "server" {
            return End::new(Role::Server);
        }
        let mut end = End::new(Role::Client);
        for method in &self.requests {
            end.request(method.as_bytes(), true);
        }
        end
    }
}

/// Write an event the way the vectors do. Framing fields are in the head's members, not among its fields.
fn as_json(seen: &Seen) -> Value {
    match seen {
        Seen::Head { stream, end, .. } => serde_json::json!({"head": stream, "end": end}),
        Seen::Informational { stream, .. } => serde_json::json!({"informational": stream}),
        Seen::Data { stream, bytes, end } => {
            let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            serde_json::json!({"data": stream, "hex": hex, "end": end})
        }
        Seen::Trailers { stream, .. } => serde_json::json!({"trailers": stream}),
        Seen::Reset { stream, .. } => serde_json::json!({"reset": stream}),
        Seen::GoAway => serde_json::json!("goaway"),
        other => serde_json::json!(format!("{other:?}")),
    }
}

fn without_fields(expected: &Value) -> Value {
    let mut event = expected.clone();
    let object = event.as_object_mut().unwrap();
    object.remove("fields");
    if object.contains_key("goaway") {
        Value::from("goaway")
    } else {
        event
    }
}

fn check_fields(expected: &Value, seen: &Seen, name: &str) {
    let (Seen::Head { fields, .. } | Seen::Trailers { fields, .. }) = seen else { return };
    let expected: Vec<(String, String)> = serde_json::from_value(expected["fields"].clone()).unwrap();
    let plain = expected.iter().filter(|(name, _)| !name.starts_with(':') && name != "content-length").cloned();
    assert_eq!(*fields, plain.collect::<Vec<_>>(), "{name}");
    if let Seen::Head { start, .. } = seen {
        let pseudo = expected.iter().filter(|(name, _)| name.starts_with(':')).map(|(_, value)| value.as_str());
        assert_eq!(*start, pseudo.collect::<Vec<_>>().join(" "), "{name}");
    }
}

#[test]
fn another_implementations_conversations_are_seen_the_same_however_they_are_cut() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../../../tests/vectors/http2.json")).unwrap();
    for vector in vectors {
        let wire = bytes(&vector.wire);
        let mut whole = vector.end();
        let seen = whole.hears(&wire).saw();
        let expected: Vec<Value> = vector.seen.iter().map(without_fields).collect();
        assert_eq!(seen.iter().map(as_json).collect::<Vec<_>>(), expected, "{}", vector.name);
        vector.seen.iter().zip(&seen).for_each(|(expected, seen)| check_fields(expected, seen, &vector.name));
        let step = if wire.len() < EVERY_BYTE_BELOW { 1 } else { 997 };
        for cut in (0..wire.len()).step_by(step) {
            let mut end = vector.end();
            end.hears(&wire[..cut]).hears(&wire[cut..]);
            assert_eq!(end.saw(), seen, "{} cut at {cut}", vector.name);
        }
        let mut end = vector.end();
        for piece in wire.chunks(if step == 1 { 1 } else { 500 }) {
            end.hears(piece);
        }
        assert_eq!(end.saw(), seen, "{} in pieces", vector.name);
    }
}
