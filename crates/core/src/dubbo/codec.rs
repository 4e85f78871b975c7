//! Frames of Dubbo 2, and what of a call routes may look at.

use crate::dubbo::attachments;
use crate::dubbo::hessian::{arguments, Reader};
use crate::events::{Fault, LocalReply, ReplyKind};
use crate::framed::{self, Frame, Kind};
use crate::head::{Head, Version};
use crate::limits::{MAX_DUBBO_BODY, MAX_DUBBO_EVENT, MAX_FRAMED_HEAD, MAX_FRAMED_TEXT};

/// First bytes of every frame.
pub const MAGIC: [u8; 2] = [0xda, 0xbb];

const HEAD: usize = 16;
const ID_AT: usize = 4;
const LENGTH_AT: usize = 12;

const REQUEST: u8 = 0x80;
const TWO_WAY: u8 = 0x40;
const EVENT: u8 = 0x20;
const SERIALIZATION: u8 = 0x1f;
const HESSIAN2: u8 = 2;

const OK: u8 = 20;
const SERVER_TIMEOUT: u8 = 31;
const BAD_REQUEST: u8 = 40;
const BAD_RESPONSE: u8 = 50;
const SERVICE_NOT_FOUND: u8 = 60;
const SERVICE_ERROR: u8 = 70;
const SERVER_ERROR: u8 = 80;
const SERVER_THREADPOOL_EXHAUSTED: u8 = 100;

/// What the first value of a body in Hessian 2 says of an answer: 0 and 3 are exceptions of the service.
const EXCEPTIONS: [u8; 2] = [0x90, 0x93];

/// The codec of Dubbo 2.
#[derive(Debug, Default)]
pub struct Codec {
    flags: u8,
    status: u8,
}

impl Codec {
    fn kind(&self, body: &[u8]) -> Kind {
        let has = |flag| self.flags & flag != 0;
        match (has(REQUEST), has(EVENT)) {
            (true, true) if is_readonly(body) => Kind::GoAway,
            (true, true) if has(TWO_WAY) => Kind::Heartbeat,
            (true, true) => Kind::Ignored,
            (true, false) if has(TWO_WAY) => Kind::Request,
            (true, false) => Kind::Oneway,
            (false, true) => Kind::HeartbeatReply,
            (false, false) => {
                let hessian = self.flags & SERIALIZATION == HESSIAN2;
                let thrown = hessian && body.first().is_some_and(|first| EXCEPTIONS.contains(first));
                if self.status != OK || thrown {
                    Kind::Failure
                } else {
                    Kind::Response
                }
            }
        }
    }
}

/// Return whether an event tells that the server is about to go: the text `R`, however it is serialized.
fn is_readonly(body: &[u8]) -> bool {
    let text = body.iter().rposition(|byte| !matches!(byte, b'"' | b'\r' | b'\n')).and_then(|last| body.get(..=last));
    body.len() > 1 && text.is_some_and(|text| text.last() == Some(&b'R'))
}

impl framed::Codec for Codec {
    type Memory = ();

    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault> {
        let fault = |what| Fault { status, what };
        if !MAGIC.starts_with(input.get(..MAGIC.len().min(input.len())).unwrap_or_default()) {
            return Err(fault("not a Dubbo frame"));
        }
        let Some(head) = input.first_chunk::<HEAD>() else { return Ok(false) };
        let [_, _, flags, code, i0, i1, i2, i3, i4, i5, i6, i7, l0, l1, l2, l3] = *head;
        let body = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if body > MAX_DUBBO_BODY {
            return Err(fault("Dubbo frame too large"));
        }
        if flags & EVENT != 0 && body > MAX_DUBBO_EVENT {
            return Err(fault("Dubbo event too large"));
        }
        let Some(content) = input.get(HEAD..HEAD + body) else { return Ok(false) };
        (self.flags, self.status) = (flags, code);
        let id = u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
        *frame = Frame { kind: self.kind(content), id, envelope: HEAD, length: HEAD + body, trailer: 0 };
        Ok(true)
    }

    fn status(&self, frame: &Frame, _input: &[u8], _status: u16) -> Result<u16, Fault> {
        Ok(match (frame.kind, self.status) {
            (Kind::Response, _) => 200,
            (_, 30 | SERVER_TIMEOUT) => 504,
            (_, BAD_REQUEST) => 400,
            (_, SERVICE_NOT_FOUND) => 404,
            (_, SERVER_THREADPOOL_EXHAUSTED) => 503,
            _ => 500,
        })
    }

    fn describe_answer(&self, _frame: &Frame, _input: &[u8], head: &mut Head, _status: u16) -> Result<(), Fault> {
        head.frame.status = u16::from(self.status);
        Ok(())
    }

    fn describe(&self, input: &[u8], head: &mut Head, _status: u16) -> Result<(), Fault> {
        head.set_path(b"/");
        if self.flags & SERIALIZATION == HESSIAN2 {
            // A call that cannot be read has no fields, and so no route but the default one.
            let body = input.get(HEAD..).unwrap_or_default();
            let length = usize::try_from(head.content_length.unwrap_or(0)).unwrap_or(0);
            let _ = call(body.get(..length).unwrap_or_default(), head);
        }
        Ok(())
    }

    fn remember(&self, _input: &[u8], _memory: &mut ()) {}

    fn version(&self) -> Version {
        Version::Dubbo
    }

    fn max_id(&self) -> u64 {
        u64::MAX
    }

    fn write(&self, head: &Head, id: u64, body: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(head.bytes(head.frame.envelope));
        let envelope = out.get_mut(at..).unwrap_or_default();
        self.write_id(id, envelope.get_mut(ID_AT..).unwrap_or_default());
        let Some((passing, tail)) = attachments::retold(head, body) else { return out.extend_from_slice(body) };
        let length = u32::try_from(passing.len() + tail.len()).unwrap_or(u32::MAX);
        if let Some(target) = envelope.get_mut(LENGTH_AT..) {
            target.copy_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(passing);
        out.extend_from_slice(&tail);
    }

    fn id_at(&self) -> usize {
        ID_AT
    }

    fn write_id(&self, id: u64, bytes: &mut [u8]) {
        if let Some(target) = bytes.first_chunk_mut() {
            *target = id.to_be_bytes();
        }
    }

    fn heartbeat_reply(&self, frame: &Frame, input: &[u8], out: &mut Vec<u8>) {
        // Its body is a null in its own serialization, which the answer repeats.
        let body = input.get(HEAD..frame.length).unwrap_or_default();
        write_head(EVENT | (self.flags & SERIALIZATION), OK, frame.id, body.len(), out);
        out.extend_from_slice(body);
    }

    fn local_reply(&self, id: u64, _memory: &(), reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let status = match reply.kind {
            ReplyKind::NoRoute => SERVICE_NOT_FOUND,
            ReplyKind::NoEndpoint | ReplyKind::Broken => SERVER_ERROR,
            ReplyKind::BadResponse => BAD_RESPONSE,
            ReplyKind::Timeout => SERVER_TIMEOUT,
            ReplyKind::Overload | ReplyKind::Exhausted => SERVER_THREADPOOL_EXHAUSTED,
            ReplyKind::BadRequest => BAD_REQUEST,
            ReplyKind::Configured | ReplyKind::Forbidden => SERVICE_ERROR,
        };
        // One string. Its length counts characters: what is not ASCII is left out, so that they are bytes.
        let text: Vec<u8> = reply.body.iter().copied().filter(u8::is_ascii).take(MAX_FRAMED_TEXT).collect();
        let length = u16::try_from(text.len()).unwrap_or(0);
        write_head(HESSIAN2, status, id, text.len() + 3, out);
        out.push(b'S');
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&text);
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        write_head(REQUEST | EVENT | HESSIAN2, 0, 0, 2, out);
        out.extend_from_slice(&[1, b'R']);
    }
}

fn write_head(flags: u8, status: u8, id: u64, body: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[flags, status]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&u32::try_from(body).unwrap_or(u32::MAX).to_be_bytes());
}

/// Read the call in `body` into `head`: service, method, version, and the attachments if they can be reached.
fn call(body: &[u8], head: &mut Head) -> Option<()> {
    let mut reader = Reader::new(body);
    let (dubbo, path) = (reader.string()?, reader.string()?);
    let (version, method) = (reader.string()?, reader.string()?);
    if dubbo.len() + path.len() + version.len() + method.len() > MAX_FRAMED_HEAD {
        return None;
    }
    let (service, method) = (head.store(path), head.store(method));
    head.place_authority(service);
    head.place_method(method);
    head.set_path_of(&[service, method]);
    head.push(b"dubbo", dubbo);
    head.push(b"version", version);
    // Dubbox has the number of arguments, or -1, before their types.
    if !matches!(reader.peek()?, 0x00..=0x1f | 0x30..=0x33 | b'S') {
        reader.int()?;
    }
    for _ in 0..arguments(reader.string()?)? {
        reader.skip()?;
    }
    attachments::read(body, &mut reader, head)
}
