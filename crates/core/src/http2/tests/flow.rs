use super::super::{limits, Untaken};
use super::*;

const WINDOW: usize = limits::DEFAULT_WINDOW as usize;

fn body_bytes(said: &[(Kind, u8, u32, Vec<u8>)], stream: u32) -> usize {
    said.iter().filter(|(kind, _, id, _)| (*kind, *id) == (Kind::Data, stream)).map(|(.., payload)| payload.len()).sum()
}

#[test]
fn a_body_stops_at_the_window_and_goes_on_with_it() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true));
    server.wire.head(1, &response(200), b"", false, &mut server.out);
    let body = vec![b'x'; WINDOW + 1000];
    assert_eq!(server.wire.data(1, &body, false, &mut server.out), 1000);
    server.wire.trailers(1, &trailers(&[("grpc-status", "0")]), &mut server.out);
    assert_eq!(body_bytes(&server.frames(), 1), WINDOW);
    server.saw();
    server.hears(&window_update(1, 600));
    assert!(server.says().is_empty());
    server.hears(&window_update(0, 5000));
    assert_eq!((body_bytes(&server.frames(), 1), server.saw()), (600, vec![Seen::Sent { stream: 1, bytes: 600 }]));
    server.hears(&window_update(1, 5000));
    let said = server.frames();
    assert_eq!((body_bytes(&said, 1), server.saw()), (400, vec![Seen::Sent { stream: 1, bytes: 400 }]));
    let last = said.last().unwrap();
    assert_eq!((last.0, last.1, fields_of(&last.3)), (Kind::Headers, 0x5, pairs(&[("grpc-status", "0")])));
    assert!(server.wire.streams.is_empty());
}

#[test]
fn the_end_of_a_queued_body_rides_on_its_last_frame() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true));
    server.wire.head(1, &response(200), b"", false, &mut server.out);
    server.wire.data(1, &vec![0; WINDOW + 1], false, &mut server.out);
    assert_eq!(server.wire.data(1, b"", true, &mut server.out), 0);
    server.says();
    server.hears(&window_update(0, 10)).hears(&window_update(1, 10));
    assert_eq!(server.frames(), [(Kind::Data, 0x1, 1, vec![0])]);
    assert!(server.wire.streams.is_empty());
}

#[test]
fn a_large_body_does_not_starve_a_small_one() {
    let mut server = End::server();
    server.hears(&settings(&[(4, 10_000_000)])).hears(&headers(1, &GET, true)).hears(&headers(3, &GET, true));
    for (stream, size) in [(1, WINDOW + 200_000), (3, 20_000)] {
        server.wire.head(stream, &response(200), b"", false, &mut server.out);
        server.wire.data(stream, &vec![0; size], true, &mut server.out);
    }
    server.says();
    server.hears(&window_update(0, 100_000));
    let order: Vec<_> = server.frames().iter().map(|(_, _, stream, payload)| (*stream, payload.len())).collect();
    assert_eq!(order[..4], [(1, 16_384), (3, 16_384), (1, 16_384), (3, 3_616)]);
}

#[test]
fn a_shrunk_initial_window_makes_a_streams_window_negative() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true));
    server.wire.head(1, &response(200), b"", false, &mut server.out);
    assert_eq!(server.wire.data(1, &[0; 1000], false, &mut server.out), 0);
    server.hears(&settings(&[(4, 500)]));
    assert_eq!(server.wire.data(1, &[0; 10], false, &mut server.out), 10);
    server.says();
    server.hears(&window_update(1, 500));
    assert!(server.frames().is_empty());
    server.hears(&window_update(1, 4));
    assert_eq!(body_bytes(&server.frames(), 1), 4);
    server.hears(&settings(&[(4, 506)]));
    assert_eq!(body_bytes(&server.frames(), 1), 6);
}

#[test]
fn credit_comes_back_in_large_updates_as_bytes_are_consumed() {
    let mut server = End::server();
    server.hears(&headers(1, &POST, false));
    let half = limits::STREAM_WINDOW as usize / 2;
    for _ in 0..half / 16_384 {
        server.hears(&data(1, &[0; 16_384], false));
    }
    assert!(server.says().is_empty());
    server.wire.consumed(1, half - 1, &mut server.out);
    assert!(server.says().is_empty());
    server.wire.consumed(1, 1, &mut server.out);
    assert_eq!(server.says(), window_update(1, limits::STREAM_WINDOW / 2));
    assert_eq!(server.wire.streams.get(1).unwrap().receive_window, limits::STREAM_WINDOW);
}

#[test]
fn one_client_can_make_us_hold_one_connection_window_and_no_more() {
    let mut server = End::server();
    let streams = [1, 3, 5, 7, 9];
    for stream in streams {
        server.hears(&headers(stream, &POST, false));
    }
    for stream in streams.iter().take(4) {
        for _ in 0..limits::STREAM_WINDOW / 16_384 {
            server.hears(&data(*stream, &[0; 16_384], false));
        }
    }
    assert!(server.says().is_empty());
    server.saw();
    server.hears(&data(9, b"x", false));
    assert_eq!(codes(&server.frames()), [(Kind::GoAway, 0, 3)]);
}

#[test]
fn a_stream_that_ends_gives_back_what_it_still_held() {
    let mut server = End::server();
    let chunk = vec![0; 16_384];
    // Three times the connection's window, of which the engine consumes nothing before it gives the streams up.
    for stream in (1..).step_by(2).take(12) {
        server.hears(&headers(stream, &POST, false));
        for _ in 0..limits::STREAM_WINDOW / 16_384 {
            server.hears(&data(stream, &chunk, false));
        }
        server.wire.reset(u64::from(stream), Cause::Cancelled, &mut server.out);
    }
    assert!(!server.saw().iter().any(|seen| matches!(seen, Seen::Fault(_))));
    let credit: u32 = server
        .frames()
        .iter()
        .filter(|(kind, _, stream, _)| (*kind, *stream) == (Kind::WindowUpdate, 0))
        .map(|(.., payload)| u32::from_be_bytes(payload[..].try_into().unwrap()))
        .sum();
    assert_eq!(credit, 12 * limits::STREAM_WINDOW);
}

#[test]
fn a_stalled_reader_does_not_stop_others_on_a_shared_upstream() {
    let mut client = End::client();
    let chunk = vec![0; 16_384];
    let mut credited = 0;
    // Far more than any connection window, over streams whose readers never read.
    for round in 0..1200_u32 {
        let stream = 1 + 2 * round;
        client.hears(&headers(stream, &[(":status", "200")], false));
        let may = client.wire.streams.get(stream).unwrap().receive_window;
        for _ in 0..may / 16_384 {
            client.hears(&data(stream, &chunk, false));
        }
        client.request(b"GET", true);
        credited +=
            client.frames().iter().filter(|(kind, _, stream, _)| (*kind, *stream) == (Kind::WindowUpdate, 0)).count();
    }
    assert!(credited > 0 && !client.saw().iter().any(|seen| matches!(seen, Seen::Fault(_))));
    client.hears(&data(2399, b"x", false));
    assert_eq!(codes(&client.frames()), [(Kind::GoAway, 0, 3)]);
}

#[test]
fn padding_costs_window_and_comes_back_by_itself() {
    let mut server = End::server();
    server.hears(&headers(1, &POST, false));
    let mut padded = vec![255, b'x'];
    padded.resize(2 + 255, 0);
    for _ in 0..3000 {
        server.hears(&frame(Kind::Data, 0x8, 1, &padded));
        server.wire.consumed(1, 1, &mut server.out);
    }
    let [Seen::Head { .. }, Seen::Data { bytes, .. }] = &server.saw()[..] else { panic!("a fault") };
    assert_eq!(bytes.len(), 3000);
}

#[test]
fn what_waits_behind_windows_is_known_to_the_byte() {
    let mut server = End::server();
    server.hears(&headers(1, &GET, true)).hears(&headers(3, &GET, true)).hears(&headers(5, &GET, true));
    for stream in [1, 3, 5] {
        server.wire.head(stream, &response(200), b"", false, &mut server.out);
    }
    server.wire.data(1, &vec![0; WINDOW + 100], false, &mut server.out);
    server.wire.data(3, &[0; 50], true, &mut server.out);
    server.wire.data(5, &[0; 7], false, &mut server.out);
    server.wire.trailers(5, &trailers(&[("grpc-status", "0")]), &mut server.out);
    assert_eq!(server.wire.untaken(), Untaken { bytes: 157, whole: 57 });
    server.wire.data(1, &[0; 3], true, &mut server.out);
    assert_eq!(server.wire.untaken(), Untaken { bytes: 160, whole: 160 });
    server.says();
    server.hears(&window_update(0, 60));
    assert_eq!(server.wire.untaken(), Untaken { bytes: 103, whole: 103 });
    server.hears(&window_update(1, 90)).hears(&window_update(0, 40));
    assert_eq!(server.wire.untaken(), Untaken { bytes: 60, whole: 60 });
    server.hears(&frame(Kind::RstStream, 0, 1, &8_u32.to_be_bytes()));
    assert_eq!(server.wire.untaken(), Untaken::default());
}
