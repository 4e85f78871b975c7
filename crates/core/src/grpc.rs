//! What the mesh itself says to a gRPC caller: statuses instead of HTTP ones, in a response of trailers only.
//!
//! Messages that pass through are opaque: their framing is not read.

use crate::events::ReplyKind;
use crate::head::Head;

/// Tell whether a `content-type` is gRPC's (`application/grpc`, alone or with `+proto`, `;charset` and the like).
pub fn is_grpc(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    content_type.strip_prefix(NAME).is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Return the service and method that a request calls; `None`: it is no gRPC.
pub fn method_of(head: &Head) -> Option<(&[u8], &[u8])> {
    head.get(b"content-type").filter(|name| is_grpc(name))?;
    let path = head.path().strip_prefix(b"/")?;
    let slash = path.iter().position(|byte| *byte == b'/')?;
    Some((path.get(..slash)?, path.get(slash + 1..)?))
}

/// Return the gRPC status that says the same as our own reply (grpc/grpc: doc/http-grpc-status-mapping.md; where that
/// page sees only a number, we know the cause: a passed deadline and a reached size limit have statuses of their own).
pub fn status_of(http: u16, kind: ReplyKind) -> u8 {
    const UNKNOWN: u8 = 2;
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match (http, kind) {
        (_, ReplyKind::Timeout) | (504, _) => DEADLINE_EXCEEDED,
        (_, ReplyKind::Exhausted) | (413 | 431, _) => RESOURCE_EXHAUSTED,
        (400, _) => INTERNAL,
        (401, _) => UNAUTHENTICATED,
        (403, _) => PERMISSION_DENIED,
        (404, _) => UNIMPLEMENTED,
        (429 | 502 | 503, _) => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Return the HTTP status that says what a `grpc-status` says (Envoy: `grpcToHttpStatus`): outliers are judged by it.
pub fn http_of(status: &[u8]) -> u16 {
    match status {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"12" => 501,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    }
}

/// Return a message with the five bytes before it (no compression).
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Return the one message that a body holds; `None`: there is none, several, or it is compressed.
pub fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = head;
    (*compressed == 0 && u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

/// Return a `grpc.health.v1.HealthCheckRequest` for `service`, framed. Names are bounded by the configuration (`apply`).
pub fn health_question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, u8::try_from(service.len()).unwrap_or(0)]);
        message.extend_from_slice(service.as_bytes());
    }
    framed(&message)
}

/// Tell whether a framed `grpc.health.v1.HealthCheckResponse` says SERVING: its one field is the number 1.
pub fn is_serving(framed: &[u8]) -> bool {
    framed == [0, 0, 0, 0, 2, 0x08, 0x01]
}

/// Append `text` as a `grpc-message` value: printable ASCII except `%` as it is, the rest percent-encoded.
pub fn encode_message(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if matches!(byte, 0x20..=0x7e) && *byte != b'%' {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 0xf].map(|nibble| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_grpc_web_and_json() {
        let told = [&b"application/grpc"[..], b"application/grpc+proto", b"application/grpc; charset=utf-8"];
        assert!(told.iter().all(|name| is_grpc(name)));
        let others = [&b"application/grpc-web"[..], b"application/json", b"", b"application/grp"];
        assert!(!others.iter().any(|name| is_grpc(name)));
    }

    #[test]
    fn a_call_is_named_by_its_path() {
        let mut head = Head::default();
        head.set_path(b"/pkg.Greeter/Hello");
        assert_eq!(method_of(&head), None, "without the content type it is a path like any other");
        head.push(b"content-type", b"application/grpc+proto");
        assert_eq!(method_of(&head), Some((&b"pkg.Greeter"[..], &b"Hello"[..])));
    }

    #[test]
    fn each_reply_has_the_status_a_grpc_client_acts_on() {
        let statuses = [
            (404, ReplyKind::NoRoute, 12),
            (503, ReplyKind::NoEndpoint, 14),
            (502, ReplyKind::BadResponse, 14),
            (504, ReplyKind::Timeout, 4),
            (413, ReplyKind::BadRequest, 8),
            (429, ReplyKind::Overload, 14),
            (429, ReplyKind::Exhausted, 8),
            (418, ReplyKind::Configured, 2),
        ];
        for (http, kind, expected) in statuses {
            assert_eq!(status_of(http, kind), expected, "{http}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        let mut out = Vec::new();
        encode_message("50% f\u{fc}r\n".as_bytes(), &mut out);
        assert_eq!(out, b"50%25 f%C3%BCr%0A");
    }
}
