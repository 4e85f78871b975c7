use super::super::limits;
use super::*;
use crate::limits::MAX_INFORMATIONAL;

const CALM: u32 = 11;

/// Send `flood` until the connection ends; return after how many times.
fn times_until_calm(server: &mut End, mut flood: impl FnMut(u32) -> Vec<u8>) -> u32 {
    for times in 1..100_000 {
        server.hears(&flood(times));
        if let Some((Kind::GoAway, 0, code)) = codes(&server.frames()).last() {
            assert_eq!(*code, CALM);
            return times;
        }
    }
    panic!("the flood never ended")
}

#[test]
fn floods_of_frames_that_carry_nothing_end_the_connection() {
    let floods: [(&str, Vec<u8>); 6] = [
        ("PING", frame(Kind::Ping, 0, 0, &[0; 8])),
        ("SETTINGS", settings(&[])),
        ("SETTINGS ACK", frame(Kind::Settings, 1, 0, b"")),
        ("PRIORITY", frame(Kind::Priority, 0, 9, &[0; 5])),
        ("empty DATA", data(1, b"", false)),
        ("padding alone", frame(Kind::Data, 0x8, 1, &[0])),
    ];
    for (what, flood) in floods {
        let mut server = End::server();
        server.hears(&headers(1, &POST, false));
        let times = times_until_calm(&mut server, |_| flood.clone());
        assert!(times.abs_diff(limits::MAX_IDLE_FRAMES) <= limits::IDLE_FRAMES_REGAINED, "{what}: {times}");
    }
}

#[test]
fn a_stream_at_work_may_ping_for_ever() {
    let mut server = End::server();
    server.hears(&headers(1, &POST, false));
    for _ in 0..limits::MAX_IDLE_FRAMES {
        server.hears(&frame(Kind::Ping, 0, 0, &[0; 8])).hears(&frame(Kind::Ping, 0, 0, &[0; 8]));
        server.hears(&data(1, b"x", false));
        server.wire.consumed(1, 1, &mut server.out);
    }
    assert!(codes(&server.frames()).is_empty());
}

#[test]
fn opening_and_resetting_streams_ends_the_connection() {
    let mut server = End::server();
    let times = times_until_calm(&mut server, |times| {
        let stream = times * 2 - 1;
        [headers(stream, &GET, true), frame(Kind::RstStream, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    assert_eq!(times, limits::FIRST_ABANDONED_STREAMS + 1);
}

#[test]
fn making_us_reset_streams_ends_the_connection() {
    let mut server = End::server();
    let times = times_until_calm(&mut server, |times| {
        let stream = times * 2 - 1;
        [headers(stream, &POST, false), window_update(stream, 0)].concat()
    });
    assert_eq!(times, limits::FIRST_ABANDONED_STREAMS + 1);
}

#[test]
fn who_has_been_answered_well_may_give_up_more_at_once() {
    let mut server = End::server();
    let answered = limits::MAX_ABANDONED_STREAMS;
    for round in 0..answered {
        let stream = round * 2 + 1;
        server.hears(&headers(stream, &GET, true));
        server.wire.head(u64::from(stream), &response(200), b"", true, &mut server.out);
    }
    let times = times_until_calm(&mut server, |times| {
        let stream = (answered + times) * 2 - 1;
        [headers(stream, &GET, true), frame(Kind::RstStream, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    assert_eq!(times, limits::MAX_ABANDONED_STREAMS + 1);
}

#[test]
fn cancelling_every_other_request_is_allowed() {
    let mut server = End::server();
    for round in 0..3 * limits::MAX_ABANDONED_STREAMS {
        let stream = round * 4 + 1;
        server.hears(&headers(stream, &GET, true));
        server.wire.head(u64::from(stream), &response(200), b"", true, &mut server.out);
        server.hears(&headers(stream + 2, &GET, true));
        server.hears(&frame(Kind::RstStream, 0, stream + 2, &8_u32.to_be_bytes()));
    }
    assert!(codes(&server.frames()).is_empty());
}

#[test]
fn giving_up_answers_that_have_begun_is_allowed_for_ever() {
    let mut server = End::server();
    for round in 0..2 * limits::MAX_ABANDONED_STREAMS {
        let stream = round * 2 + 1;
        server.hears(&headers(stream, &GET, true)).hears(&window_update(stream, 1_000_000));
        server.wire.head(u64::from(stream), &response(200), b"", false, &mut server.out);
        server.hears(&frame(Kind::RstStream, 0, stream, &8_u32.to_be_bytes()));
    }
    assert!(codes(&server.frames()).is_empty());
}

#[test]
fn window_updates_that_nothing_explains_end_the_connection() {
    let mut server = End::server();
    assert_eq!(times_until_calm(&mut server, |_| window_update(0, 1)), limits::MAX_WINDOW_UPDATES + 1);
}

#[test]
fn a_header_block_ends_after_so_many_continuations() {
    let mut server = End::server();
    server.hears(&frame(Kind::Headers, 0, 1, &block(&GET)));
    let times = times_until_calm(&mut server, |_| frame(Kind::Continuation, 0, 1, b""));
    assert_eq!(times, limits::MAX_CONTINUATIONS + 1);
}

#[test]
fn a_header_block_ends_after_so_many_bytes() {
    let mut server = End::server();
    server.hears(&frame(Kind::Headers, 0, 1, b""));
    let times = times_until_calm(&mut server, |_| frame(Kind::Continuation, 0, 1, &[0; 16_384]));
    assert_eq!(times as usize, LIMITS.max_bytes / 16_384 + 2);
    assert!(server.wire.block.capacity() <= 2 * (LIMITS.max_bytes + 16_384));
}

#[test]
fn a_head_over_its_limit_is_answered_431_and_the_connection_lives_on() {
    let many: Vec<(&str, &str)> = GET.iter().copied().chain((0..=LIMITS.max_count).map(|_| ("a", "b"))).collect();
    let long = "v".repeat(LIMITS.max_bytes / 4);
    let large: Vec<(&str, &str)> = GET.iter().copied().chain((0..4).map(|_| ("a", &long[..]))).collect();
    for fields in [many, large] {
        let mut server = End::server();
        let block = block(&fields);
        let mut chunks = block.chunks(16_384);
        server.hears(&frame(Kind::Headers, 0x1, 1, chunks.next().unwrap()));
        for chunk in chunks {
            server.hears(&frame(Kind::Continuation, 0, 1, chunk));
        }
        server.hears(&frame(Kind::Continuation, 0x4, 1, b""));
        let said = server.frames();
        assert_eq!(fields_of(&said[0].3)[0], (":status".to_owned(), "431".to_owned()));
        server.hears(&headers(3, &GET, true));
        assert!(matches!(server.saw()[..], [Seen::Head { stream: 3, .. }]));
    }
}

/// A few bytes that name a large table entry again and again are read, not stored.
#[test]
fn a_compression_bomb_is_answered_431_in_little_memory() {
    let mut server = End::server();
    let mut bomb = block(&GET);
    bomb.extend([0x40, 1, b'a', 0x7f, 0x81, 0x1e]);
    bomb.extend(vec![b'v'; 4000]);
    bomb.extend(vec![0xbe; 12_000]);
    server.hears(&frame(Kind::Headers, 0x5, 1, &bomb));
    assert_eq!(fields_of(&server.frames()[0].3)[0].1, "431");
    assert!(server.saw().is_empty());
}

#[test]
fn interim_answers_end_some_time() {
    let mut client = End::client();
    for _ in 0..MAX_INFORMATIONAL {
        client.hears(&headers(1, &[(":status", "103")], false));
    }
    assert!(codes(&client.frames()).is_empty());
    client.hears(&headers(1, &[(":status", "103")], false));
    assert_eq!(codes(&client.frames()), [(Kind::RstStream, 1, 1)]);
}

#[test]
fn one_stream_more_than_allowed_is_refused() {
    let mut server = End::server();
    for stream in (1..).step_by(2).take(limits::MAX_CONCURRENT_STREAMS as usize) {
        server.hears(&headers(stream, &GET, true));
    }
    assert!(server.says().is_empty());
    let next = limits::MAX_CONCURRENT_STREAMS * 2 + 1;
    server.hears(&headers(next, &POST, false)).hears(&data(next, b"on its way", true));
    assert_eq!(codes(&server.frames()), [(Kind::RstStream, next, 7)]);
    assert_eq!(server.saw().len(), limits::MAX_CONCURRENT_STREAMS as usize);
}
