//! Heads and chunks back into bytes, in the one form we write.

use crate::ascii;
use crate::events::LocalReply;
use crate::head::Head;

/// Append `name: value`.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Append all fields of `head`; return whether `te` was among them.
pub fn fields(out: &mut Vec<u8>, head: &Head) -> bool {
    let mut te = false;
    for (name, value) in head.fields() {
        te |= name == b"te";
        field(out, name, value);
    }
    te
}

/// Append `content-length`.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    ascii::push_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Append one chunk; nothing for no bytes, which would end the body.
pub fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        ascii::push_hex(out, bytes.len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// Append a status line.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    ascii::push_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Append an answer of the mesh itself, all but its `connection` field and what follows.
pub fn local_head(out: &mut Vec<u8>, reply: &LocalReply<'_>) {
    status_line(out, reply.status);
    for (name, value) in reply.fields {
        field(out, name, value);
    }
    if reply.status != 204 && reply.status != 304 {
        if !reply.body.is_empty() && !reply.names_its_type() {
            field(out, b"content-type", b"text/plain");
        }
        content_length(out, reply.body.len() as u64);
    }
}

/// Return the registered reason phrase (RFC 9110 15); empty for others, which is legal.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
