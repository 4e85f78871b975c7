//! What a protocol of whole frames must know, and the codec that a declaration drives.

use std::sync::Arc;

use crate::events::{Fault, LocalReply, Piece};
use crate::framed::compile::Protocol;
use crate::framed::declaration::HeaderFormat;
use crate::framed::kind::Kind;
use crate::framed::layout::{Field, Parsed, Place};
use crate::framed::template::{self, Filling};
use crate::framed::word::{Kept, Word};
use crate::head::{Head, Span, Version};
use crate::limits::MAX_FRAMED_FIELDS;

/// A frame whose bytes are all there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: u64,
    /// Length of its head: id and routing key lie in it.
    pub envelope: usize,
    /// Length of all of it.
    pub length: usize,
    /// Length of what is made anew on the way (a checksum): its end, behind the body.
    pub trailer: usize,
}

impl Frame {
    /// Return where its body lies in what begins with it.
    pub fn body(&self) -> Piece {
        Piece { start: self.envelope, end: self.length - self.trailer }
    }
}

/// The bytes of one protocol. A codec belongs to one side of one connection.
pub trait Codec {
    /// What an answer must know of its request besides its id.
    type Memory: Default;

    /// Make `frame` the one at the front of `input`, or return `false` when that is not whole. `status` is that of a fault.
    ///
    /// A frame that is returned instead is moved right after it was written, in other pieces than it was written in, and waits for
    /// that: 30 ns a call (ADR 0105).
    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault>;

    /// Make `head` that of this frame: an answer finds its caller by its id, nothing more of it need be read.
    fn store(&self, frame: &Frame, input: &[u8], head: &mut Head) {
        head.clear();
        head.version = self.version();
        head.frame.envelope = head.store(input.get(..frame.envelope).unwrap_or_default());
        head.content_length = Some(frame.body().len() as u64);
        self.place_id(head);
    }

    /// Note in `head`, which holds the envelope of that frame, where its id is, unless the protocol alone says it.
    fn place_id(&self, head: &mut Head) {
        let _ = head;
    }

    /// Return the HTTP status that says what that answer says: counters and access logs speak it. `status` is that of a
    /// fault.
    fn status(&self, frame: &Frame, input: &[u8], status: u16) -> Result<u16, Fault> {
        let _ = (input, status);
        Ok(if frame.kind == Kind::Failure { 500 } else { 200 })
    }

    /// Read into `head`, which holds the envelope of that answer, what else those who change or keep answers look at.
    fn describe_answer(&self, frame: &Frame, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        let _ = (frame, input, head, status);
        Ok(())
    }

    /// Describe that request in `head`: what routes are found by, its fields, its budget.
    fn describe(&self, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault>;

    /// Make `memory` that of this request.
    fn remember(&self, input: &[u8], memory: &mut Self::Memory);

    /// Return the protocol.
    fn version(&self) -> Version;

    /// Return the largest id.
    fn max_id(&self) -> u64;

    /// Overwrite the id of an envelope.
    fn set_id(&self, head: &Head, id: u64, envelope: &mut [u8]) {
        let _ = (head, id, envelope);
    }

    /// Append the frame of `head` and `body` under another id.
    fn write(&self, head: &Head, id: u64, body: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(head.bytes(head.frame.envelope));
        self.set_id(head, id, out.get_mut(at..).unwrap_or_default());
        out.extend_from_slice(body);
    }

    /// Return where the id of the frame that was looked at last is, unless the protocol alone says it.
    fn id_at(&self) -> usize {
        0
    }

    /// Append a frame, envelope and body, as it lies but for its id, which is at `id_at`.
    fn copy(&self, frame: &[u8], id_at: usize, id: u64, out: &mut Vec<u8>);

    /// Return whether a caller of whom this is remembered understands an answer of that version.
    fn understands(&self, version: Version, memory: &Self::Memory) -> bool {
        let _ = memory;
        version == self.version()
    }

    /// Append an answer as the caller of this id understands it; false: `head` is of another protocol, and only an
    /// endpoint can write an answer of this one.
    fn answer(&self, head: &Head, id: u64, memory: &Self::Memory, body: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = memory;
        let is_own = head.version == self.version();
        if is_own {
            self.write(head, id, body, out);
        }
        is_own
    }

    /// Append what a server is told that asks something itself: nobody here could answer.
    fn unasked(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Append the answer to that heartbeat.
    fn heartbeat_reply(&self, frame: &Frame, input: &[u8], out: &mut Vec<u8>);

    /// Append the answer of the mesh to the request of this id.
    fn local_reply(&self, id: u64, memory: &Self::Memory, reply: &LocalReply<'_>, out: &mut Vec<u8>);

    /// Append what tells a caller that this connection takes no more requests, if the protocol can say it.
    fn goodbye(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// The codec of a declared protocol.
#[derive(Debug)]
pub struct Declared {
    protocol: Arc<Protocol>,
    /// Number of the protocol in its engine.
    number: u16,
    parsed: Parsed,
}

impl Declared {
    /// Return the codec of `protocol`, which its engine knows as `number`.
    pub fn new(protocol: &Arc<Protocol>, number: u16) -> Self {
        Self { protocol: Arc::clone(protocol), number, parsed: Parsed::default() }
    }

    fn id_field(&self) -> Field {
        self.protocol.id
    }

    fn kept<'a>(&self, kept: &Kept, input: &'a [u8]) -> &'a [u8] {
        let place = match kept {
            Kept::Number(slot) => self.parsed.number_places.get(*slot),
            Kept::Text(slot) => self.parsed.texts.get(*slot),
        };
        place.and_then(|place| input.get(place.outer..place.outer_end)).unwrap_or_default()
    }

    fn word(&self, word: &Word, head: &mut Head) -> Span {
        let (start, _) = head.frame.envelope.range();
        let place = |at: &Place| Span::new(start + at.start, start + at.end);
        let span = match word {
            Word::Text { slot, .. } => self.parsed.texts.get(*slot).map(place).unwrap_or_default(),
            Word::Header { key, .. } => head.find(key).unwrap_or_default(),
            Word::Number { slot } => {
                let number = self.parsed.numbers.get(*slot).copied().unwrap_or(0);
                head.store(number.to_string().as_bytes())
            }
        };
        match word {
            Word::Text { cut, .. } | Word::Header { cut, .. } => cut.of(head, span),
            Word::Number { .. } => span,
        }
    }
}

impl Codec for Declared {
    /// What its answers repeat, each behind its length.
    type Memory = Vec<u8>;

    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault> {
        if !self.protocol.layout.walk(input, &mut self.parsed, status)? {
            return Ok(false);
        }
        let kind = self.protocol.kind(&self.parsed.numbers);
        let kind = kind.ok_or(Fault { status, what: "no rule says what this frame is" })?;
        let Parsed { id, envelope, length, .. } = self.parsed;
        *frame = Frame { kind, id, envelope, length, trailer: 0 };
        Ok(true)
    }

    fn place_id(&self, head: &mut Head) {
        head.frame.id_at = u32::try_from(self.id_at()).unwrap_or(u32::MAX);
    }

    fn describe(&self, _input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        let (start, _) = head.frame.envelope.range();
        for (name, place) in self.protocol.text_names.iter().zip(&self.parsed.texts) {
            let name = head.store(name);
            head.place_field(name, Span::new(start + place.start, start + place.end));
        }
        if let Some((format, field)) = self.protocol.headers {
            let Place { start: from, end, .. } = self.parsed.headers;
            fields(head, Span::new(start + from, start + end), format, field, status)?;
        }
        let service = self.protocol.service.as_ref().map(|word| self.word(word, head));
        let method = self.protocol.method.as_ref().map(|word| self.word(word, head));
        head.place_authority(service.unwrap_or_default());
        head.place_method(method.unwrap_or_default());
        let words = [service.unwrap_or_default(), method.unwrap_or_default()];
        head.set_path_of(if words[0].is_empty() { &words[1..] } else { &words });
        for (name, word) in &self.protocol.fields {
            let value = self.word(word, head);
            if !value.is_empty() {
                let name = head.store(name);
                head.place_field(name, value);
            }
        }
        if let Some(timeout) = &self.protocol.timeout {
            let span = self.word(timeout, head);
            let digits = std::str::from_utf8(head.bytes(span)).ok().and_then(|text| text.trim().parse().ok());
            head.frame.timeout_ms = digits.unwrap_or(0);
        }
        Ok(())
    }

    fn remember(&self, input: &[u8], memory: &mut Vec<u8>) {
        const KEEP: usize = 256;
        memory.clear();
        memory.shrink_to(KEEP);
        for kept in &self.protocol.echoes {
            template::remember(memory, self.kept(kept, input));
        }
    }

    fn version(&self) -> Version {
        Version::Framed(self.number)
    }

    fn max_id(&self) -> u64 {
        self.id_field().max()
    }

    fn set_id(&self, head: &Head, id: u64, envelope: &mut [u8]) {
        if let Some(target) = envelope.get_mut(head.frame.id_at as usize..) {
            self.id_field().write(id, target);
        }
    }

    fn id_at(&self) -> usize {
        self.parsed.id_at
    }

    fn copy(&self, frame: &[u8], id_at: usize, id: u64, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(frame);
        if let Some(target) = out.get_mut(at + id_at..) {
            self.id_field().write(id, target);
        }
    }

    fn heartbeat_reply(&self, frame: &Frame, input: &[u8], out: &mut Vec<u8>) {
        let mut echo = Vec::new();
        self.remember(input, &mut echo);
        let filling = Filling { id: frame.id, echo: &echo, code: 0, text: &[] };
        template::write(&self.protocol.heartbeat_reply, &filling, out);
    }

    fn local_reply(&self, id: u64, memory: &Vec<u8>, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let code = self.protocol.code(reply.kind);
        let filling = Filling { id, echo: memory, code, text: reply.body };
        template::write(&self.protocol.error, &filling, out);
    }
}

/// Read a header block into the fields of `head`.
fn fields(head: &mut Head, block: Span, format: HeaderFormat, field: Field, status: u16) -> Result<(), Fault> {
    let (mut at, end) = block.range();
    let mut count = 0;
    while at < end {
        let (key, next) = item(head, at, end, format, field, status)?;
        let (value, next) = item(head, next, end, format, field, status)?;
        at = next;
        count += 1;
        if count > MAX_FRAMED_FIELDS {
            return Err(Fault { status, what: "too many header fields" });
        }
        head.place_field(key, value);
    }
    Ok(())
}

/// Return the key or value at `at`, and what follows it.
fn item(
    head: &Head,
    at: usize,
    end: usize,
    format: HeaderFormat,
    field: Field,
    status: u16,
) -> Result<(Span, usize), Fault> {
    let fault = Fault { status, what: "malformed header block" };
    let size = match format {
        HeaderFormat::Lines => {
            let rest = head.bytes(Span::new(at, end));
            // The last value may go without its line end.
            let stop = memchr::memchr(b'\n', rest).map_or(end, |length| at + length);
            return Ok((Span::new(at, stop), (stop + 1).min(end)));
        }
        HeaderFormat::Pairs16 => 2,
        HeaderFormat::Pairs32 => 4,
    };
    let start = at + size;
    if start > end {
        return Err(fault);
    }
    let length = Field { size, ..field }.read(head.bytes(Span::new(at, start)));
    let stop = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    let stop = stop.filter(|stop| *stop <= end).ok_or(fault)?;
    Ok((Span::new(start, stop), stop))
}
