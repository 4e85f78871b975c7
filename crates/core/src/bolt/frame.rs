//! The fixed part of a frame, and frames of our own.

use crate::events::Fault;
use crate::framed::{Kind, Opening};
use crate::head::{Dialect, Head, Span, Version};
use crate::limits::{MAX_BOLT_CLASS, MAX_BOLT_CONTENT, MAX_BOLT_HEADER};

/// First byte of every frame, by version.
pub const PROTOCOLS: [u8; 2] = [1, 2];

impl Dialect {
    /// Return the dialect of a frame; `None`: it is cut before that can be told.
    fn of(input: &[u8]) -> Result<Option<Self>, &'static str> {
        match (input.first(), input.get(1)) {
            (None, _) | (Some(2), None) => Ok(None),
            (Some(1), _) => Ok(Some(Self::V1)),
            (Some(2), Some(1)) => Ok(Some(Self::V2)),
            (Some(2), Some(2)) => Ok(Some(Self::V2Checked)),
            (Some(2), Some(_)) => Err("unknown Bolt version"),
            (Some(_), _) => Err("not a Bolt frame"),
        }
    }

    /// Return what a frame begins with.
    fn start(self) -> &'static [u8] {
        match self {
            Self::V1 => &[1],
            Self::V2 => &[2, 1],
            Self::V2Checked => &[2, 2],
        }
    }

    /// Return where the type stands; protocol 2 has its version before it.
    fn type_at(self) -> usize {
        self.start().len()
    }

    /// Return where the id stands in a frame, request or response.
    pub fn id_at(self) -> usize {
        self.type_at() + 4
    }

    /// Return how long the fixed part is. Protocol 2 has one byte before the type and one, the switch, behind the codec.
    fn fixed(self, response: bool) -> usize {
        let fixed = if response { 20 } else { 22 };
        fixed + if self == Self::V1 { 0 } else { 2 }
    }
}

/// Bits of the switch byte: a checksum follows the content.
const CRC_SWITCH: u8 = 1;

/// Type of an answer.
const RESPONSE: u8 = 0;

/// The bytes up to a frame's command, or one behind that, say what it is.
const OPENING: Opening = Opening::first(5);

/// Length of the checksum; no length field counts it.
const CRC_SIZE: usize = 4;

/// A frame whose bytes are all there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// What it is written in.
    pub dialect: Dialect,
    /// Its id, all 32 bits.
    pub id: u32,
    /// Serializer.
    pub codec: u8,
    /// Timeout in milliseconds (requests).
    pub timeout_ms: i32,
    /// Status (responses).
    pub status: u16,
    /// How the last one began of which it is known what it is: mostly as the next one does.
    opening: Option<u128>,
    fixed: usize,
    class: usize,
    header: usize,
    /// Length of the content.
    pub content: usize,
    /// Length of the checksum behind it.
    pub trailer: usize,
}

impl Frame {
    /// Return to whom its answer goes.
    pub fn sender(&self) -> Addressee {
        Addressee { dialect: self.dialect, id: self.id, codec: self.codec }
    }

    /// Become the frame at the front of `input`, or return `false` when it is not whole. Lengths are checked as soon as they are
    /// there, a checksum when all is; `status` is that of a fault.
    pub fn read(&mut self, input: &[u8], status: u16) -> Result<bool, Fault> {
        let fault = |what| Fault { status, what };
        let opening = OPENING.read(input);
        if opening.is_none() || opening != self.opening {
            self.opening = None;
            if !self.begin(input).map_err(fault)? {
                return Ok(false);
            }
            self.opening = opening;
        }
        // In two pieces, whose bytes then need no looking for: up to the codec, and the end, with the lengths.
        let (Some(front), Some(end)) = (
            input.get(self.dialect.type_at()..).and_then(<[u8]>::first_chunk::<9>),
            input.get(..self.fixed).and_then(<[u8]>::last_chunk::<12>),
        ) else {
            return Ok(false);
        };
        let [kind, _, _, _, i0, i1, i2, i3, codec] = *front;
        let [t0, t1, t2, t3, k0, k1, h0, h1, n0, n1, n2, n3] = *end;
        self.codec = codec;
        self.id = u32::from_be_bytes([i0, i1, i2, i3]);
        // A request has its timeout before the lengths; an answer its status, which is half as long.
        (self.timeout_ms, self.status) = if kind == RESPONSE {
            (0, u16::from_be_bytes([t2, t3]))
        } else {
            (i32::from_be_bytes([t0, t1, t2, t3]), 0)
        };
        self.class = usize::from(u16::from_be_bytes([k0, k1]));
        self.header = usize::from(u16::from_be_bytes([h0, h1]));
        self.content = u32::from_be_bytes([n0, n1, n2, n3]) as usize;
        self.trailer = if self.dialect == Dialect::V2Checked && has_crc(input) { CRC_SIZE } else { 0 };
        if self.class > MAX_BOLT_CLASS || self.header > MAX_BOLT_HEADER || self.content > MAX_BOLT_CONTENT {
            return Err(fault("Bolt frame too large"));
        }
        let (summed, whole) = (self.envelope() + self.content, self.length());
        if input.len() < whole {
            return Ok(false);
        }
        if self.trailer > 0 && crc32fast::hash(input.get(..summed).unwrap_or_default()) != u32_at(input, summed) {
            return Err(fault("the checksum of a Bolt frame is wrong"));
        }
        Ok(true)
    }

    /// Tell what the frame is whose beginning this is; `false`: there is too little of it.
    fn begin(&mut self, input: &[u8]) -> Result<bool, &'static str> {
        let Some(dialect) = Dialect::of(input)? else { return Ok(false) };
        let response = match input.get(dialect.type_at()) {
            None => return Ok(false),
            Some(&RESPONSE) => true,
            Some(1 | 2) => false,
            Some(_) => return Err("unknown Bolt frame type"),
        };
        (self.dialect, self.fixed) = (dialect, dialect.fixed(response));
        let fixed = input.get(..self.fixed).unwrap_or_default();
        let Some([kind, c0, c1]) = fixed.get(dialect.type_at()..).and_then(<[u8]>::first_chunk) else {
            return Ok(false);
        };
        self.kind = match (*kind, u16::from_be_bytes([*c0, *c1])) {
            (1, 0) => Kind::Heartbeat,
            (1, 1) => Kind::Request,
            (2, 1) => Kind::Oneway,
            (RESPONSE, 0) => Kind::HeartbeatReply,
            (RESPONSE, 2) => Kind::Response,
            // MOSN's announcement that a connection takes no more requests.
            (1, 100) => Kind::GoAway,
            _ => return Err("unknown Bolt command"),
        };
        Ok(true)
    }

    /// Return the length of all but content and checksum.
    pub fn envelope(&self) -> usize {
        self.fixed + self.class + self.header
    }

    /// Return where its header map begins.
    pub fn map_at(&self) -> usize {
        self.fixed + self.class
    }

    /// Return the length of all of it.
    pub fn length(&self) -> usize {
        self.envelope() + self.content + self.trailer
    }

    /// Copy the envelope into `head`.
    pub fn store(&self, input: &[u8], head: &mut Head) {
        let envelope = head.store(input.get(..self.envelope()).unwrap_or_default());
        let (start, _) = envelope.range();
        let class_end = start + self.fixed + self.class;
        head.version = Version::Bolt(self.dialect);
        head.frame.envelope = envelope;
        head.frame.class = Span::new(start + self.fixed, class_end);
        head.frame.timeout_ms = self.timeout_ms;
        head.frame.status = self.status;
        head.frame.oneway = self.kind == Kind::Oneway;
        head.content_length = Some(self.content as u64);
    }
}

/// Return whether a checksum follows the frame of this envelope.
fn has_crc(envelope: &[u8]) -> bool {
    const SWITCH_AT: usize = 11;
    envelope.starts_with(Dialect::V2Checked.start())
        && envelope.get(SWITCH_AT).is_some_and(|switch| switch & CRC_SWITCH != 0)
}

/// End the frame that was written to `out` from `at` on: its id is new, and so is its checksum, if it has one.
pub fn seal(at: usize, out: &mut Vec<u8>) {
    let frame = out.get(at..).unwrap_or_default();
    if has_crc(frame) {
        let sum = crc32fast::hash(frame);
        out.extend_from_slice(&sum.to_be_bytes());
    }
}

fn u32_at(input: &[u8], at: usize) -> u32 {
    input.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Append the envelope of `head` under another id; its header map is written anew if it was edited.
pub fn write_envelope(head: &Head, id: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let envelope = head.bytes(head.frame.envelope);
    let dialect = Dialect::of(envelope).ok().flatten().unwrap_or_default();
    if head.edited {
        let fixed = dialect.fixed(envelope.get(dialect.type_at()) == Some(&0));
        let class = head.bytes(head.frame.class);
        out.extend_from_slice(envelope.get(..fixed + class.len()).unwrap_or_default());
        let map = out.len();
        super::headers::write(head, out);
        let length = u16::try_from(out.len() - map).unwrap_or(u16::MAX);
        patch(out, start + fixed - 6, &length.to_be_bytes());
    } else {
        out.extend_from_slice(envelope);
    }
    patch(out, start + dialect.id_at(), &id.to_be_bytes());
}

fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = out.get_mut(at..at + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// To whom a response of our own goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addressee {
    /// What it speaks. Our own frames have no checksum, as Java's errors have none.
    pub dialect: Dialect,
    /// Its id.
    pub id: u32,
    /// Its serializer.
    pub codec: u8,
}

/// Append a response without class and header map.
pub fn write_response(to: Addressee, status: u16, content: &[u8], out: &mut Vec<u8>) {
    write_response_head(to, status, &[], &[], content.len(), out);
    out.extend_from_slice(content);
}

/// Append all of a response but its content.
pub fn write_response_head(to: Addressee, status: u16, class: &[u8], map: &[u8], content: usize, out: &mut Vec<u8>) {
    write_answer(to, 2, out);
    out.extend_from_slice(&status.to_be_bytes());
    for part in [class, map] {
        out.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    out.extend_from_slice(&u32::try_from(content).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(class);
    out.extend_from_slice(map);
}

/// Append the acknowledgement of a heartbeat; it carries the codec of its request.
pub fn write_heartbeat_ack(to: Addressee, out: &mut Vec<u8>) {
    write_answer(to, 0, out);
    out.extend_from_slice(&[0; 10]);
}

/// Append the beginning of an answer, up to its status.
fn write_answer(to: Addressee, command: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(to.dialect.start());
    out.extend_from_slice(&[0, 0, command, 1]);
    out.extend_from_slice(&to.id.to_be_bytes());
    out.push(to.codec);
    if to.dialect != Dialect::V1 {
        out.push(0);
    }
}
