//! Frames of dubbo2.js and Java, and Hessian bodies built to cost more than they may.

use super::hessian::{arguments, write_string, Reader};
use super::Codec;
use crate::events::{Event, LocalReply, ReplyKind, Wire};
use crate::framed::{Client, Server};
use crate::head::{Head, Version};
use crate::hearing::{bytes, hear};
use crate::limits::{MAX_DUBBO_BODY, MAX_HESSIAN_DEPTH, MAX_HESSIAN_VALUES};

/// `sayHello("bob")` of dubbo2.js 2.3.9.
const REQUEST: &str = "dabbc2000000000000000001000000ac05322e302e3218636f6d2e6578616d706c652e48656c6c6f5365727669636505312e\
    302e300873617948656c6c6f124c6a6176612f6c616e672f537472696e673b03626f62480b6170706c69636174696f6e09647562626f322e6a7309\
    696e7465726661636518636f6d2e6578616d706c652e48656c6c6f53657276696365047061746818636f6d2e6578616d706c652e48656c6c6f5365\
    72766963650776657273696f6e05312e302e305a";
const VALUE: &str = "dabb021400000000000000010000000b910968656c6c6f20626f62";
const THROWN: &str = "dabb0214000000000000000100000003900178";
const HEARTBEAT: &str = "dabbe2000000000000000002000000014e";
const HEARTBEAT_REPLY: &str = "dabb22140000000000000002000000014e";
const READONLY: &str = "dabba2000000000000000003000000020152";

fn server() -> Server<Codec> {
    Server::new(Codec::default())
}

fn client() -> Client<Codec> {
    Client::new(Codec::default())
}

/// A call of `S/m` with a descriptor and whatever lies behind it.
fn call(descriptor: &str, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for text in ["2.0.2", "S", "1.0", "m", descriptor] {
        body.push(u8::try_from(text.len()).unwrap());
        body.extend_from_slice(text.as_bytes());
    }
    body.extend_from_slice(rest);
    let mut frame = bytes("dabbc2000000000000000009");
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// Decode one call; return its head.
fn read(frame: &[u8]) -> Head {
    let mut head = Head::default();
    let (used, event) = server().decode(frame, &mut head, &mut Vec::new());
    assert!(matches!(event, Some(Event::Head { .. })) && used == frame.len(), "{event:?}");
    head
}

#[test]
fn frames_cut_anywhere_are_the_same_events() {
    let mut oneway = bytes(REQUEST);
    oneway[2] = 0x82;
    let input = [bytes(HEARTBEAT), bytes(REQUEST), oneway, bytes(HEARTBEAT), bytes(HEARTBEAT_REPLY)].concat();
    let whole = hear(&mut server(), &input, input.len());
    assert_eq!((whole.0.len(), &whole.1), (2, &bytes(HEARTBEAT_REPLY).repeat(2)));
    assert!(whole.0[0].1.starts_with(b"/com.example.HelloService/sayHello"));
    for cut in 1..input.len() {
        assert_eq!(hear(&mut server(), &input, cut), whole, "{cut}");
    }
}

#[test]
fn a_call_is_known_by_its_strings_and_its_attachments() {
    let head = read(&bytes(REQUEST));
    assert_eq!(
        (head.version, head.authority(), head.method()),
        (Version::Dubbo, &b"com.example.HelloService"[..], &b"sayHello"[..])
    );
    let fields: Vec<_> =
        head.fields().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value)).collect();
    let expected: [(&str, &[u8]); 5] = [
        ("dubbo", b"2.0.2"),
        ("version", b"1.0.0"),
        ("application", b"dubbo2.js"),
        ("interface", b"com.example.HelloService"),
        ("path", b"com.example.HelloService"),
    ];
    assert!(fields.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected));
    // An object with two fields, a list, a map, bytes, a long, a date, a reference; then the attachments.
    let arguments =
        bytes("4303612e42920178017960910173 5891 90 4801 61 91 5a 230102 03 4c0000000000000001 4b00000000 5190");
    let attachments = bytes("48 0567726f7570 0162 0774696d656f7574 cbe8 03 616e79 5b 5a");
    let head = read(&call("La/B;[ILc;[BJLd;Le;", &[arguments, attachments].concat()));
    assert_eq!((head.get(b"group"), head.frame.timeout_ms, head.get(b"any")), (Some(&b"b"[..]), 1000, None));
}

#[test]
fn what_cannot_be_read_is_routed_by_what_stands_before_it() {
    let endless = [vec![0x57], vec![0x90; MAX_HESSIAN_VALUES + 10], b"ZHZ".to_vec()].concat();
    let deep = [vec![0x79; MAX_HESSIAN_DEPTH + 2], b"NHZ".to_vec()].concat();
    let huge = bytes("58 497fffffff");
    let unknown_class = bytes("60 90 48 5a");
    let wide = [
        bytes("53ffff"),
        "é".as_bytes().repeat(0xffff),
        bytes("52ffff"),
        "é".as_bytes().repeat(0xffff),
        bytes("00485a"),
    ]
    .concat();
    for rest in [endless, deep, huge, unknown_class, wide, vec![0x40], vec![b'S', 0xff, 0xff, b'x'], vec![]] {
        let head = read(&call("La;", &rest));
        assert_eq!((head.authority(), head.get(b"version"), head.len()), (&b"S"[..], Some(&b"1.0"[..]), 2), "{rest:?}");
    }
    let mut other = bytes(REQUEST);
    other[2] = 0xd7; // fastjson2
    let head = read(&other);
    assert_eq!((head.path(), head.authority(), head.len()), (&b"/"[..], &b""[..], 0));
}

#[test]
fn values_are_skipped_to_their_last_byte() {
    for value in [
        "00",
        "03616263",
        "3003616263",
        "530003616263",
        "520001610162",
        "20",
        "23010203",
        "3403010203",
        "410001ff2101",
        "42000401020304",
        "46",
        "4e",
        "54",
        "80",
        "bf",
        "c000",
        "cfff",
        "d00000",
        "d7ffff",
        "4900000001",
        "d8",
        "ef",
        "f000",
        "ffff",
        "380000",
        "3fffff",
        "5900000001",
        "4c0000000000000001",
        "5b",
        "5c",
        "5d00",
        "5e0000",
        "5f00000000",
        "440000000000000000",
        "4a0000000000000000",
        "4b00000000",
        "485a",
        "4803616263915a",
        "4d0161 91 92 5a",
        "5501 61 91 5a",
        "5601 61 92 91 91",
        "57 91 5a",
        "58 92 91 91",
        "7101 61 91",
        "7a 91 91",
        "7290 91 91",
        "43016191016160 91",
        "43016190 4f90",
        "5191",
        "4a00000000000000ff",
    ] {
        let value = bytes(value);
        let mut reader = Reader::new(&value);
        assert_eq!((reader.skip(), reader.peek()), (Some(()), None), "{value:x?}");
        for cut in 0..value.len() {
            assert_eq!(Reader::new(&value[..cut]).skip(), None, "{value:x?} cut at {cut}");
        }
    }
    let pair = "\u{1f600}a".as_bytes();
    assert_eq!(Reader::new(&[&[3], pair].concat()).string(), Some(pair), "two units in four bytes");
    assert_eq!(
        Reader::new(&[2, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]).string().map(<[u8]>::len),
        Some(6),
        "as Java writes it"
    );
    assert_eq!(
        [&b""[..], b"I", b"Ljava/lang/String;[[IZ", b"[Ljava/lang/Object;", b"L", b"X"].map(arguments),
        [Some(0), Some(1), Some(3), Some(1), None, None]
    );
}

#[test]
fn only_the_id_changes_and_answers_find_their_caller() {
    let (mut server, mut client, mut head, mut out) = (server(), client(), Head::default(), Vec::new());
    let request = bytes(&REQUEST.replacen("0000000000000001", "fedcba9876543210", 1));
    let (_, event) = server.decode(&request, &mut head, &mut out);
    let Some(Event::Head { stream: caller, body, .. }) = event else { panic!() };
    let stream = client.open();
    client.head(stream, &head, body.of(&request), true, &mut out);
    assert_eq!(out, bytes(REQUEST));
    for (answer, status) in [(VALUE, 200), (THROWN, 500)] {
        let mut client = Client::new(Codec::default());
        client.open();
        client.decode(&bytes(answer), &mut head, &mut out);
        assert_eq!(head.status, status);
    }
    out.clear();
    client.decode(&bytes(VALUE), &mut head, &mut Vec::new());
    server.head(caller, &head, b"", true, &mut out);
    assert_eq!(out[..16], bytes("dabb0214fedcba98765432100000000b"));
}

#[test]
fn statuses_say_what_went_wrong() {
    let reply = |kind| {
        let (mut server, mut out) = (server(), Vec::new());
        let (_, event) = server.decode(&bytes(REQUEST), &mut Head::default(), &mut out);
        let Some(Event::Head { stream, .. }) = event else { panic!() };
        server.local_reply(stream, &LocalReply { status: 503, body: "no é".as_bytes(), fields: &[], kind }, &mut out);
        out
    };
    assert_eq!(reply(ReplyKind::NoRoute), bytes("dabb023c0000000000000001 00000006 530003 6e6f20"));
    let kinds = [
        ReplyKind::NoEndpoint,
        ReplyKind::Broken,
        ReplyKind::BadResponse,
        ReplyKind::Timeout,
        ReplyKind::Overload,
        ReplyKind::BadRequest,
        ReplyKind::Configured,
    ];
    assert_eq!(kinds.map(|kind| reply(kind)[3]), [80, 80, 50, 31, 100, 40, 70]);
    for (status, http) in [(31, 504), (30, 504), (100, 503), (60, 404), (40, 400), (80, 500)] {
        let (mut client, mut head, mut answer) = (client(), Head::default(), bytes(VALUE));
        client.open();
        answer[3] = status;
        client.decode(&answer, &mut head, &mut Vec::new());
        assert_eq!(head.status, http, "{status}");
    }
}

#[test]
fn readonly_ends_the_use_of_a_connection_and_is_said_when_draining() {
    let mut client = client();
    assert!(client.room() > 0);
    assert!(matches!(hear(&mut client, &bytes(READONLY), 100).0[..], [(Event::GoAway, _)]));
    assert!(client.room() == 0 && client.closing());
    // fastjson2, and fastjson with its line end; a mock event is nothing to us.
    for (event, gone) in [
        ("dabbb7000000000000000003000000024a52", true),
        ("dabba600000000000000000300000005225222 0d0a", true),
        ("dabba20000000000000000030000000201 48", false),
    ] {
        assert_eq!(hear(&mut Client::new(Codec::default()), &bytes(event), 100).0.len() == 1, gone, "{event}");
    }
    let mut out = Vec::new();
    let mut server = server();
    server.drain(&mut out);
    server.drain(&mut out);
    assert_eq!(out, bytes(&READONLY.replacen("0000000000000003", "0000000000000000", 1)));
}

#[test]
fn garbage_and_giants_are_faults_before_memory_is_spent() {
    let mut giant = bytes(REQUEST)[..16].to_vec();
    giant[12..].copy_from_slice(&u32::try_from(MAX_DUBBO_BODY + 1).unwrap().to_be_bytes());
    let event = bytes("dabbe200000000000000000200000041");
    for bad in [&b"ls\r\n"[..], b"\xda\xbc", &giant, &event] {
        assert!(matches!(hear(&mut server(), bad, 100).0.last(), Some((Event::Fault(_), _))), "{bad:?}");
    }
}

#[test]
fn a_string_is_read_as_it_was_written_whatever_its_length_and_letters() {
    for text in ["", "a", &"a".repeat(31), &"b".repeat(32), &"c".repeat(1_023), &"d".repeat(1_024), "h\u{e9} \u{1f600}"]
    {
        let mut out = vec![b'H'];
        write_string(text.as_bytes(), &mut out).unwrap();
        let mut reader = Reader::new(out.get(1..).unwrap());
        assert_eq!((reader.string(), reader.position()), (Some(text.as_bytes()), out.len() - 1));
    }
    assert_eq!(write_string(&[0xff], &mut Vec::new()), None, "no text");
    assert_eq!(write_string("a".repeat(65_536).as_bytes(), &mut Vec::new()), None, "longer than one piece");
}

#[test]
fn attachments_are_told_anew_only_where_the_head_was_edited() {
    let frame = call("", b"H\x01a\x01b\x02b3\x010\x01c\x91Z");
    let mut head = read(&frame);
    let write = |head: &Head| {
        let mut out = Vec::new();
        let mut client = client();
        let stream = client.open();
        client.head(stream, head, frame.get(16..).unwrap(), true, &mut out);
        out.split_off(12)
    };
    assert_eq!(write(&head), frame.get(12..).unwrap());
    head.set(b"b3", b"1-2-1");
    let expected = call("", b"H\x01a\x01b\x01c\x91\x02b3\x051-2-1Z");
    assert_eq!(write(&head), expected.get(12..).unwrap());
}
