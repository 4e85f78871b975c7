//! Bolt as a protocol of whole frames: what of a call routes look at, and its statuses.

use crate::bolt::frame::{self, Addressee};
use crate::bolt::headers;
use crate::events::{Fault, LocalReply, ReplyKind};
use crate::framed::{self, Address, Frame};
use crate::head::{Dialect, Head, Version, PROXIED};

const ERROR: u16 = 1;
const SERVER_EXCEPTION: u16 = 2;
const SERVER_THREADPOOL_BUSY: u16 = 4;
const NO_PROCESSOR: u16 = 6;
const TIMEOUT: u16 = 7;
const CODEC_EXCEPTION: u16 = 9;
const CONNECTION_CLOSED: u16 = 0x10;

/// Headers by which SOFARPC says whom a call is for: its service, either of two, the first before the second, and its method.
const SERVICE: &[u8] = b"service";
const TARGET: &[u8] = b"sofa_head_target_service";
const METHOD: &[u8] = b"sofa_head_method_name";

/// The header by which it says that the service has failed.
const ERROR_SAID: &[u8] = b"sofa_head_response_error";

/// The codec of Bolt, in all of its dialects: callers may mix them on one connection, which a server never sees.
#[derive(Debug, Default)]
pub struct Codec {
    /// Of what is asked on a connection to a server.
    dialect: Dialect,
    /// The frame that was looked at last; what it says counts once it has been found whole.
    read: frame::Frame,
}

impl Codec {
    /// Return the codec of a connection to a server for requests of one dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// Read the header map of the frame at hand, whose envelope `head` holds already, into the fields of `head`.
    fn fields(&self, envelope: usize, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        let map = input.get(self.read.map_at()..envelope).unwrap_or_default();
        let (_, start) = head.frame.class.range();
        headers::read(head, map, start, status)
    }
}

/// What an answer must know of its request.
#[derive(Debug, Default)]
pub struct Asked {
    dialect: Dialect,
    codec: u8,
}

impl framed::Codec for Codec {
    type Memory = Asked;

    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault> {
        if !self.read.read(input, status)? {
            return Ok(false);
        }
        let read = &self.read;
        (frame.kind, frame.id) = (read.kind, u64::from(read.id));
        (frame.envelope, frame.length, frame.trailer) = (read.envelope(), read.length(), read.trailer);
        Ok(true)
    }

    fn store(&self, _frame: &Frame, input: &[u8], head: &mut Head) {
        head.clear();
        self.read.store(input, head);
    }

    fn status(&self, frame: &Frame, input: &[u8], status: u16) -> Result<u16, Fault> {
        // SOFARPC says what went wrong in the service in its own answer, under Bolt's SUCCESS.
        let map = input.get(self.read.map_at()..frame.envelope).unwrap_or_default();
        let mut failed = None;
        headers::each(map, status, |key, value| {
            if key == ERROR_SAID {
                failed.get_or_insert(value);
            }
        })?;
        Ok(if failed == Some(b"true") && self.read.status == 0 { 500 } else { http_status(self.read.status) })
    }

    fn describe_answer(&self, frame: &Frame, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        self.fields(frame.envelope, input, head, status)
    }

    fn describe(&self, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        self.fields(self.read.envelope(), input, head, status)?;
        let service = head.find(SERVICE).or_else(|| head.find(TARGET)).unwrap_or_default();
        head.place_authority(service);
        let method = head.find(METHOD).unwrap_or_default();
        head.place_method(method);
        if method.is_empty() {
            // Older callers say the method in the content alone; a prefix `/service/` finds them too.
            head.set_folder_of(service);
        } else {
            head.set_path_of(&[service, method]);
        }
        Ok(())
    }

    fn address<'a>(
        &self,
        frame: &Frame,
        input: &'a [u8],
        _head: &'a mut Head,
        address: &mut Address<'a>,
    ) -> Option<i32> {
        let map = input.get(self.read.map_at()..frame.envelope)?;
        let (mut service, mut target, mut method, mut proxied) = (None, None, None, None);
        headers::each(map, 400, |key, value| {
            let said = match key {
                SERVICE => &mut service,
                TARGET => &mut target,
                METHOD => &mut method,
                PROXIED => &mut proxied,
                _ => return,
            };
            said.get_or_insert(value);
        })
        .ok()?;
        (address.service, address.method) = (service.or(target).unwrap_or_default(), method.unwrap_or_default());
        proxied.is_none().then_some(self.read.timeout_ms)
    }

    fn remember(&self, _input: &[u8], memory: &mut Asked) {
        *memory = Asked { dialect: self.read.dialect, codec: self.read.codec };
    }

    fn version(&self) -> Version {
        Version::Bolt(self.dialect)
    }

    fn written_in(&self) -> Version {
        Version::Bolt(self.read.dialect)
    }

    fn max_id(&self) -> u64 {
        u64::from(u32::MAX)
    }

    fn write(&self, head: &Head, id: u64, body: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        frame::write_envelope(head, short(id), out);
        out.extend_from_slice(body);
        frame::seal(at, out);
    }

    fn id_at(&self) -> usize {
        self.read.dialect.id_at()
    }

    fn write_id(&self, id: u64, bytes: &mut [u8]) {
        if let Some(target) = bytes.first_chunk_mut() {
            *target = short(id).to_be_bytes();
        }
    }

    fn seal(&self, at: usize, out: &mut Vec<u8>) {
        frame::seal(at, out);
    }

    fn understands(&self, version: Version, memory: &Asked) -> bool {
        version == Version::Bolt(memory.dialect)
    }

    fn answer(&self, head: &Head, id: u64, memory: &Asked, body: &[u8], out: &mut Vec<u8>) -> bool {
        let to = addressee(id, memory);
        if head.version == Version::Bolt(to.dialect) {
            self.write(head, id, body, out);
            return true;
        }
        let mut map = Vec::new();
        headers::write(head, &mut map);
        // A server that answers in another version than it was asked in: the same answer, said anew.
        let status = if head.version.is_framed() { head.frame.status } else { status_of(head.status) };
        // Our own frames have no checksum: their switch is off.
        frame::write_response_head(to, status, head.bytes(head.frame.class), &map, body.len(), out);
        out.extend_from_slice(body);
        true
    }

    fn heartbeat_reply(&self, _frame: &Frame, _input: &[u8], out: &mut Vec<u8>) {
        frame::write_heartbeat_ack(self.read.sender(), out);
    }

    fn unasked(&self, out: &mut Vec<u8>) {
        frame::write_response(self.read.sender(), NO_PROCESSOR, &[], out);
    }

    fn local_reply(&self, id: u64, memory: &Asked, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let (status, content) = match reply.kind {
            ReplyKind::Configured => (status_of(reply.status), reply.body),
            ReplyKind::NoRoute => (NO_PROCESSOR, &[][..]),
            ReplyKind::NoEndpoint | ReplyKind::Broken => (CONNECTION_CLOSED, &[][..]),
            ReplyKind::BadResponse => (CODEC_EXCEPTION, &[][..]),
            ReplyKind::Timeout => (TIMEOUT, &[][..]),
            ReplyKind::Overload | ReplyKind::Exhausted => (SERVER_THREADPOOL_BUSY, &[][..]),
            ReplyKind::BadRequest | ReplyKind::Forbidden => (ERROR, &[][..]),
        };
        frame::write_response(addressee(id, memory), status, content, out);
    }
}

/// Return to whom an answer goes, by its id and by what was remembered of its request.
fn addressee(id: u64, memory: &Asked) -> Addressee {
    Addressee { dialect: memory.dialect, id: short(id), codec: memory.codec }
}

fn short(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(0)
}

/// Return the HTTP status that says what a Bolt status says: counters and access logs speak it.
fn http_status(status: u16) -> u16 {
    match status {
        0 => 200,
        NO_PROCESSOR => 404,
        TIMEOUT => 504,
        SERVER_THREADPOOL_BUSY | CONNECTION_CLOSED => 503,
        _ => 500,
    }
}

/// Return the Bolt status that says what an HTTP status says.
fn status_of(http: u16) -> u16 {
    match http {
        200..=299 => 0,
        404 => NO_PROCESSOR,
        429 | 503 => SERVER_THREADPOOL_BUSY,
        504 => TIMEOUT,
        500..=599 => SERVER_EXCEPTION,
        _ => ERROR,
    }
}
