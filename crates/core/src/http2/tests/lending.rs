use super::super::limits::{self, LEAST_WINDOW, LENT_BYTES, OPENING_WINDOW, PRESSED_WINDOW, STREAM_WINDOW};
use super::*;
use crate::random::Random;

const OK: [(&str, &str); 1] = [(":status", "200")];
/// No window ends within a frame of this size.
const FRAME: usize = 4096;

/// SETTINGS that say how wide a stream begins.
fn first_window(bytes: u32) -> Vec<u8> {
    settings(&[(4, bytes)])
}

/// By how much the windows of streams have been opened.
fn opened(said: &[(Kind, u8, u32, Vec<u8>)]) -> Vec<(u32, u32)> {
    let updates = said.iter().filter(|(kind, _, stream, _)| *kind == Kind::WindowUpdate && *stream > 0);
    updates.map(|(_, _, stream, payload)| (*stream, word(payload))).collect()
}

fn word(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().unwrap())
}

/// An endpoint's answer goes on by `bytes`.
fn sends(client: &mut End, stream: u32, bytes: u32) {
    let mut left = bytes as usize;
    while left > 0 {
        let frame = left.min(FRAME);
        client.hears(&data(stream, &vec![0; frame], false));
        left -= frame;
    }
}

fn takes(client: &mut End, stream: u32, bytes: u32) -> Vec<(u32, u32)> {
    client.wire.consumed(u64::from(stream), bytes as usize, &mut client.out);
    opened(&client.frames())
}

fn accused(client: &mut End) -> bool {
    client.saw().iter().any(|seen| matches!(seen, Seen::Fault(_)))
}

#[test]
fn an_endpoint_hears_of_the_window_before_the_first_request() {
    let mut client = End::new(Role::Client);
    client.request(b"POST", false);
    let said = client.frames();
    let kinds: Vec<_> = said.iter().map(|(kind, _, stream, _)| (*kind, *stream)).collect();
    assert_eq!(kinds, [(Kind::Settings, 0), (Kind::WindowUpdate, 0), (Kind::Headers, 1)]);
    assert_eq!(said[0].3[6..12], first_window(OPENING_WINDOW)[9..]);
}

#[test]
fn the_window_of_a_reader_that_takes_nothing_stays_as_it_was_opened() {
    let mut client = End::client();
    client.hears(&headers(1, &OK, false));
    sends(&mut client, 1, OPENING_WINDOW);
    assert!(opened(&client.frames()).is_empty() && !accused(&mut client));
    client.hears(&data(1, b"x", false));
    assert_eq!(codes(&client.frames()), [(Kind::GoAway, 0, 3)]);
}

#[test]
fn a_window_grows_with_what_is_taken_and_ends_at_its_bound() {
    let mut client = End::client();
    client.hears(&headers(1, &OK, false));
    sends(&mut client, 1, OPENING_WINDOW);
    assert!(takes(&mut client, 1, OPENING_WINDOW / 2 - 1).is_empty());
    assert_eq!(takes(&mut client, 1, 1), [(1, OPENING_WINDOW / 2 + OPENING_WINDOW)]);
    assert_eq!(takes(&mut client, 1, OPENING_WINDOW / 2), []);
    sends(&mut client, 1, OPENING_WINDOW / 2 + OPENING_WINDOW);
    assert_eq!(takes(&mut client, 1, OPENING_WINDOW / 2), [(1, STREAM_WINDOW - OPENING_WINDOW)]);
    for _ in 0..9 {
        let held = client.wire.streams.get(1).unwrap().held;
        takes(&mut client, 1, held);
        let may = client.wire.streams.get(1).unwrap().receive_window;
        sends(&mut client, 1, may);
        assert_eq!(client.wire.streams.get(1).unwrap().window, STREAM_WINDOW);
    }
    takes(&mut client, 1, STREAM_WINDOW);
    assert_eq!(client.wire.streams.get(1).unwrap().receive_window, STREAM_WINDOW);
    sends(&mut client, 1, STREAM_WINDOW);
    assert!(!accused(&mut client));
    client.hears(&data(1, b"x", false));
    assert_eq!(codes(&client.frames()), [(Kind::GoAway, 0, 3)]);
}

#[test]
fn an_endpoint_that_may_send_all_it_owes_hears_nothing_more() {
    for (length, updates) in [(OPENING_WINDOW, 0), (OPENING_WINDOW + 1, 1)] {
        let mut client = End::client();
        client.hears(&headers(1, &[(":status", "200"), ("content-length", &length.to_string())], false));
        sends(&mut client, 1, OPENING_WINDOW / 2);
        assert_eq!(takes(&mut client, 1, OPENING_WINDOW / 2).len(), updates);
    }
}

#[test]
fn an_endpoint_that_pads_what_it_owes_gets_what_the_padding_took() {
    let mut client = End::client();
    let length = OPENING_WINDOW as usize;
    client.hears(&headers(1, &[(":status", "200"), ("content-length", &length.to_string())], false));
    let mut told = OPENING_WINDOW as usize;
    for sent in 0..length / 256 {
        let mut padded = vec![255; 1];
        padded.resize(1 + 256 + 255, 0);
        assert!(told >= padded.len(), "after {sent} frames");
        told -= padded.len();
        client.hears(&frame(Kind::Data, 0x8 | u8::from(sent == length / 256 - 1), 1, &padded));
        told += takes(&mut client, 1, 256).iter().map(|(_, more)| *more as usize).sum::<usize>();
    }
    assert!(matches!(&client.saw()[..], [_, Seen::Data { bytes, end: true, .. }] if bytes.len() == length));
}

#[test]
fn all_connections_together_are_lent_no_more_than_there_is_and_give_it_all_back() {
    let lender = Arc::default();
    let mut crowd: Vec<End> = (0..12).map(|_| End::upstream(&lender)).collect();
    let mut may = 0;
    for client in &mut crowd {
        for _ in 1..100 {
            client.request(b"GET", true);
        }
        for stream in (1..200).step_by(2) {
            client.hears(&headers(stream, &OK, false));
            // Some grow, some do not.
            if stream % 4 == 1 {
                sends(client, stream, LEAST_WINDOW);
                takes(client, stream, LEAST_WINDOW);
            }
            may += client.wire.streams.get(stream).unwrap().window as usize;
        }
        assert!(!accused(client));
    }
    assert_eq!(may, 1200 * LEAST_WINDOW as usize + lender.lent());
    assert!(lender.lent() <= LENT_BYTES);
    // An answer ends, another is given up, the rest goes with its connection.
    for client in &mut crowd {
        client.hears(&data(1, b"", true));
        client.wire.reset(3, Cause::Cancelled, &mut client.out);
    }
    drop(crowd);
    assert_eq!(lender.lent(), 0);
}

#[test]
fn streams_that_only_stay_open_leave_half_for_those_that_take_what_they_get() {
    let lender = Arc::default();
    let mut client = End::upstream(&lender);
    let more = OPENING_WINDOW - LEAST_WINDOW;
    let wide = 1 + u32::try_from(LENT_BYTES).unwrap() / 2 / more;
    for _ in 1..wide {
        client.request(b"GET", true);
    }
    client.says();
    client.request(b"GET", true);
    // The first that is narrow: those before it stay as wide as they were told.
    let said = client.frames();
    assert_eq!((said[0].0, &said[0].3[..]), (Kind::Settings, &first_window(LEAST_WINDOW)[9..]));
    let before: Vec<_> = (0..wide).map(|number| (1 + 2 * number, more)).collect();
    assert_eq!((opened(&said), said.last().unwrap().0), (before, Kind::Headers));
    let last = 1 + 2 * wide;
    client.hears(&headers(last, &OK, false));
    sends(&mut client, last, LEAST_WINDOW);
    assert_eq!(takes(&mut client, last, LEAST_WINDOW / 2), [(last, LEAST_WINDOW / 2 + LEAST_WINDOW)]);
    client.hears(&headers(1, &OK, false));
    sends(&mut client, 1, OPENING_WINDOW);
    assert!(!accused(&mut client));
}

#[test]
fn streams_begin_wide_again_when_there_is_something_to_lend_to_all_that_are_open() {
    let lender = Arc::default();
    let mut client = End::upstream(&lender);
    lender.set_waiting(LENT_BYTES);
    client.request(b"GET", true);
    client.many_come_and_go();
    client.says();
    lender.set_waiting(LENT_BYTES / 2 - OPENING_WINDOW as usize);
    client.request(b"GET", true);
    assert_eq!(client.frames().len(), 1, "those that are open would need more than is left");
    lender.set_waiting(0);
    client.request(b"GET", true);
    let said = client.frames();
    let kinds: Vec<_> = said.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!((kinds, &said[0].3[..]), (vec![Kind::Settings, Kind::Headers], &first_window(OPENING_WINDOW)[9..]));
    let more = OPENING_WINDOW - LEAST_WINDOW;
    let last = client.wire.last_stream;
    for (stream, window) in
        [(1, OPENING_WINDOW + more), (3, OPENING_WINDOW), (last - 2, OPENING_WINDOW), (last, OPENING_WINDOW)]
    {
        assert_eq!(client.wire.streams.get(stream).unwrap().receive_window, window);
    }
    // One that would become wider than any may be keeps the others as they are.
    lender.set_waiting(LENT_BYTES);
    client.many_come_and_go();
    lender.set_waiting(0);
    client.hears(&headers(1, &OK, false));
    while client.wire.streams.get(1).unwrap().window < STREAM_WINDOW {
        let may = client.wire.streams.get(1).unwrap().receive_window;
        sends(&mut client, 1, may);
        takes(&mut client, 1, may);
    }
    client.says();
    client.request(b"GET", true);
    assert!(client.frames().iter().all(|(kind, ..)| *kind != Kind::Settings));
    drop(client);
    assert_eq!(lender.lent(), 0);
}

#[test]
fn while_much_waits_wide_windows_become_narrow_as_they_are_used() {
    let lender = Arc::default();
    let mut client = End::upstream(&lender);
    client.hears(&headers(1, &OK, false));
    sends(&mut client, 1, OPENING_WINDOW);
    lender.set_waiting(LENT_BYTES + 1);
    let half = OPENING_WINDOW / 2;
    assert_eq!(takes(&mut client, 1, half), []);
    assert_eq!(client.wire.streams.get(1).unwrap().window, half);
    assert_eq!(takes(&mut client, 1, half), [(1, PRESSED_WINDOW)]);
    assert_eq!(lender.lent(), 0);
    lender.set_waiting(0);
    sends(&mut client, 1, PRESSED_WINDOW);
    assert_eq!(takes(&mut client, 1, PRESSED_WINDOW), [(1, 2 * PRESSED_WINDOW)]);
}

/// What an endpoint knows of windows, by what it was told and by nothing else.
struct Told {
    first: i64,
    windows: Vec<i64>,
}

impl Told {
    fn hears(&mut self, said: &[(Kind, u8, u32, Vec<u8>)]) {
        for (kind, flags, stream, payload) in said {
            match kind {
                Kind::Settings if *flags == 0 => {
                    let at = payload.chunks(6).find(|setting| setting[..2] == [0, 4]).unwrap();
                    let first = i64::from(u32::from_be_bytes(at[2..].try_into().unwrap()));
                    self.windows.iter_mut().for_each(|window| *window += first - self.first);
                    self.first = first;
                }
                Kind::Headers => self.windows.push(self.first),
                Kind::WindowUpdate if *stream > 0 => {
                    self.windows[*stream as usize / 2] += i64::from(word(payload));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn an_endpoint_that_uses_all_it_was_told_is_never_accused_nor_left_without_a_window() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let lender = Arc::default();
        let mut client = End::lent(Role::Client, &lender);
        let mut told = Told { first: i64::from(limits::DEFAULT_WINDOW), windows: Vec::new() };
        client.hears(&settings(&[]));
        let mut open = Vec::new();
        for turn in 0..600 {
            if turn % 100 == 0 {
                client.many_come_and_go();
            }
            if turn % 12 == 0 {
                let stream = u32::try_from(client.request(b"GET", true)).unwrap();
                client.hears(&headers(stream, &OK, false));
                open.push(stream);
            }
            told.hears(&client.frames());
            let stream = open[random.below(open.len())];
            let all = u32::try_from(std::mem::take(&mut told.windows[stream as usize / 2])).unwrap();
            sends(&mut client, stream, all);
            let state = client.wire.streams.get(stream).unwrap();
            assert_eq!((state.receive_window, state.held + state.credit), (0, state.window));
            assert!(state.window <= STREAM_WINDOW && state.held > 0 && lender.lent() <= LENT_BYTES);
            let taken = if random.below(3) == 0 { state.held } else { random_u32(&mut random, state.held) };
            client.wire.consumed(u64::from(stream), taken as usize, &mut client.out);
            let state = client.wire.streams.get(stream).unwrap();
            assert!(state.held > 0 || state.receive_window >= PRESSED_WINDOW);
            lender.set_waiting(random.below(3 * LENT_BYTES / 2));
        }
        assert!(!accused(&mut client), "seed {seed}");
        drop(client);
        assert_eq!(lender.lent(), 0);
    }
}

fn random_u32(random: &mut Random, bound: u32) -> u32 {
    u32::try_from(random.below(bound as usize)).unwrap()
}

impl End {
    /// A client of an ordinary server with one GET open, whose windows are wider as `lender` lends.
    fn upstream(lender: &Arc<Lender>) -> Self {
        let mut end = Self::lent(Role::Client, lender);
        end.request(b"GET", true);
        end.hears(&settings(&[]));
        end
    }

    /// As many streams as keep windows narrow begin, and are given up.
    fn many_come_and_go(&mut self) {
        for _ in 0..limits::NARROW_STREAMS {
            let stream = self.request(b"GET", true);
            self.wire.reset(stream, Cause::Cancelled, &mut self.out);
        }
    }
}
