//! The fixed part of a frame, and frames of our own.

use crate::events::Fault;
use crate::head::{Head, Span};
use crate::limits::{MAX_BOLT_CLASS, MAX_BOLT_CONTENT, MAX_BOLT_HEADER};

/// First byte of every frame.
pub const PROTOCOL: u8 = 1;

/// Where the id stands in a frame, request or response.
const ID_AT: usize = 5;

const REQUEST_FIXED: usize = 22;
const RESPONSE_FIXED: usize = 20;

/// What a frame is, from its type and command code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer.
    Request,
    /// Wants none, not even an error.
    Oneway,
    /// Answers a request.
    Response,
    /// Wants a heartbeat acknowledgement.
    Heartbeat,
    /// Acknowledges a heartbeat.
    HeartbeatAck,
    /// MOSN's announcement that a connection takes no more requests.
    GoAway,
}

/// A frame whose bytes are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its id, all 32 bits.
    pub id: u32,
    /// Serializer.
    pub codec: u8,
    /// Timeout in milliseconds (requests).
    pub timeout_ms: i32,
    /// Status (responses).
    pub status: u16,
    fixed: usize,
    class: usize,
    header: usize,
    /// Length of the content.
    pub content: usize,
}

impl Frame {
    /// Return the frame at the front of `input`, or `None` when it is not whole. Lengths are checked as soon as they are there;
    /// `status` is that of a fault.
    pub fn read(input: &[u8], status: u16) -> Result<Option<Self>, Fault> {
        let fault = |what| Fault { status, what };
        if input.first().is_some_and(|byte| *byte != PROTOCOL) {
            return Err(fault("not a Bolt v1 frame"));
        }
        let response = match input.get(1) {
            None => return Ok(None),
            Some(0) => true,
            Some(1 | 2) => false,
            Some(_) => return Err(fault("unknown Bolt frame type")),
        };
        let fixed = if response { RESPONSE_FIXED } else { REQUEST_FIXED };
        if input.len() < fixed {
            return Ok(None);
        }
        let kind = match (input.get(1), u16_at(input, 2)) {
            (Some(1), 0) => Kind::Heartbeat,
            (Some(1), 1) => Kind::Request,
            (Some(2), 1) => Kind::Oneway,
            (Some(0), 0) => Kind::HeartbeatAck,
            (Some(0), 2) => Kind::Response,
            (Some(1), 100) => Kind::GoAway,
            _ => return Err(fault("unknown Bolt command")),
        };
        let lengths = fixed - 8;
        let frame = Self {
            kind,
            id: u32_at(input, ID_AT),
            codec: input.get(9).copied().unwrap_or(0),
            timeout_ms: if response { 0 } else { i32::from_be_bytes(u32_at(input, 10).to_be_bytes()) },
            status: if response { u16_at(input, 10) } else { 0 },
            fixed,
            class: usize::from(u16_at(input, lengths)),
            header: usize::from(u16_at(input, lengths + 2)),
            content: u32_at(input, lengths + 4) as usize,
        };
        if frame.class > MAX_BOLT_CLASS || frame.header > MAX_BOLT_HEADER || frame.content > MAX_BOLT_CONTENT {
            return Err(fault("Bolt frame too large"));
        }
        Ok((input.len() >= frame.envelope() + frame.content).then_some(frame))
    }

    /// Return the length of all but the content.
    pub fn envelope(&self) -> usize {
        self.fixed + self.class + self.header
    }

    /// Copy the envelope into `head`; return where its header map lies.
    pub fn store(&self, input: &[u8], head: &mut Head) -> Span {
        let envelope = head.store(input.get(..self.envelope()).unwrap_or_default());
        let (start, end) = envelope.range();
        let class_end = start + self.fixed + self.class;
        head.frame.envelope = envelope;
        head.frame.class = Span::new(start + self.fixed, class_end);
        head.frame.timeout_ms = self.timeout_ms;
        head.frame.status = self.status;
        head.frame.oneway = self.kind == Kind::Oneway;
        head.content_length = Some(self.content as u64);
        Span::new(class_end, end)
    }
}

fn u16_at(input: &[u8], at: usize) -> u16 {
    input.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes)
}

fn u32_at(input: &[u8], at: usize) -> u32 {
    input.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Append the envelope of `head` under another id; its header map is written anew if it was edited.
pub fn write_envelope(head: &Head, id: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let envelope = head.bytes(head.frame.envelope);
    if head.edited {
        let fixed = if envelope.get(1) == Some(&0) { RESPONSE_FIXED } else { REQUEST_FIXED };
        let class = head.bytes(head.frame.class);
        out.extend_from_slice(envelope.get(..fixed + class.len()).unwrap_or_default());
        let map = out.len();
        super::headers::write(head, out);
        let length = u16::try_from(out.len() - map).unwrap_or(u16::MAX);
        patch(out, start + fixed - 6, &length.to_be_bytes());
    } else {
        out.extend_from_slice(envelope);
    }
    patch(out, start + ID_AT, &id.to_be_bytes());
}

fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = out.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// Append a response without class and header map.
pub fn write_response(id: u32, codec: u8, status: u16, content: &[u8], out: &mut Vec<u8>) {
    write_response_head(id, codec, status, &[], content.len(), out);
    out.extend_from_slice(content);
}

/// Append all of a response but its content.
pub fn write_response_head(id: u32, codec: u8, status: u16, map: &[u8], content: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[PROTOCOL, 0, 0, 2, 1]);
    out.extend_from_slice(&id.to_be_bytes());
    out.push(codec);
    out.extend_from_slice(&status.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&u16::try_from(map.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&u32::try_from(content).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(map);
}

/// Append the acknowledgement of a heartbeat; it carries the codec of its request.
pub fn write_heartbeat_ack(id: u32, codec: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[PROTOCOL, 0, 0, 0, 1]);
    out.extend_from_slice(&id.to_be_bytes());
    out.push(codec);
    out.extend_from_slice(&[0; 10]);
}
