//! Header fields: from the bytes of a head to a neutral [`Head`], with everything that concerns one connection taken out.

use memchr::memchr;

use crate::ascii;
use crate::events::Fault;
use crate::head::{Head, Span};

/// What the fields say about this connection and about the body.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not states
pub struct Framing {
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    pub upgrade: bool,
    /// Where `Host` lies.
    pub host: Option<Span>,
    named: bool,
    upgrade_to: Option<Span>,
}

/// Whether the block is a head or trailers, in which framing fields have no business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The fields of a head.
    Head,
    /// The fields behind a chunked body.
    Trailers,
}

/// Read the field lines `head.bytes(block)` (each ending in CRLF, an empty line last); `status` is that of a fault.
pub fn read(head: &mut Head, block: Span, kind: Block, max_fields: usize, status: u16) -> Result<Framing, Fault> {
    let mut framing = Framing::default();
    let (mut at, end) = block.range();
    let mut count = 0;
    while at < end {
        let rest = head.bytes(Span::new(at, end));
        let line = memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        if line <= 2 {
            break;
        }
        count += 1;
        if count > max_fields {
            return Err(Fault { status: too_large(status), what: "too many header fields" });
        }
        field(head, at, at + line - 2, kind, &mut framing, status)?;
        at += line;
    }
    if framing.named {
        connection_options(head, &mut framing);
    }
    if let (true, Some(protocol)) = (framing.upgrade, framing.upgrade_to) {
        // One protocol, and not HTTP/2: requests inside such a tunnel would pass by every route unseen.
        let name = head.bytes(protocol);
        if ascii::is_token(name) && !name.eq_ignore_ascii_case(b"h2c") {
            head.place_upgrade(protocol);
        }
    }
    Ok(framing)
}

fn too_large(status: u16) -> u16 {
    if status == 400 {
        431
    } else {
        status
    }
}

/// Read the field between `start` and `end` (without its CRLF).
fn field(
    head: &mut Head,
    start: usize,
    end: usize,
    kind: Block,
    framing: &mut Framing,
    status: u16,
) -> Result<(), Fault> {
    let fault = |what| Fault { status, what };
    let line = head.bytes_mut(Span::new(start, end));
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(fault("folded header line"));
    }
    let colon = ascii::lower_name(line).ok_or(fault("invalid header name"))?;
    let raw = line.get(colon + 1..).unwrap_or_default();
    if !ascii::is_field_value(raw) {
        return Err(fault("control character in a header value"));
    }
    let skipped = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let from = start + colon + 1 + skipped;
    let value = Span::new(from, from + ascii::trim(raw).len());
    let name = Span::new(start, start + colon);
    let special = matches!(
        head.bytes(name),
        b"host"
            | b"content-length"
            | b"transfer-encoding"
            | b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"upgrade"
            | b"te"
            | b"expect"
    );
    match (special, kind) {
        (false, _) => head.place_field(name, value),
        (true, Block::Head) => return special_field(head, name, value, framing, status),
        (true, Block::Trailers) => {}
    }
    Ok(())
}

fn special_field(head: &mut Head, name: Span, value: Span, framing: &mut Framing, status: u16) -> Result<(), Fault> {
    let fault = |what| Fault { status, what };
    match head.bytes(name) {
        b"host" if framing.host.replace(value).is_some() => return Err(fault("more than one Host")),
        b"content-length" => {
            let length = ascii::parse_decimal(head.bytes(value)).ok_or(fault("invalid Content-Length"))?;
            if head.content_length.replace(length).is_some() {
                return Err(fault("more than one Content-Length"));
            }
        }
        b"transfer-encoding" => {
            if framing.chunked {
                return Err(fault("more than one Transfer-Encoding"));
            }
            if !head.bytes(value).eq_ignore_ascii_case(b"chunked") {
                let status = if status == 400 { 501 } else { status };
                return Err(Fault { status, what: "transfer coding other than chunked" });
            }
            framing.chunked = true;
        }
        b"connection" => {
            // Kept for now: it may name fields that come later. `connection_options` takes it out.
            framing.named = true;
            head.place_field(name, value);
        }
        b"upgrade" => framing.upgrade_to = Some(value),
        b"te" => {
            let trailers = |coding: &[u8]| ascii::trim(coding).eq_ignore_ascii_case(b"trailers");
            if head.bytes(value).split(|byte| *byte == b',').any(trailers) {
                head.push(b"te", b"trailers");
            }
        }
        b"expect" => {
            head.expects_continue = head.bytes(value).eq_ignore_ascii_case(b"100-continue");
            head.place_field(name, value);
        }
        _ => {}
    }
    Ok(())
}

/// Act on every `Connection` option and take out the fields it names (RFC 9110 7.6.1).
fn connection_options(head: &mut Head, framing: &mut Framing) {
    let mut named = Vec::new(); // allocates only for options that nobody sends in good faith
    for (name, value) in head.fields() {
        if name != b"connection" {
            continue;
        }
        for option in value.split(|byte| *byte == b',').map(ascii::trim) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                framing.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                framing.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                framing.upgrade = true;
            } else if !option.is_empty() && !option.eq_ignore_ascii_case(b"te") {
                named.push(option.to_ascii_lowercase());
            }
        }
    }
    head.remove(b"connection");
    for name in named {
        head.remove(&name);
    }
    head.edited = false;
}
