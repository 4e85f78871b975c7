//! Access-log lines, written into one buffer a path without formatting machinery.
//!
//! `[START] "METHOD PATH PROTOCOL" STATUS FLAGS BYTES_IN BYTES_OUT DURATION_MS "USER-AGENT" "REQUEST-ID" "AUTHORITY" "UPSTREAM" ROUTE`
//! START is UTC with milliseconds. Inside the engine time is monotonic; the offset to wall-clock time is taken once, when
//! the engine is made, so a clock that is set later does not make lines jump.

use crate::ascii::{hex_digit, push_decimal, push_padded};
use crate::calendar::civil;
use crate::head::Head;

/// Most bytes of lines kept for one path while nobody takes them; further lines are counted and dropped.
const MAX_KEPT: usize = 8 * 1024 * 1024;

/// What a line tells.
#[derive(Debug)]
pub struct Line<'a> {
    /// The request's head.
    pub head: &'a Head,
    /// Its protocol.
    pub protocol: &'a str,
    /// Path as received.
    pub path: &'a [u8],
    /// Authority as received.
    pub authority: &'a [u8],
    /// Status; 0: none was sent.
    pub status: u16,
    /// What went wrong.
    pub flags: &'a str,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
    /// Monotonic seconds.
    pub started: f64,
    /// Seconds.
    pub took: f64,
    /// Endpoint.
    pub upstream: &'a str,
    /// Route's label.
    pub route: &'a str,
}

#[derive(Debug)]
struct Sink {
    path: String,
    lines: Vec<u8>,
}

/// All access logs.
#[derive(Debug)]
pub struct AccessLog {
    wall_offset_s: f64,
    sinks: Vec<Sink>,
    second: u64,
    /// That second as lines spell it, up to its fraction: formatted once, since thousands of lines share it.
    second_text: Vec<u8>,
    dropped: u64,
}

impl AccessLog {
    /// Return a set of logs without any.
    pub fn new(wall_offset_s: f64) -> Self {
        Self { wall_offset_s, sinks: Vec::new(), second: u64::MAX, second_text: Vec::new(), dropped: 0 }
    }

    /// Return the number of the log at `path`; `None` for an empty path.
    pub fn open(&mut self, path: &str) -> Option<usize> {
        if path.is_empty() {
            return None;
        }
        let known = self.sinks.iter().position(|sink| sink.path == path);
        Some(known.unwrap_or_else(|| {
            self.sinks.push(Sink { path: path.to_owned(), lines: Vec::new() });
            self.sinks.len() - 1
        }))
    }

    /// Append a line to log `number`.
    pub fn write(&mut self, number: usize, line: &Line<'_>) {
        let ms = milliseconds(line.started + self.wall_offset_s);
        self.set_second(ms / 1_000);
        let Some(sink) = self.sinks.get_mut(number) else { return };
        if sink.lines.len() > MAX_KEPT {
            self.dropped += 1;
            return;
        }
        let out = &mut sink.lines;
        out.push(b'[');
        out.extend_from_slice(&self.second_text);
        push_padded(out, ms % 1_000, 3);
        out.extend_from_slice(b"Z] \"");
        escaped(out, line.head.method());
        out.push(b' ');
        escaped(out, line.path);
        out.push(b' ');
        out.extend_from_slice(line.protocol.as_bytes());
        out.extend_from_slice(b"\" ");
        push_decimal(out, u64::from(line.status));
        out.push(b' ');
        out.extend_from_slice(line.flags.as_bytes());
        for number in [line.bytes_in, line.bytes_out, milliseconds(line.took)] {
            out.push(b' ');
            push_decimal(out, number);
        }
        quoted(out, line.head.get(b"user-agent").unwrap_or(b"-"));
        quoted(out, line.head.get(b"x-request-id").unwrap_or(b"-"));
        quoted(out, line.authority);
        quoted(out, line.upstream.as_bytes());
        out.push(b' ');
        out.extend_from_slice(line.route.as_bytes());
        out.push(b'\n');
    }

    /// Return and forget all lines, as (path, lines); a last line tells of those dropped.
    pub fn take(&mut self) -> Vec<(String, Vec<u8>)> {
        let dropped = std::mem::take(&mut self.dropped);
        let filled = self.sinks.iter_mut().filter(|sink| !sink.lines.is_empty());
        filled
            .map(|sink| {
                let room = sink.lines.capacity().min(MAX_KEPT / 8);
                let mut lines = std::mem::replace(&mut sink.lines, Vec::with_capacity(room));
                if dropped > 0 {
                    lines.extend_from_slice(b"[-] access log overrun, lines dropped: ");
                    push_decimal(&mut lines, dropped);
                    lines.push(b'\n');
                }
                (sink.path.clone(), lines)
            })
            .collect()
    }

    fn set_second(&mut self, second: u64) {
        if second != self.second {
            self.second = second;
            let (year, month, day) = civil(i64::try_from(second / 86_400).unwrap_or(0));
            let text = &mut self.second_text;
            text.clear();
            push_padded(text, year.unsigned_abs(), 4);
            let parts = [
                (b'-', month),
                (b'-', day),
                (b'T', second / 3_600 % 24),
                (b':', second / 60 % 60),
                (b':', second % 60),
            ];
            for (mark, number) in parts {
                text.push(mark);
                push_padded(text, number, 2);
            }
            text.push(b'.');
        }
    }
}

fn milliseconds(seconds: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, which is what a log wants
    let whole = (seconds * 1_000.0) as u64;
    whole
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(b" \"");
    escaped(out, text);
    out.push(b'"');
}

/// Return whether a byte may stand in a line as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

/// Append `text` so that it cannot end its quotes or its line.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().fold(0, |odd, byte| odd | u8::from(!is_plain(*byte))) == 0 {
        return out.extend_from_slice(text);
    }
    for byte in text {
        if is_plain(*byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(b"\\x");
            out.push(hex_digit(usize::from(byte >> 4)));
            out.push(hex_digit(usize::from(byte & 15)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_whole_exchange() {
        let mut head = Head::default();
        head.set_method(b"GET");
        head.push(b"user-agent", b"a\"b");
        let mut log = AccessLog::new(1_700_000_000.0);
        let number = log.open("/dev/stdout").unwrap();
        let line = Line {
            head: &head,
            protocol: "HTTP/1.1",
            path: b"/p",
            authority: b"h",
            status: 503,
            flags: "UH",
            bytes_in: 1,
            bytes_out: 19,
            started: 0.5,
            took: 0.0123,
            upstream: "-",
            route: "r",
        };
        log.write(number, &line);
        let expected =
            "[2023-11-14T22:13:20.500Z] \"GET /p HTTP/1.1\" 503 UH 1 19 12 \"a\\x22b\" \"-\" \"h\" \"-\" r\n";
        assert_eq!(log.take(), [("/dev/stdout".to_owned(), expected.as_bytes().to_vec())]);
        assert!(log.take().is_empty());
    }

    #[test]
    fn lines_nobody_takes_are_bounded_and_the_loss_is_told() {
        let (head, mut log) = (Head::default(), AccessLog::new(0.0));
        let number = log.open("x").unwrap();
        let path = vec![b'p'; MAX_KEPT / 2];
        for _ in 0..4 {
            let line = Line {
                head: &head,
                protocol: "-",
                path: &path,
                authority: b"",
                status: 200,
                flags: "-",
                bytes_in: 0,
                bytes_out: 0,
                started: 0.0,
                took: 0.0,
                upstream: "",
                route: "",
            };
            log.write(number, &line);
        }
        let (_, lines) = log.take().remove(0);
        assert!(lines.len() < 2 * MAX_KEPT && lines.ends_with(b"lines dropped: 2\n"));
    }
}
