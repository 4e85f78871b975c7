//! Start lines, and the search for the end of a head.

use memchr::{memchr, memchr_iter};

use crate::ascii;
use crate::events::Fault;
use crate::head::{Head, Span, Version};
use crate::http1::fields::{self, Block, Framing};
use crate::limits;

/// How long a head may be.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes, start line included.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: limits::MAX_RESPONSE_HEAD, fields: limits::MAX_RESPONSE_FIELDS }
    }
}

/// Remembers how far the search for an empty line has come, so that a slow drip of bytes costs linear time.
#[derive(Debug, Default)]
pub struct Search {
    searched: usize,
}

impl Search {
    /// Return the length of the block at the front of `input` that ends with an empty line, or `None` when it has not
    /// come yet. Line ends must be CRLF. `status` is that of a fault, `max` the longest block.
    pub fn block(&mut self, input: &[u8], max: usize, status: u16) -> Result<Option<usize>, Fault> {
        let fresh = input.get(self.searched..).unwrap_or_default();
        for at in memchr_iter(b'\n', fresh).map(|n| n + self.searched) {
            // Before anything else, so that the fault does not depend on how the bytes were cut.
            if at >= max {
                return Err(too_long(status));
            }
            if at == 0 || input.get(at - 1) != Some(&b'\r') {
                return Err(Fault { status, what: "line feed without carriage return" });
            }
            if at == 1 || (at >= 3 && input.get(at - 3..at - 1) == Some(b"\r\n")) {
                self.searched = 0;
                return Ok(Some(at + 1));
            }
        }
        self.searched = input.len();
        if input.len() > max {
            return Err(too_long(status));
        }
        Ok(None)
    }
}

fn too_long(status: u16) -> Fault {
    Fault { status: if status == 400 { 431 } else { status }, what: "head too long" }
}

/// Read a whole request head, with the checks that concern the request alone.
pub fn request(input: &[u8], head: &mut Head, limits: HeadLimits) -> Result<Framing, Fault> {
    let fault = |what| Fault { status: 400, what };
    head.clear();
    let whole = head.store(input);
    let (_, end) = whole.range();
    let line_end = first_line(input).ok_or(fault("malformed request line"))?;
    let line = input.get(..line_end).unwrap_or_default();
    let first = memchr(b' ', line).ok_or(fault("malformed request line"))?;
    let last = line.iter().rposition(|byte| *byte == b' ').ok_or(fault("malformed request line"))?;
    if !ascii::is_token(line.get(..first).unwrap_or_default()) {
        return Err(fault("invalid method"));
    }
    head.version = match line.get(last + 1..).unwrap_or_default() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        version if version.starts_with(b"HTTP/") => {
            return Err(Fault { status: 505, what: "unsupported HTTP version" })
        }
        _ => return Err(fault("malformed request line")),
    };
    if last <= first || !ascii::is_target(line.get(first + 1..last).unwrap_or_default()) {
        return Err(fault("invalid request target"));
    }
    head.place_method(Span::new(0, first));
    let framing = fields::read(head, Span::new(line_end + 2, end), Block::Head, limits.fields, 400)?;
    if head.method() == b"CONNECT" {
        return Err(Fault { status: 405, what: "CONNECT is not served here" });
    }
    match (framing.chunked, head.content_length, head.version) {
        (true, Some(_), _) => return Err(fault("both Content-Length and Transfer-Encoding")),
        (true, _, Version::Http10) => return Err(fault("Transfer-Encoding in HTTP/1.0")),
        _ => {}
    }
    target(head, Span::new(first + 1, last), &framing)?;
    Ok(framing)
}

/// Return where the first line of a head ends; `None`: its first CR is not that of its end, and whoever takes it for one reads
/// other fields than we do.
fn first_line(input: &[u8]) -> Option<usize> {
    memchr(b'\r', input).filter(|at| input.get(at + 1) == Some(&b'\n'))
}

/// Split the target into authority and path (RFC 9112 3.2): a target in absolute form overrules `Host`.
fn target(head: &mut Head, target: Span, framing: &Framing) -> Result<(), Fault> {
    let fault = |what| Fault { status: 400, what };
    match framing.host {
        Some(host) if ascii::is_authority(head.bytes(host)) => head.place_authority(host),
        Some(_) => return Err(fault("invalid Host")),
        None if head.version == Version::Http11 => return Err(fault("missing Host")),
        None => {}
    }
    let (start, end) = target.range();
    let text = head.bytes(target);
    if text.first() == Some(&b'/') {
        head.place_path(target);
        return Ok(());
    }
    if text == b"*" && head.method() == b"OPTIONS" {
        head.place_path(target);
        return Ok(());
    }
    let scheme = text.iter().position(|byte| *byte == b':').unwrap_or(0);
    let absolute = text.get(scheme..scheme + 3) == Some(b"://");
    let known = text.get(..scheme).is_some_and(|name| {
        name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"https") || name.eq_ignore_ascii_case(b"ws")
    });
    if !absolute || !known {
        return Err(fault("invalid request target"));
    }
    let from = start + scheme + 3;
    let rest = head.bytes(Span::new(from, end));
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = Span::new(from, from + length);
    if !ascii::is_authority(head.bytes(authority)) {
        return Err(fault("invalid request target"));
    }
    head.place_authority(authority);
    let path = Span::new(from + length, end);
    if head.bytes(path).first() == Some(&b'/') {
        head.place_path(path);
    } else {
        let mut rooted = b"/".to_vec();
        rooted.extend_from_slice(head.bytes(path));
        head.set_path(&rooted);
    }
    Ok(())
}

/// Read a whole response head.
pub fn response(input: &[u8], head: &mut Head, limits: HeadLimits) -> Result<Framing, Fault> {
    let fault = |what| Fault { status: 502, what };
    head.clear();
    let whole = head.store(input);
    let (_, end) = whole.range();
    let line_end = first_line(input).ok_or(fault("malformed status line"))?;
    let line = input.get(..line_end).unwrap_or_default();
    head.version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        _ => return Err(fault("malformed status line")),
    };
    let code = line.get(9..12).and_then(ascii::parse_decimal).and_then(|code| u16::try_from(code).ok());
    head.status = code.filter(|code| (100..600).contains(code)).ok_or(fault("malformed status line"))?;
    let reason = line.get(12..).unwrap_or_default();
    if !reason.is_empty() && (reason.first() != Some(&b' ') || !ascii::is_field_value(reason)) {
        return Err(fault("malformed status line"));
    }
    let framing = fields::read(head, Span::new(line_end + 2, end), Block::Head, limits.fields, 502)?;
    match (framing.chunked, head.content_length, head.version) {
        (true, Some(_), _) => Err(fault("both Content-Length and Transfer-Encoding")),
        (true, _, Version::Http10) => Err(fault("Transfer-Encoding in HTTP/1.0")),
        _ => Ok(framing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Fault> {
        let mut head = Head::default();
        request(text.as_bytes(), &mut head, HeadLimits::default()).map(|_| head)
    }

    #[test]
    fn an_absolute_target_overrules_host() {
        let head = read("GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!((head.authority(), head.path()), (&b"b:81"[..], &b"/?q"[..]));
    }

    #[test]
    fn hop_by_hop_fields_do_not_pass() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Drop: 1\r\nConnection: x-drop, Keep-Alive\r\nKeep-Alive: 5\r\nTE: gzip, trailers\r\nX-Keep: 2\r\n\r\n";
        let head = read(text).unwrap();
        let got: Vec<_> = head.fields().collect();
        assert_eq!(got, [(&b"te"[..], &b"trailers"[..]), (b"x-keep", b"2")]);
    }

    #[test]
    fn what_two_parsers_may_read_differently_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n b: folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nx: a\0b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nx: a\rb\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ] {
            assert_eq!(read(text).map(|_| ()).unwrap_err().status, status, "{text:?}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_in_any_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut search = Search::default();
        for cut in 0..27 {
            assert_eq!(search.block(&text[..cut], 100, 400), Ok(None), "{cut}");
        }
        assert_eq!(search.block(text, 100, 400), Ok(Some(27)));
    }

    #[test]
    fn a_long_head_is_refused_before_it_is_whole() {
        let status = Search::default().block(&[b'a'; 101], 100, 400).unwrap_err().status;
        assert_eq!(status, 431);
        assert_eq!(Search::default().block(b"GET / HTTP/1.1\n", 100, 400).unwrap_err().status, 400);
    }
}
