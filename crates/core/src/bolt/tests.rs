//! Frames captured from Java sofa-bolt, anthunder and sofa-bolt-node go through both sides.

use super::Codec;
use crate::events::{Cause, Event, LocalReply, ReplyKind, StreamId, Wire};
use crate::framed;
use crate::head::{Dialect, Head};
use crate::hearing::{bytes, hear};
use crate::limits::MAX_BOLT_CONTENT;

type Server = framed::Server<Codec>;
type Client = framed::Client<Codec>;

const REQUEST: &str = "0101000101000000010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f62";
const RESPONSE: &str = "01000002010000000101000000100000000000076a6176612e6c616e672e537472696e6706686920626f62";
const ONEWAY: &str = "01020001010000000201ffffffff00100000000000046a6176612e6c616e672e537472696e67036f6e65";
const HEARTBEAT: &str = "01010000010000000501ffffffff0000000000000000";
const HEARTBEAT_ACK: &str = "0100000001000000050100000000000000000000";

const V2_REQUEST: &str = "02010100010100000001010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f62";
const CHECKED_REQUEST: &str =
    "02020100010100000008010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f6246030f28";
const CHECKED_RESPONSE: &str =
    "020200000201000000080101000000100000000000076a6176612e6c616e672e537472696e6706686920626f62cfecf1ce";

/// A request with a header map.
fn mapped(id: u32, pairs: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
    let mut map = Vec::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        map.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        map.extend_from_slice(text.as_bytes());
    }
    let mut frame = vec![1, 1, 0, 1, 1];
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(&[11, 0, 0, 0x0b, 0xb8, 0, 1]);
    frame.extend_from_slice(&u16::try_from(map.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
    frame.push(b'C');
    frame.extend_from_slice(&map);
    frame.extend_from_slice(content);
    frame
}

fn following(last: u32) -> Client {
    following_in(Dialect::V1, last)
}

fn following_in(dialect: Dialect, last: u32) -> Client {
    let mut client = Client::new(Codec::new(dialect));
    client.last = u64::from(last);
    client
}

/// Return a server that has heard a request, and the stream of its caller.
fn asked(request: &[u8]) -> (Server, StreamId) {
    let mut server = Server::default();
    let (_, event) = server.decode(request, &mut Head::default(), &mut Vec::new());
    let Some(Event::Head { stream, .. }) = event else { panic!("{event:?}") };
    (server, stream)
}

#[test]
fn frames_cut_anywhere_are_the_same_events() {
    let input = [bytes(REQUEST), bytes(HEARTBEAT), bytes(ONEWAY), mapped(7, &[("service", "S:1.0")], b"")].concat();
    let whole = hear(&mut Server::default(), &input, input.len());
    assert_eq!((whole.0.len(), &whole.1), (3, &bytes(HEARTBEAT_ACK)));
    for cut in 1..input.len() {
        assert_eq!(hear(&mut Server::default(), &input, cut), whole, "{cut}");
    }
}

#[test]
fn only_the_id_of_a_message_changes() {
    let (mut client, mut out, mut head) = (following(41), Vec::new(), Head::default());
    Server::default().decode(&bytes(REQUEST), &mut head, &mut out);
    let stream = client.open();
    client.head(stream, &head, b"\x03bob", true, &mut out);
    assert_eq!(out, bytes(&REQUEST.replacen("00000001", "0000002a", 1)));
    assert_eq!(head.frame.timeout_ms, 3000);

    let answer = bytes(&RESPONSE.replacen("00000001", "0000002a", 1));
    out.clear();
    let (used, event) = client.decode(&answer, &mut head, &mut out);
    let Some(Event::Head { stream: 42, body, end: true }) = event else { panic!("{event:?}") };
    assert_eq!(used, answer.len());
    let (mut server, caller) = asked(&bytes(REQUEST));
    server.head(caller, &head, body.of(&answer), true, &mut out);
    assert_eq!(out, bytes(RESPONSE));
}

#[test]
fn edited_header_maps_are_written_anew() {
    let (mut head, mut out) = (Head::default(), Vec::new());
    let frame = mapped(1, &[("service", "S"), ("old", "x")], b"body");
    Server::default().decode(&frame, &mut head, &mut out);
    head.remove(b"old");
    head.set(b"new", b"yy");
    let mut client = Client::default();
    let stream = client.open();
    client.head(stream, &head, b"body", true, &mut out);
    assert_eq!(out, mapped(1, &[("service", "S"), ("new", "yy")], b"body"));
}

#[test]
fn ids_wrap_and_pass_over_those_in_use() {
    let mut client = following(u32::MAX - 1);
    assert_eq!((client.open(), client.open(), client.open()), (u64::from(u32::MAX), 0, 1));
    client.last = u64::from(u32::MAX - 1);
    assert_eq!(client.open(), 2);
}

#[test]
fn answers_to_nothing_are_dropped() {
    let mut client = Client::default();
    let (seen, out) = hear(&mut client, &[bytes(RESPONSE), bytes(HEARTBEAT_ACK)].concat(), 1000);
    assert_eq!((seen.len(), out.len()), (0, 0));
    let stream = client.open();
    client.reset(stream, Cause::Timeout, &mut Vec::new());
    assert!(hear(&mut client, &bytes(RESPONSE), 1000).0.is_empty(), "the late answer");
}

#[test]
fn errors_are_bolt_statuses_and_oneway_gets_none() {
    let reply = |kind, request: &[u8]| {
        let ((mut server, caller), mut out) = (asked(request), Vec::new());
        server.local_reply(caller, &LocalReply { status: 503, body: b"text", fields: &[], kind }, &mut out);
        out
    };
    let one = mapped(0xffff_fffe, &[("service", "S")], b"");
    assert_eq!(reply(ReplyKind::NoRoute, &one), bytes("0100000201fffffffe0b00060000000000000000"));
    assert_eq!(reply(ReplyKind::NoEndpoint, &one)[10..12], [0, 0x10]);
    assert_eq!(reply(ReplyKind::Timeout, &one)[10..12], [0, 7]);
    assert_eq!(reply(ReplyKind::Overload, &one)[10..12], [0, 4]);
    assert_eq!(reply(ReplyKind::NoRoute, &bytes(ONEWAY)), b"");
}

#[test]
fn garbage_and_giants_are_faults_before_memory_is_spent() {
    let mut giant = bytes(REQUEST);
    giant[18..22].copy_from_slice(&u32::try_from(MAX_BOLT_CONTENT + 1).unwrap().to_be_bytes());
    let map = mapped(1, &[("a", "b")], b"");
    let mut cut_map = map.clone();
    cut_map[23..27].copy_from_slice(&[0, 0, 0, 200]);
    for bad in [&b"GET / HTTP/1.1\r\n"[..], b"\x03\x01", b"\x02\x03", b"\x01\x03", &giant[..22], &cut_map] {
        let mut server = Server::default();
        let (seen, _) = hear(&mut server, bad, 1000);
        assert!(matches!(seen.last(), Some((Event::Fault(_), _))), "{bad:?}");
        let again = server.decode(b"", &mut Head::default(), &mut Vec::new());
        assert!(matches!(again, (0, Some(Event::Fault(_)))), "after an error still that error");
    }
}

/// Send a request through both sides under id 8; return what the server hears.
fn through(request: &[u8], dialect: Dialect) -> Vec<u8> {
    let (mut server, mut client) = (Server::default(), following_in(dialect, 7));
    let (mut head, mut out) = (Head::default(), Vec::new());
    let (used, event) = server.decode(request, &mut head, &mut out);
    let Some(Event::Head { body, end: true, .. }) = event else { panic!("{event:?}") };
    assert_eq!(used, request.len(), "its checksum is used up with it");
    let stream = client.open();
    client.head(stream, &head, body.of(request), true, &mut out);
    out
}

#[test]
fn checksums_are_made_anew_for_the_new_id_and_only_where_there_are_some() {
    let as_eight = |frame: &str, at| [&frame[..at], "00000008", &frame[at + 8..]].concat();
    assert_eq!(through(&bytes(V2_REQUEST), Dialect::V2), bytes(&as_eight(V2_REQUEST, 12)));
    // Java's own frame under id 8, reached from another id.
    let mut other = bytes(CHECKED_REQUEST);
    other[9] = 0x63;
    let length = other.len() - 4;
    let sum = crc32fast::hash(&other[..length]).to_be_bytes();
    other[length..].copy_from_slice(&sum);
    assert_eq!(through(&other, Dialect::V2Checked), bytes(CHECKED_REQUEST));
    // The switch is set on every request of version 1, which has no checksum; version 2 without the switch has none either.
    let mut unchecked = bytes(CHECKED_REQUEST);
    unchecked[11] = 0;
    unchecked.truncate(length);
    assert_eq!(through(&unchecked, Dialect::V2Checked), unchecked);
    // Without content the checksum goes with the head.
    let mut empty = bytes("0202010001010000000801010000000a000000000000000000000000");
    let sum = crc32fast::hash(&empty[..24]).to_be_bytes();
    empty[24..].copy_from_slice(&sum);
    assert_eq!(through(&empty, Dialect::V2Checked), empty);
}

#[test]
fn answers_come_in_the_version_of_their_request() {
    let answer = |frame: &[u8]| {
        let (mut client, (mut server, caller)) = (following_in(Dialect::V2Checked, 7), asked(&bytes(CHECKED_REQUEST)));
        let (mut head, mut out) = (Head::default(), Vec::new());
        client.open();
        let (_, event) = client.decode(frame, &mut head, &mut out);
        let Some(Event::Head { body, .. }) = event else { panic!("{event:?}") };
        server.head(caller, &head, body.of(frame), true, &mut out);
        out
    };
    assert_eq!(answer(&bytes(CHECKED_RESPONSE)), bytes(CHECKED_RESPONSE));
    // A server that answers in version 1 nevertheless: the same answer, without the checksum it never had.
    let old = bytes(&RESPONSE.replacen("00000001", "00000008", 1));
    let mut expected = bytes(&CHECKED_RESPONSE[..CHECKED_RESPONSE.len() - 8]);
    expected[11] = 0;
    assert_eq!(answer(&old), expected);
    // As it lies it passes only in the version of its request, whatever that of its connection.
    let passed = |frame: &[u8]| {
        let (mut client, (mut server, caller)) = (following_in(Dialect::V2Checked, 7), asked(&bytes(CHECKED_REQUEST)));
        let mut out = Vec::new();
        client.open();
        let answer = client.answer(frame).unwrap();
        server.pass(caller, &answer, frame, &mut out).then_some(out)
    };
    assert_eq!((passed(&bytes(CHECKED_RESPONSE)), passed(&old)), (Some(bytes(CHECKED_RESPONSE)), None));
    let mut out = Vec::new();
    let reply = LocalReply { status: 504, body: b"", fields: &[], kind: ReplyKind::Timeout };
    let (mut server, caller) = asked(&bytes(CHECKED_REQUEST));
    server.local_reply(caller, &reply, &mut out);
    assert_eq!(out, bytes("02020000020100000008010000070000000000000000"));
}

#[test]
fn heartbeats_are_acknowledged_in_their_version() {
    for (heartbeat, ack) in [
        ("020101000001000000050100ffffffff0000000000000000", "02010000000100000005010000000000000000000000"),
        ("0202010000010000000f0100ffffffff0000000000000000", "0202000000010000000f010000000000000000000000"),
        ("02020100000100000006010100000bb800000000000000003e99442d", "02020000000100000006010000000000000000000000"),
    ] {
        assert_eq!(hear(&mut Server::default(), &bytes(heartbeat), 1000), (vec![], bytes(ack)));
        assert_eq!(hear(&mut Client::default(), &bytes(heartbeat), 1000), (vec![], bytes(ack)));
    }
}
