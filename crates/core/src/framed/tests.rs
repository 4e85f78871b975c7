//! A small protocol of our own with everything a declaration can say, through both sides.

use std::sync::Arc;

use super::{Address, Answer, Call, Client, Declared, Extent, Protocol, Server};
use crate::events::{Cause, Event, LocalReply, ReplyKind, Wire};
use crate::head::{Head, Version};
use crate::hearing::hear;
use crate::limits::{MAX_FRAMED_ELEMENTS, MAX_FRAMED_FIELDS, MAX_FRAMED_HEAD, MAX_FRAMED_STREAMS};

/// `ab`, length of all but the first three bytes (little endian), kind, code, id, user (fixed), service, headers, body.
const TOY: &str = include_str!("toy.json");

/// The stream of the first request that wants an answer.
const FIRST: u64 = 1 << 32;

fn toy() -> Arc<Protocol> {
    Arc::new(Protocol::compile(TOY).unwrap())
}

fn server() -> Server<Declared> {
    Server::new(Declared::new(&toy(), 3))
}

fn client() -> Client<Declared> {
    Client::new(Declared::new(&toy(), 3))
}

fn frame(kind: u8, code: u16, id: u64, service: &str, pairs: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut rest = vec![kind];
    rest.extend_from_slice(&code.to_be_bytes());
    rest.extend_from_slice(&id.to_be_bytes());
    rest.extend_from_slice(b"me\0\0");
    rest.extend_from_slice(&u16::try_from(service.len()).unwrap().to_be_bytes());
    rest.extend_from_slice(service.as_bytes());
    let mut block = Vec::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        block.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        block.extend_from_slice(text.as_bytes());
    }
    rest.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
    rest.extend_from_slice(&block);
    rest.extend_from_slice(body);
    let mut frame = b"ab\0".to_vec();
    frame.extend_from_slice(&u32::try_from(rest.len() + 4).unwrap().to_le_bytes());
    frame.extend_from_slice(&rest);
    frame
}

fn conversation() -> Vec<u8> {
    [
        frame(0, 7, 1, "S", &[("k", "v"), ("budget", "250")], b"body"),
        frame(9, 0x0102, 5, "", &[], b""),
        frame(2, 8, 2, "T", &[], b""),
        frame(12, 0, 0, "", &[], b"nothing to us"),
        frame(0, 9, u64::MAX, "", &[], b"last"),
    ]
    .concat()
}

#[test]
fn frames_cut_anywhere_are_the_same_events() {
    let input = conversation();
    let whole = hear(&mut server(), &input, input.len());
    let mut reply = frame(10, 0x0102, 5, "", &[], b"");
    reply[18..22].fill(0); // the user is not echoed
    assert_eq!((whole.0.len(), &whole.1), (3, &reply));
    assert!(matches!(whole.0[0].0, Event::Head { stream: FIRST, end: true, .. }) && whole.0[0].1.starts_with(b"/S/7"));
    for cut in 1..input.len() {
        assert_eq!(hear(&mut server(), &input, cut), whole, "{cut}");
    }
}

#[test]
fn only_the_id_of_a_message_changes() {
    let (mut server, mut client, mut head, mut out) = (server(), client(), Head::default(), Vec::new());
    let request = frame(0, 7, 0xfedc_ba98_7654_3210, "S", &[("budget", "250")], b"body");
    server.decode(&request, &mut head, &mut out);
    assert_eq!((head.version, head.frame.timeout_ms, head.get(b"user")), (Version::Framed(3), 250, Some(&b"me"[..])));
    client.last = 41;
    let stream = client.open();
    client.head(stream, &head, b"body", true, &mut out);
    assert_eq!(out, frame(0, 7, 42, "S", &[("budget", "250")], b"body"));
    out.clear();
    let answer = frame(1, 0x8001, 42, "", &[], b"no");
    let (used, event) = client.decode(&answer, &mut head, &mut out);
    let Some(Event::Head { stream: 42, body, end: true }) = event else { panic!("{event:?}") };
    assert_eq!((used, head.status, body.of(&answer)), (answer.len(), 500, &b"no"[..]));
    server.head(FIRST, &head, b"no", true, &mut out);
    assert_eq!(out, frame(1, 0x8001, 0xfedc_ba98_7654_3210, "", &[], b"no"));
}

#[test]
fn the_address_of_a_call_is_read_where_it_lies() {
    let (mut server, mut head) = (server(), Head::default());
    let request = frame(0, 7, 3, "com.example.S", &[("budget", " 250 "), ("budget", "9")], b"body");
    let behind = [request.clone(), frame(0, 8, 4, "other", &[], b"")].concat();
    let mut unused = Head::default();
    let (mut call, mut address) = (Call::default(), Address::default());
    assert!(server.call(&behind, &mut call, &mut address, &mut unused));
    assert_eq!(
        (call.extent.length, call.extent.passes, call.body, call.timeout_ms),
        (request.len(), request.len(), 4, 250)
    );
    assert_eq!((address.service, address.method), (&b"com.example.S"[..], &[0, 7][..]));
    assert!(server.describe(&behind, &mut head));
    assert_eq!((head.authority(), head.frame.timeout_ms), (address.service, call.timeout_ms));
    assert!(server.is_between(), "nobody waits before it is taken");
    let stream = server.take(&behind);
    let (answer, mut out) = (frame(1, 0, 42, "", &[], b"yes"), Vec::new());
    let extent = Extent { passes: answer.len(), length: answer.len(), ..call.extent };
    let told = Answer { stream: 42, version: Version::Framed(4), status: 200, extent };
    assert!(!server.pass(stream, &told, &answer, &mut out) && out.is_empty(), "it is of another protocol");
    let told = Answer { version: Version::Framed(3), ..told };
    assert!(server.pass(stream, &told, &answer, &mut out) && server.is_between());
    assert_eq!(out, frame(1, 0, 3, "", &[], b"yes"));
    assert!(!server.pass(stream, &told, &answer, &mut out), "nobody waits any more");
    let mut none = |input: &[u8]| {
        let (mut address, mut head) = (Address::default(), Head::default());
        assert!(!server.call(input, &mut call, &mut address, &mut head), "{input:?}");
    };
    none(&request[..request.len() - 1]);
    none(&frame(2, 7, 3, "S", &[], b"oneway"));
    none(&frame(9, 7, 3, "S", &[], b"a heartbeat"));
    none(&frame(0, 7, 3, "S", &[("k-proxy-request", "activator")], b""));
    none(&frame(0, 7, 3, "S", &[("k", "v"); MAX_FRAMED_FIELDS + 1], b""));
    none(b"another protocol");
}

#[test]
fn errors_echo_what_their_request_said_and_oneway_gets_none() {
    let mut server = server();
    hear(&mut server, &conversation(), 1000);
    let mut reply = |kind, stream, body: &[u8]| {
        let mut out = Vec::new();
        server.local_reply(stream, &LocalReply { status: 503, body, fields: &[], kind }, &mut out);
        out
    };
    assert_eq!(reply(ReplyKind::Timeout, FIRST, b"late"), frame(1, 7, 1, "S", &[], b"\x04late"));
    assert_eq!(reply(ReplyKind::Timeout, FIRST, b"twice"), b"");
    assert_eq!(reply(ReplyKind::NoRoute, (1 << 31) | 1, b"oneway"), b"");
    let long = reply(ReplyKind::Broken, FIRST + 1, &[b'x'; 300]);
    assert_eq!(long, frame(1, 1, u64::MAX, "", &[], &[&[255][..], &[b'x'; 255]].concat()));
}

#[test]
fn answers_to_nothing_are_dropped_and_a_goodbye_is_heard() {
    let mut client = client();
    let stray = [frame(1, 0, 9, "", &[], b"late"), frame(0, 0, 1, "asks", &[], b""), frame(10, 0, 1, "", &[], b"")];
    assert_eq!(hear(&mut client, &stray.concat(), 1000), (vec![], vec![]));
    let stream = client.open();
    client.reset(stream, Cause::Timeout, &mut Vec::new());
    assert!(hear(&mut client, &frame(1, 0, stream, "", &[], b""), 1000).0.is_empty(), "the late answer");
    assert!(client.room() > 0);
    let (seen, _) = hear(&mut client, &frame(11, 0, 0, "", &[], b""), 1000);
    assert!(matches!(seen[..], [(Event::GoAway, _)]) && client.room() == 0 && client.closing());
}

#[test]
fn garbage_and_giants_are_faults_before_memory_is_spent() {
    let mut giant = frame(0, 0, 1, "S", &[], b"");
    giant[3..7].copy_from_slice(&100_000_u32.to_le_bytes());
    let mut short = frame(0, 0, 1, "S", &[], b"");
    short[3..7].copy_from_slice(&9_u32.to_le_bytes());
    let mut negative = frame(0, 0, 1, "S", &[], b"");
    negative[3..7].copy_from_slice(&[0; 4]);
    let mut long_text = frame(0, 0, 1, "S", &[], b"");
    long_text[22] = 0xff;
    let long_head = frame(0, 0, 1, &"s".repeat(MAX_FRAMED_HEAD - 20), &[], b"");
    let unknown = frame(77, 0, 1, "S", &[], b"");
    let crowded = frame(0, 0, 1, "S", &vec![("", ""); MAX_FRAMED_FIELDS + 1], b"");
    let mut torn = frame(0, 0, 1, "S", &[("k", "v")], b"");
    torn[30] = 99;
    let bad: [&[u8]; 10] = [
        b"ax",
        b"GET / HTTP/1.1\r\n",
        &giant[..7],
        &short[..10],
        &negative[..7],
        &long_text[..24],
        &long_head[..MAX_FRAMED_HEAD + 5],
        &unknown,
        &crowded,
        &torn,
    ];
    for (number, bad) in bad.iter().enumerate() {
        let mut server = server();
        let (seen, _) = hear(&mut server, bad, 100_000);
        assert!(matches!(seen.last(), Some((Event::Fault(_), _))), "{number}: {seen:?}");
        let again = server.decode(b"", &mut Head::default(), &mut Vec::new());
        assert!(matches!(again, (0, Some(Event::Fault(_)))), "after an error still that error");
    }
}

#[test]
fn requests_on_one_connection_are_bounded() {
    let (mut server, mut out, mut head) = (server(), Vec::new(), Head::default());
    let request = frame(0, 7, 1, "S", &[], b"");
    for _ in 0..MAX_FRAMED_STREAMS {
        assert!(server.decode(&request, &mut head, &mut out).1.is_some());
    }
    assert_eq!(server.decode(&request, &mut head, &mut out), (request.len(), None));
    assert!(out.starts_with(&frame(1, 1, 1, "S", &[], &[46])[..3]) && out.ends_with(b"in flight on this connection"));
    let mut client = client();
    (0..MAX_FRAMED_STREAMS).for_each(|_| assert!(client.open() > 0));
    assert_eq!(client.room(), 0);
}

/// Compile the declaration with one thing changed; return the error.
fn refused(from: &str, to: &str) -> String {
    assert!(TOY.contains(from), "{from}");
    Protocol::compile(&TOY.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn a_declaration_that_cannot_work_is_refused_with_the_field_that_is_wrong() {
    let id = r#"{"id": {"size": 8}}"#;
    for (from, to, error) in [
        (r#""name": "toy""#, r#""name": "To y""#, "name: \"To y\" must be 1 to 64 of a-z, 0-9 and -"),
        ("100000", "99999999", "max_frame_bytes: 99999999 is out of range; accepted are 1 to 16777216"),
        (id, r#"{"skip": 8}"#, "frame: has no id; without one answers cannot find their requests"),
        (id, r#"{"id": {"size": 3}}"#, "frame[5].id.size: 3 is none of [4, 8]"),
        (id, r#"{"id": {"size": 8}}, {"id": {"size": 8}}"#, "frame[6]: the frame has an id already"),
        (id, r#"{"id": {"width": 8}}"#, "frame[5]: unknown field `width`, expected `size` or `endian`"),
        (
            id,
            r#"{"section": {"prefix": 4}}, {"id": {"size": 8}}"#,
            "frame[6]: stands behind a section; what is read must stand before all of them",
        ),
        (
            r#"{"magic": "6162"}"#,
            r#"{"magic": 6162}"#,
            "frame[0].magic: 6162 is not a text; put hexadecimal into quotes",
        ),
        (
            r#"{"magic": "6162"}"#,
            r#"{"magic": "616"}"#,
            "frame[0].magic: \"616\" is not bytes in hexadecimal (1 to 512)",
        ),
        (r#"{"skip": 1}"#, r#"{"skip": 0}"#, "frame[1].skip: 0 is none of 1 to 4096"),
        (r#""name": "code""#, r#""name": "kind""#, "frame[4]: the name \"kind\" is given twice"),
        (
            r#""when": {"kind": 2}"#,
            r#""when": {"kin": 2}"#,
            "kinds[6].when.kin: no number is called \"kin\"; there are [\"kind\", \"code\"]",
        ),
        (
            r#""equals": 32768"#,
            r#""equals": 1"#,
            "kinds[4].when.code: 0x1 has bits outside of the mask 0x8000; it never holds",
        ),
        (r#""is": "request""#, r#""is": "ignored""#, "kinds: no rule says what a request is"),
        (
            r#"{"text": "service"}"#,
            r#"{"text": "server"}"#,
            "route.service: no text is called \"server\"; there are [\"user\", \"service\"]",
        ),
        (
            r#"{"text": "service"}"#,
            r#"{"number": "code", "header": "x"}"#,
            "route.service: give exactly one of text, header and number",
        ),
        (r#""timeout": 7"#, r#""timeout": 65536"#, "error.codes: 65536 does not fit into 2 bytes"),
        (
            r#"{"bytes": "0a"}"#,
            r#"{"bytes": "09"}"#,
            "heartbeat_reply: read back, it is heartbeat; it must be heartbeat_reply",
        ),
        (
            r#"{"bytes": "01"}"#,
            r#"{"bytes": "00"}"#,
            "error.frame: read back, it is request; it must be response or failure",
        ),
        (r#"{"bytes": "00000000"}, {"text""#, r#"{"text""#, "error.frame: read back, the frame is too large"),
        (r#"{"echo": "user"}"#, r#"{"echo": "client"}"#, "error.frame[5].echo: nothing is called \"client\""),
    ] {
        assert_eq!(refused(from, to), error, "{to}");
    }
    let many = vec![r#"{"skip": 1}"#; MAX_FRAMED_ELEMENTS].join(",");
    let error = refused(r#"{"skip": 1}"#, &many);
    assert_eq!(error, "frame: has 40 elements; at most 32");
    let names: Vec<String> = (0..9).map(|n| format!(r#"{{"number": {{"name": "n{n}", "size": 1}}}}"#)).collect();
    assert_eq!(refused(r#"{"skip": 1}"#, &names.join(",")), "frame[9]: more than 8 names of its kind");
    assert_eq!(Protocol::compile("{"), Err("EOF while parsing an object".to_owned()));
}
