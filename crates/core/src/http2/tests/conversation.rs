use super::*;
use crate::events::{LocalReply, ReplyKind};

/// Pass bytes between two ends until both are silent.
fn pump(client: &mut End, server: &mut End) {
    loop {
        let (up, down) = (client.says(), server.says());
        if up.is_empty() && down.is_empty() {
            return;
        }
        server.hears(&up);
        client.hears(&down);
    }
}

#[test]
fn a_client_greets_with_the_preface_and_a_server_with_settings_alone() {
    let mut client = End::new(Role::Client);
    client.request(b"GET", true);
    let said = client.says();
    assert!(said.starts_with(PREFACE));
    let kinds: Vec<_> = frames(&said).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [Kind::Settings, Kind::WindowUpdate, Kind::Headers]);

    let mut server = End::new(Role::Server);
    assert!(server.hears(&PREFACE[..23]).says().is_empty());
    let kinds: Vec<_> = server.hears(&PREFACE[23..]).frames().into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [Kind::Settings, Kind::WindowUpdate]);
}

#[test]
fn requests_bodies_and_trailers_pass_both_ways() {
    let (mut client, mut server) = (End::new(Role::Client), End::new(Role::Server));
    let stream = client.request(b"POST", false);
    client.wire.data(stream, b"ping", false, &mut client.out);
    client.wire.trailers(stream, &trailers(&[("check", "1")]), &mut client.out);
    pump(&mut client, &mut server);
    let start = "POST http shop.example /x".to_owned();
    let agent = pairs(&[("user-agent", "test")]);
    assert_eq!(
        server.saw(),
        [
            Seen::Head { stream, start, fields: agent, end: false },
            Seen::Data { stream, bytes: b"ping".to_vec(), end: false },
            Seen::Trailers { stream, fields: pairs(&[("check", "1")]) },
        ]
    );
    server.wire.head(stream, &response(103), b"", false, &mut server.out);
    server.wire.head(stream, &response(200), b"", false, &mut server.out);
    server.wire.data(stream, b"pong", false, &mut server.out);
    server.wire.trailers(stream, &trailers(&[("grpc-status", "0")]), &mut server.out);
    pump(&mut client, &mut server);
    assert_eq!(
        client.saw(),
        [
            Seen::Informational { stream, status: 103 },
            Seen::Head { stream, start: "200".to_owned(), fields: vec![], end: false },
            Seen::Data { stream, bytes: b"pong".to_vec(), end: false },
            Seen::Trailers { stream, fields: pairs(&[("grpc-status", "0")]) },
        ]
    );
    assert!(client.wire.streams.is_empty() && server.wire.streams.is_empty());
}

#[test]
fn any_cut_of_the_bytes_gives_the_same_events() {
    let mut said = PREFACE.to_vec();
    said.extend(settings(&[(4, 1_000_000)]));
    said.extend(headers(1, &POST, false));
    said.extend(data(1, b"hello ", false));
    said.extend(frame(Kind::Data, 0x8 | 0x1, 1, b"\x03world\0\0\0"));
    let get = block(&GET);
    said.extend(frame(Kind::Headers, 0x1 | 0x20, 3, &[&[0, 0, 0, 0, 15][..], &get[..10]].concat()));
    said.extend(frame(Kind::Continuation, 0x4, 3, &get[10..]));
    said.extend(frame(Kind::Ping, 0, 0, b"12345678"));
    said.extend(headers(5, &POST, false));
    said.extend(frame(Kind::RstStream, 0, 5, &8_u32.to_be_bytes()));
    let mut whole = End::new(Role::Server);
    let (seen, answered) = { (whole.hears(&said).saw(), whole.says()) };
    assert_eq!(seen.len(), 5);
    for cut in 0..=said.len() {
        let mut end = End::new(Role::Server);
        end.hears(&said[..cut]).hears(&said[cut..]);
        assert_eq!((end.saw(), end.says()), (seen.clone(), answered.clone()), "cut at {cut}");
    }
    let mut end = End::new(Role::Server);
    for byte in &said {
        end.hears(&[*byte]);
    }
    assert_eq!((end.saw(), end.says()), (seen, answered));
}

#[test]
fn a_head_larger_than_a_frame_is_cut_into_continuations() {
    let (mut client, mut server) = (End::new(Role::Client), End::new(Role::Server));
    let value = "v".repeat(20_000);
    let mut head = request(b"GET", "/x");
    head.push(b"a", value.as_bytes());
    head.push(b"b", value.as_bytes());
    let stream = client.wire.open();
    client.wire.head(stream, &head, b"", true, &mut client.out);
    let said = client.says();
    let kinds: Vec<_> = frames(&said).into_iter().map(|(kind, flags, ..)| (kind, flags)).collect();
    assert_eq!(kinds[2..], [(Kind::Headers, 0x1), (Kind::Continuation, 0), (Kind::Continuation, 0x4)]);
    let Seen::Head { fields, end: true, .. } = server.hears(&said).saw().remove(0) else { panic!("no head") };
    assert_eq!(fields[1..], pairs(&[("a", &value), ("b", &value)]));
}

#[test]
fn our_own_answer_speaks_http_to_http_and_grpc_to_grpc() {
    let reply = LocalReply { status: 503, body: b"no healthy upstream", fields: &[], kind: ReplyKind::NoEndpoint };
    let mut server = End::server();
    server.hears(&headers(1, &GET, true));
    server.wire.local_reply(1, &reply, &mut server.out);
    let said = server.frames();
    assert_eq!(
        fields_of(&said[0].3),
        pairs(&[(":status", "503"), ("content-length", "19"), ("content-type", "text/plain")])
    );
    assert_eq!((said[1].0, said[1].1, &said[1].3[..]), (Kind::Data, 0x1, &b"no healthy upstream"[..]));

    let mut server = End::server();
    server.hears(&headers(1, &[&POST[..], &[("content-type", "application/grpc+proto")]].concat(), false));
    server.wire.local_reply(1, &reply, &mut server.out);
    let said = server.frames();
    assert_eq!((said[0].0, said[0].1), (Kind::Headers, 0x5));
    assert_eq!(
        fields_of(&said[0].3),
        pairs(&[
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "no healthy upstream"),
        ])
    );
    // The request goes on in vain: the client is told so, without blame.
    assert_eq!(codes(&said), [(Kind::RstStream, 1, 0)]);
    assert!(server.wire.streams.is_empty());
}

#[test]
fn connect_is_refused() {
    let mut server = End::server();
    server.hears(&headers(1, &[(":method", "CONNECT"), (":authority", "a.b:443")], false));
    assert_eq!(fields_of(&server.frames()[0].3)[0], (":status".to_owned(), "405".to_owned()));
    assert!(server.saw().is_empty() && server.wire.streams.is_empty());
}

#[test]
fn the_answer_to_head_has_no_body() {
    let reply = LocalReply { status: 404, body: b"no route", fields: &[], kind: ReplyKind::NoRoute };
    let mut server = End::server();
    server.hears(&headers(1, &[&[(":method", "HEAD")][..], &GET[1..]].concat(), true));
    server.wire.local_reply(1, &reply, &mut server.out);
    let said = server.frames();
    assert_eq!((said.len(), said[0].1), (1, 0x5));

    let mut client = End::new(Role::Client);
    client.request(b"HEAD", true);
    client.hears(&settings(&[])).hears(&headers(1, &[(":status", "200"), ("content-length", "10")], true));
    assert!(matches!(client.saw()[..], [Seen::Head { end: true, .. }]));
}

#[test]
fn a_draining_server_takes_what_crossed_its_goaway_and_nothing_later() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true));
    server.wire.drain(&mut server.out);
    let said = server.frames();
    assert_eq!((said[0].0, said[0].3[..4].to_vec()), (Kind::GoAway, 0x7fff_ffff_u32.to_be_bytes().to_vec()));
    let (Kind::Ping, 0, 0, payload) = &said[1] else { panic!("no ping") };
    server.hears(&headers(3, &GET, true));
    assert!(!server.wire.closing());
    server.hears(&frame(Kind::Ping, 0x1, 0, payload)).hears(&headers(5, &POST, false)).hears(&data(5, b"x", true));
    assert_eq!(server.saw().len(), 2);
    assert_eq!(server.frames().last().unwrap().3[..4], 3_u32.to_be_bytes());
    assert!(!server.wire.closing());
    for stream in [1, 3] {
        server.wire.head(stream, &response(200), b"", true, &mut server.out);
    }
    assert!(server.wire.closing());
}

#[test]
fn a_client_learns_which_requests_the_leaving_server_never_saw() {
    let mut client = End::client();
    client.request(b"GET", true);
    client.hears(&frame(Kind::GoAway, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!(client.saw(), [Seen::Reset { stream: 3, cause: Cause::Refused }, Seen::GoAway]);
    assert_eq!((client.wire.closing(), client.wire.room()), (false, 0));
    client.hears(&headers(1, &[(":status", "200")], true));
    assert!(matches!(client.saw()[..], [Seen::Head { stream: 1, end: true, .. }]));
    assert!(client.wire.closing());
}

#[test]
fn resets_carry_their_cause_across() {
    let table = [
        (Cause::Cancelled, Cause::Cancelled),
        (Cause::Timeout, Cause::Cancelled),
        (Cause::Refused, Cause::Refused),
        (Cause::Protocol, Cause::Protocol),
        (Cause::Closed, Cause::Closed),
        (Cause::Overload, Cause::Overload),
    ];
    for (said, heard) in table {
        let (mut client, mut server) = (End::new(Role::Client), End::new(Role::Server));
        let stream = client.request(b"POST", false);
        pump(&mut client, &mut server);
        server.saw();
        assert!(client.wire.reset(stream, said, &mut client.out));
        pump(&mut client, &mut server);
        assert_eq!(server.saw(), [Seen::Reset { stream, cause: heard }]);
        assert!(client.wire.streams.is_empty() && server.wire.streams.is_empty());
    }
}

#[test]
fn a_client_keeps_to_the_servers_limit_of_streams() {
    let mut client = End::client();
    assert_eq!(client.wire.room(), 99);
    client.hears(&settings(&[(3, 2)]));
    assert_eq!(client.wire.room(), 1);
}

#[test]
fn pings_and_settings_are_acknowledged() {
    let mut server = End::server();
    server.hears(&frame(Kind::Ping, 0, 0, b"abcdefgh")).hears(&settings(&[(5, 20_000)]));
    let said = server.frames();
    assert_eq!(said, [(Kind::Ping, 0x1, 0, b"abcdefgh".to_vec()), (Kind::Settings, 0x1, 0, vec![])]);
}

#[test]
fn an_end_with_open_streams_is_a_fault_and_between_requests_is_not() {
    let mut server = End::server();
    assert_eq!(server.wire.eof(0), None);
    assert!(server.wire.closing());
    let mut server = End::server();
    server.hears(&headers(1, &POST, false));
    assert!(matches!(server.wire.eof(0), Some(Event::Fault(_))));
    assert!(matches!(End::server().wire.eof(3), Some(Event::Fault(_))));
}

#[test]
fn a_field_that_must_not_be_indexed_stays_so_on_the_next_hop() {
    let mut server = End::server();
    server.hears(&headers(1, &[&GET[..], &[("x-key", "secret")]].concat(), true));
    let marks: Vec<_> = server.head.fields_marked().map(|(_, _, mark)| mark).collect();
    assert_eq!(marks, [true]);
    let mut client = End::new(Role::Client);
    for _ in 0..3 {
        client.says();
        let stream = client.wire.open();
        client.wire.head(stream, &server.head, b"", true, &mut client.out);
    }
    let said = client.frames();
    assert!(said[0].3.windows(6).any(|bytes| bytes == b"secret"));
}
