//! `tests/vectors/{http1,bolt,dubbo}.json`, shared with Python: what is seen is the same whole, byte by byte, and cut at every byte.

use serde::Deserialize;
use serde_json::{json, Value};

use crate::events::{Event, Wire};
use crate::head::Head;
use crate::{bolt, dubbo, framed, http1};

#[derive(Deserialize)]
struct Vector {
    name: String,
    asked: String,
    wire: String,
    seen: Vec<Value>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(head: &Head) -> Value {
    head.fields().map(|(name, value)| json!([text(name), text(value)])).collect()
}

/// Write an event the way the vectors do: what came with a head is told behind it.
fn seen(event: Event, head: &Head, input: &[u8]) -> Vec<Value> {
    let one = match event {
        Event::Head { body, end, .. } => {
            let end = end && body.is_empty();
            let told = if head.status > 0 {
                json!({"response": head.status, "fields": fields(head), "end": end})
            } else {
                let line = [text(head.method()), text(head.path()), text(head.authority())];
                json!({"request": line, "fields": fields(head), "end": end})
            };
            return vec![told, json!({"body": hex(body.of(input))})];
        }
        Event::Informational { .. } => json!({"informational": head.status}),
        Event::Data { piece, .. } => json!({"body": hex(piece.of(input))}),
        Event::Trailers { .. } => json!({"trailers": fields(head)}),
        Event::Fault(fault) => json!({"fault": fault.status}),
        other => json!(format!("{other:?}")),
    };
    vec![one]
}

/// Decode `parts` one after the other; bodies are joined.
fn hear(wire: &mut impl Wire, parts: &[&[u8]]) -> Vec<Value> {
    let (mut all, mut kept, mut head, mut out): (Vec<Value>, Vec<u8>, _, _) =
        (Vec::new(), Vec::new(), Head::default(), Vec::new());
    for part in parts {
        kept.extend_from_slice(part);
        loop {
            let (used, event) = wire.decode(&kept, &mut head, &mut out);
            let told = event.map(|event| seen(event, &head, &kept));
            kept.drain(..used);
            let Some(told) = told else { break };
            for next in told {
                let (body, before) = (next["body"].as_str(), all.last().and_then(|last| last["body"].as_str()));
                match (body, before) {
                    (Some(""), _) => {}
                    (Some(body), Some(before)) => *all.last_mut().unwrap() = json!({"body": format!("{before}{body}")}),
                    _ => all.push(next),
                }
            }
            if matches!(event, Some(Event::Fault(_))) {
                assert_eq!(wire.decode(b"more", &mut head, &mut out), (0, event), "after an error still that error");
                return all;
            }
        }
    }
    all
}

fn check<W: Wire>(file: &str, make: impl Fn(&str) -> W) {
    let vectors: Vec<Vector> = serde_json::from_str(file).unwrap();
    for vector in vectors {
        let wire = bytes(&vector.wire);
        let run = |parts: &[&[u8]]| hear(&mut make(&vector.asked), parts);
        assert_eq!(run(&[&wire]), vector.seen, "{}", vector.name);
        let single: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(run(&single), vector.seen, "{} byte by byte", vector.name);
        for cut in 1..wire.len() {
            assert_eq!(run(&[&wire[..cut], &wire[cut..]]), vector.seen, "{} cut at {cut}", vector.name);
        }
    }
}

/// Let a client side ask, so that there is something to answer.
fn ask(mut wire: impl Wire, method: &str) -> impl Wire {
    let mut head = Head::default();
    head.set_method(method.as_bytes());
    head.set_path(b"/");
    let stream = wire.open();
    wire.head(stream, &head, b"", true, &mut Vec::new());
    wire
}

/// Either side, as one type.
enum Side<S, C> {
    Server(S),
    Client(C),
}

macro_rules! both {
    ($self:ident, $wire:ident => $body:expr) => {
        match $self {
            Side::Server($wire) => $body,
            Side::Client($wire) => $body,
        }
    };
}

impl<S: Wire, C: Wire> Wire for Side<S, C> {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        both!(self, wire => wire.decode(input, head, out))
    }
    fn eof(&mut self, rest: usize) -> Option<Event> {
        both!(self, wire => wire.eof(rest))
    }
    fn open(&mut self) -> u64 {
        both!(self, wire => wire.open())
    }
    fn room(&self) -> usize {
        both!(self, wire => wire.room())
    }
    fn head(&mut self, stream: u64, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        both!(self, wire => wire.head(stream, head, body, end, out))
    }
    fn data(&mut self, stream: u64, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        both!(self, wire => wire.data(stream, bytes, end, out))
    }
    fn trailers(&mut self, stream: u64, trailers: &Head, out: &mut Vec<u8>) {
        both!(self, wire => wire.trailers(stream, trailers, out));
    }
    fn local_reply(&mut self, stream: u64, reply: &crate::events::LocalReply<'_>, out: &mut Vec<u8>) {
        both!(self, wire => wire.local_reply(stream, reply, out));
    }
    fn reset(&mut self, stream: u64, cause: crate::events::Cause, out: &mut Vec<u8>) -> bool {
        both!(self, wire => wire.reset(stream, cause, out))
    }
    fn drain(&mut self, out: &mut Vec<u8>) {
        both!(self, wire => wire.drain(out));
    }
    fn closing(&self) -> bool {
        both!(self, wire => wire.closing())
    }
}

#[test]
fn http1_vectors_cut_anywhere_give_the_same_events() {
    check(include_str!("../../../tests/vectors/http1.json"), |asked| match asked {
        "" => Side::Server(http1::Server::new(http1::HeadLimits::default())),
        method => Side::Client(ask(http1::Client::default(), method)),
    });
}

#[test]
fn bolt_vectors_cut_anywhere_give_the_same_events() {
    check(include_str!("../../../tests/vectors/bolt.json"), |asked| match asked {
        "" => Side::Server(framed::Server::<bolt::Codec>::default()),
        method => Side::Client(ask(framed::Client::<bolt::Codec>::default(), method)),
    });
}

#[test]
fn dubbo_vectors_cut_anywhere_give_the_same_events() {
    check(include_str!("../../../tests/vectors/dubbo.json"), |asked| match asked {
        "" => Side::Server(framed::Server::new(dubbo::Codec::default())),
        method => Side::Client(ask(framed::Client::new(dubbo::Codec::default()), method)),
    });
}
