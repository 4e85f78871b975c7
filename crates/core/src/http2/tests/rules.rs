use super::*;

fn with(extra: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GET[..], extra].concat()
}

#[test]
fn malformed_requests_are_reset_and_never_reach_the_engine() {
    let rows: [(&str, Vec<(&str, &str)>); 27] = [
        ("no method", GET[1..].to_vec()),
        ("no scheme", vec![GET[0], GET[2], GET[3]]),
        ("no path", GET[..3].to_vec()),
        ("no authority", vec![GET[0], GET[1], GET[3]]),
        ("empty path", vec![GET[0], GET[1], GET[2], (":path", "")]),
        ("relative path", vec![GET[0], GET[1], GET[2], (":path", "x")]),
        ("blank in path", vec![GET[0], GET[1], GET[2], (":path", "/a b")]),
        ("fragment in path", vec![GET[0], GET[1], GET[2], (":path", "/a#b")]),
        ("path * with GET", vec![GET[0], GET[1], GET[2], (":path", "*")]),
        ("line break in method", vec![(":method", "GET\r\n"), GET[1], GET[2], GET[3]]),
        ("userinfo in authority", vec![GET[0], GET[1], (":authority", "a@b"), GET[3]]),
        ("method twice", with(&[])[..1].iter().chain(&GET).copied().collect()),
        ("status in a request", [&[(":status", "200")], &GET[..]].concat()),
        ("unknown pseudo-header field", [&GET[..], &[(":protocol", "websocket")]].concat()),
        ("pseudo-header field after a regular one", vec![GET[0], GET[1], GET[2], ("a", "b"), GET[3]]),
        ("upper case", with(&[("X-Id", "1")])),
        ("blank in name", with(&[("x id", "1")])),
        ("empty name", with(&[("", "1")])),
        ("line break in value", with(&[("a", "b\r\nc: d")])),
        ("nul in value", with(&[("a", "b\0c")])),
        ("leading blank in value", with(&[("a", " b")])),
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("te", with(&[("te", "gzip")])),
        ("host differs", with(&[("host", "other.example")])),
        ("odd content-length", with(&[("content-length", "+1")])),
        ("two content-lengths", with(&[("content-length", "1"), ("content-length", "2")])),
    ];
    for (what, fields) in rows {
        let mut server = End::server();
        server.hears(&headers(1, &fields, false));
        assert_eq!((server.saw(), codes(&server.frames())), (vec![], vec![(Kind::RstStream, 1, 1)]), "{what}");
        server.hears(&data(1, b"late", true)).hears(&headers(3, &GET, true));
        assert!(matches!(server.saw()[..], [Seen::Head { stream: 3, .. }]), "{what}: the connection lives on");
    }
}

/// A literal that enters the table, where it is the newest entry: index 62.
fn entering(name: &str, value: &str) -> Vec<u8> {
    let sizes = [name.len(), value.len()].map(|size| u8::try_from(size).unwrap());
    [&[0x40, sizes[0]], name.as_bytes(), &[sizes[1]], value.as_bytes()].concat()
}

#[test]
fn what_the_table_lends_is_judged_as_if_it_were_spelt_out() {
    const NEWEST: &[u8] = &[0xbe];
    const NEWEST_NAME_WITH_V: &[u8] = &[0x0f, 62 - 15, 1, b'v'];
    let rows = [
        (("a", "b"), NEWEST, Some(("a", "b"))),
        (("a", "b"), NEWEST_NAME_WITH_V, Some(("a", "v"))),
        (("a", "b\0c"), NEWEST, None),
        (("a", " b"), NEWEST, None),
        (("X-Id", "1"), NEWEST, None),
        (("X-Id", "1"), NEWEST_NAME_WITH_V, None),
        (("te", "gzip"), NEWEST, None),
        (("connection", "close"), NEWEST, None),
        ((":status", "200"), NEWEST, None),
    ];
    for ((name, value), lent, delivered) in rows {
        let mut server = End::server();
        for (stream, last) in [(1, entering(name, value)), (3, lent.to_vec()), (5, lent.to_vec())] {
            server.hears(&frame(Kind::Headers, 0x5, stream, &[block(&GET), last].concat()));
            if stream > 1 {
                let seen = server.saw();
                let fields = delivered.map(|(name, value)| vec![(name.to_owned(), value.to_owned())]);
                let heads: Vec<_> = seen
                    .iter()
                    .map(|event| match event {
                        Seen::Head { fields, .. } => fields.clone(),
                        other => panic!("{name}: {value:?}: {other:?}"),
                    })
                    .collect();
                assert_eq!(heads, fields.into_iter().collect::<Vec<_>>(), "{name}: {value:?} from the table");
            }
            server.saw();
        }
    }
}

#[test]
fn an_authority_from_the_table_is_judged_too() {
    for (authority, taken) in [("shop.example", true), ("a@b", false)] {
        let mut server = End::server();
        for (stream, last) in [(1, entering(":authority", authority)), (3, vec![0xbe])] {
            let start = block(&[GET[0], GET[1], GET[3]]);
            server.hears(&frame(Kind::Headers, 0x5, stream, &[start, last].concat()));
            assert_eq!(server.saw().len(), usize::from(taken), "{authority} on stream {stream}");
        }
    }
}

#[test]
fn host_stands_in_for_authority_and_cookies_become_one() {
    let mut server = End::server();
    let fields = [GET[0], GET[1], GET[3], ("host", "a.b:80"), ("cookie", "x=1"), ("cookie", "y=2"), ("te", "trailers")];
    server.hears(&headers(1, &fields, true));
    let start = "GET http a.b:80 /x".to_owned();
    let fields = pairs(&[("te", "trailers"), ("cookie", "x=1; y=2")]);
    let [Seen::Head { start: seen, fields: got, .. }] = &server.saw()[..] else { panic!("no head") };
    let mut got = got.clone();
    got.sort_by(|a, b| b.cmp(a));
    assert_eq!((seen, got), (&start, fields));
}

#[test]
fn a_body_must_be_as_long_as_it_was_declared() {
    let declared = [&POST[..], &[("content-length", "5")]].concat();
    let bad = [
        [headers(1, &declared, true)].concat(),
        [headers(1, &declared, false), data(1, b"123456", false)].concat(),
        [headers(1, &declared, false), data(1, b"1234", true)].concat(),
        [headers(1, &declared, false), data(1, b"1234", false), headers(1, &[("t", "1")], true)].concat(),
    ];
    for bytes in bad {
        let mut server = End::server();
        server.hears(&bytes);
        assert_eq!(codes(&server.frames()), [(Kind::RstStream, 1, 1)]);
        assert!(!server.saw().iter().any(|seen| matches!(seen, Seen::Data { end: true, .. } | Seen::Trailers { .. })));
    }
    let mut server = End::server();
    server.hears(&headers(1, &declared, false)).hears(&data(1, b"12345", true));
    assert!(server.says().is_empty());
}

#[test]
fn malformed_responses_reset_their_stream_alone() {
    let ok = (":status", "200");
    let rows: [Vec<u8>; 11] = [
        headers(1, &[("server", "x")], true),
        headers(1, &[(":status", "20")], true),
        headers(1, &[(":status", "099")], true),
        headers(1, &[ok, (":method", "GET")], true),
        headers(1, &[(":status", "101")], false),
        headers(1, &[(":status", "103")], true),
        headers(1, &[ok, ("connection", "close")], true),
        data(1, b"before the head", false),
        [headers(1, &[ok, ("content-length", "3")], false), data(1, b"12", true)].concat(),
        [headers(1, &[(":status", "204")], false), data(1, b"12", true)].concat(),
        [headers(1, &[ok], false), headers(1, &[("no", "end")], false)].concat(),
    ];
    for bytes in rows {
        let mut client = End::client();
        client.hears(&bytes);
        assert_eq!(client.saw().last(), Some(&Seen::Reset { stream: 1, cause: Cause::Protocol }));
        assert_eq!(codes(&client.frames()), [(Kind::RstStream, 1, 1)]);
    }
}

#[test]
fn trailers_hold_neither_pseudo_header_fields_nor_framing() {
    for field in [(":path", "/y"), ("content-length", "1"), ("host", "a.b"), ("transfer-encoding", "chunked")] {
        let mut server = End::server();
        server.hears(&headers(1, &POST, false)).hears(&headers(1, &[field], true));
        assert_eq!(codes(&server.frames()), [(Kind::RstStream, 1, 1)], "{field:?}");
    }
}

#[test]
fn each_breach_of_framing_ends_the_connection_with_its_code() {
    let open = headers(1, &POST, false);
    let ended = headers(1, &GET, true);
    let after = |first: &[u8], then: Vec<u8>| [first, &then].concat();
    let rows: [(&str, Vec<u8>, u32); 30] = [
        ("frame too large", frame(Kind::Ping, 0, 0, &vec![0; 16_385])[..9].to_vec(), 6),
        ("DATA on stream 0", data(0, b"x", false), 1),
        ("DATA on an idle stream", data(1, b"x", false), 1),
        ("HEADERS on stream 0", headers(0, &GET, true), 1),
        ("HEADERS on an even stream", headers(2, &GET, true), 1),
        ("padding longer than DATA", after(&open, frame(Kind::Data, 0x8, 1, &[9, 0])), 1),
        ("padding longer than HEADERS", frame(Kind::Headers, 0xc, 1, &[9, 0]), 1),
        ("HEADERS without room for its priority", frame(Kind::Headers, 0x24, 1, &[0; 4]), 6),
        ("block interrupted", after(&frame(Kind::Headers, 0, 1, b""), frame(Kind::Ping, 0, 0, &[0; 8])), 1),
        ("block goes on elsewhere", after(&frame(Kind::Headers, 0, 1, b""), frame(Kind::Continuation, 4, 3, b"")), 1),
        ("CONTINUATION alone", frame(Kind::Continuation, 0x4, 1, b""), 1),
        ("block is no HPACK", frame(Kind::Headers, 0x5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 9),
        ("PRIORITY of 4 bytes", frame(Kind::Priority, 0, 1, &[0; 4]), 1),
        ("PRIORITY on itself", frame(Kind::Priority, 0, 1, &[0, 0, 0, 1, 0]), 1),
        ("HEADERS that depend on themselves", frame(Kind::Headers, 0x24, 1, &[0x80, 0, 0, 1, 0]), 1),
        ("RST_STREAM on an idle stream", frame(Kind::RstStream, 0, 1, &[0; 4]), 1),
        ("RST_STREAM of 3 bytes", after(&open, frame(Kind::RstStream, 0, 1, &[0; 3])), 6),
        ("SETTINGS on a stream", frame(Kind::Settings, 0, 1, b""), 1),
        ("SETTINGS of 5 bytes", frame(Kind::Settings, 0, 0, &[0; 5]), 6),
        ("SETTINGS ACK with content", frame(Kind::Settings, 1, 0, &[0; 6]), 6),
        ("ENABLE_PUSH of 2", settings(&[(2, 2)]), 1),
        ("window of 2^31", settings(&[(4, 0x8000_0000)]), 3),
        ("frames of 16383", settings(&[(5, 16_383)]), 1),
        ("PUSH_PROMISE", after(&ended, frame(Kind::PushPromise, 4, 1, &[0; 4])), 1),
        ("PING on a stream", frame(Kind::Ping, 0, 1, &[0; 8]), 1),
        ("PING of 7 bytes", frame(Kind::Ping, 0, 0, &[0; 7]), 6),
        ("GOAWAY of 7 bytes", frame(Kind::GoAway, 0, 0, &[0; 7]), 6),
        ("WINDOW_UPDATE of 0", window_update(0, 0), 1),
        ("window beyond 2^31-1", window_update(0, 0x7fff_ffff), 3),
        (
            "initial window beyond",
            after(&[open.clone(), window_update(1, 0x7fff_0000)].concat(), settings(&[(4, 0x7fff_ffff)])),
            3,
        ),
    ];
    for (what, bytes, code) in rows {
        let mut server = End::server();
        server.hears(&bytes);
        assert_eq!(codes(&server.frames()), [(Kind::GoAway, 0, code)], "{what}");
        assert!(matches!(server.saw().last(), Some(Seen::Fault(_))), "{what}");
    }
}

#[test]
fn a_connection_that_does_not_begin_as_http2_is_refused() {
    for first in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX"] {
        let mut server = End::new(Role::Server);
        assert!(matches!(server.hears(first).saw()[..], [Seen::Fault(_)]));
    }
    let mut server = End::new(Role::Server);
    server.hears(PREFACE).hears(&frame(Kind::Ping, 0, 0, &[0; 8]));
    assert!(matches!(server.saw()[..], [Seen::Fault("first frame is not SETTINGS")]));
}

#[test]
fn after_a_fault_there_is_nothing_but_that_fault() {
    let mut server = End::server();
    server.hears(&data(0, b"", false)).says();
    let first = server.saw();
    server.hears(&headers(1, &GET, true));
    server.wire.head(1, &response(200), b"", true, &mut server.out);
    server.wire.drain(&mut server.out);
    assert_eq!((server.saw(), server.says()), (first, vec![]));
    assert!(server.wire.closing() && !server.wire.reset(1, Cause::Cancelled, &mut Vec::new()));
}

#[test]
fn frames_for_a_stream_we_gave_up_are_dropped() {
    let mut server = End::server();
    server.hears(&headers(1, &POST, false));
    server.wire.reset(1, Cause::Timeout, &mut server.out);
    server.saw();
    server.says();
    server.hears(&data(1, b"in flight", false)).hears(&headers(1, &[("t", "1")], true)).hears(&window_update(1, 9));
    assert_eq!((server.saw(), server.says()), (vec![], vec![]));
}

/// What opens a stream, and what ends it on both sides.
type Way<'a> = (&'a [u8], &'a dyn Fn(&mut End));

#[test]
fn speaking_after_both_ends_of_a_stream_ends_the_connection() {
    let finished = |server: &mut End| {
        server.wire.head(1, &response(200), b"", true, &mut server.out);
    };
    let reset = |server: &mut End| drop(server.hears(&frame(Kind::RstStream, 0, 1, &8_u32.to_be_bytes())).says());
    let ways: [Way<'_>; 2] = [(&headers(1, &GET, true), &finished), (&headers(1, &POST, false), &reset)];
    for (first, end_it) in ways {
        for more in [data(1, b"x", false), headers(1, &[("t", "1")], true)] {
            let mut server = End::server();
            server.hears(first);
            end_it(&mut server);
            server.hears(&window_update(1, 1)).hears(&frame(Kind::RstStream, 0, 1, &[0; 4]));
            assert!(codes(&server.frames()).is_empty());
            server.hears(&more);
            assert_eq!(codes(&server.frames()), [(Kind::GoAway, 0, 5)]);
        }
    }
}

#[test]
fn what_crosses_our_resets_is_dropped_however_many_they_were() {
    let mut server = End::server();
    let streams = || (1_u32..).step_by(2).take(2 * super::super::limits::MAX_REMEMBERED_RESETS);
    for stream in streams() {
        server.hears(&headers(stream, &POST, false));
        server.wire.head(u64::from(stream), &response(200), b"", true, &mut server.out);
    }
    for stream in streams() {
        server.hears(&data(stream, b"late", true));
    }
    assert!(codes(&server.frames()).iter().all(|(kind, ..)| *kind == Kind::RstStream));
}

#[test]
fn a_streams_window_beyond_its_limit_resets_it() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true)).hears(&window_update(1, 0x7fff_ffff));
    assert_eq!(codes(&server.frames()), [(Kind::RstStream, 1, 3)]);
}

#[test]
fn speaking_after_the_end_of_a_stream_resets_it() {
    for more in [data(1, b"x", false), headers(1, &[("t", "1")], true)] {
        let mut server = End::server();
        server.hears(&headers(1, &GET, true)).hears(&more);
        assert_eq!(codes(&server.frames()), [(Kind::RstStream, 1, 5)]);
        assert_eq!(server.saw().last(), Some(&Seen::Reset { stream: 1, cause: Cause::Protocol }));
    }
}

#[test]
fn unknown_frames_and_settings_are_ignored() {
    let mut server = End::server();
    let mut unknown = frame(Kind::Unknown, 0xff, 77, b"whatever");
    unknown[3] = 0xfe;
    server.hears(&unknown).hears(&settings(&[(0xff, 1)]));
    assert_eq!((server.saw(), server.frames().len()), (vec![], 1));
}
