//! What a protocol of whole frames must know.

use crate::events::{Fault, LocalReply, Piece};
use crate::framed::kind::Kind;
use crate::head::{Head, Version, PROXIED};

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

    /// Return which part of it is what, with its id at `id_at`.
    pub fn extent(&self, id_at: usize) -> Extent {
        Extent { id_at, passes: self.length - self.trailer, length: self.length }
    }
}

/// Which part of a frame is what, for those who do not look at it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Where its id is.
    pub id_at: usize,
    /// Length of all of it but what is made anew on the way.
    pub passes: usize,
    /// How long it is.
    pub length: usize,
}

/// Whom a request is for: all that a route needs which looks at nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// Its service, as the bytes that tell it from others.
    pub service: &'a [u8],
    /// Its method, likewise.
    pub method: &'a [u8],
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
        head.frame.id_at = u32::try_from(self.id_at()).unwrap_or(u32::MAX);
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

    /// Make `address` that of this request, and return the caller's budget in milliseconds (-1 or 0: none); `None`: it is malformed,
    /// or must be looked at in full for another reason.
    ///
    /// Whoever can reads them where they lie: to make a head is a third of what passing a request on costs (ADR 0107).
    fn address<'a>(
        &self,
        frame: &Frame,
        input: &'a [u8],
        head: &'a mut Head,
        address: &mut Address<'a>,
    ) -> Option<i32> {
        self.store(frame, input, head);
        self.describe(input, head, 400).ok()?;
        let (head, timeout_ms) = (&*head, head.frame.timeout_ms);
        (address.service, address.method) = (head.authority(), head.method());
        head.find(PROXIED).is_none().then_some(timeout_ms)
    }

    /// Make `memory` that of this request.
    fn remember(&self, input: &[u8], memory: &mut Self::Memory);

    /// Return the protocol.
    fn version(&self) -> Version;

    /// Return in what the frame that was looked at last is written.
    fn written_in(&self) -> Version {
        self.version()
    }

    /// Return the largest id.
    fn max_id(&self) -> u64;

    /// Return where the id of the frame that was looked at last is.
    fn id_at(&self) -> usize;

    /// Write an id over the front of `bytes`, which hold one.
    fn write_id(&self, id: u64, bytes: &mut [u8]);

    /// Append what is made anew behind the frame that was written to `out` from `at` on.
    fn seal(&self, at: usize, out: &mut Vec<u8>) {
        let _ = (at, out);
    }

    /// Append the frame of `head` and `body` under another id.
    fn write(&self, head: &Head, id: u64, body: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(head.bytes(head.frame.envelope));
        self.write_id(id, out.get_mut(at + head.frame.id_at as usize..).unwrap_or_default());
        out.extend_from_slice(body);
    }

    /// Append the frame at the front of `input` as it lies but for its id, and for what is made anew.
    #[inline]
    fn copy(&self, input: &[u8], frame: Extent, id: u64, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(input.get(..frame.passes).unwrap_or_default());
        self.write_id(id, out.get_mut(at + frame.id_at..).unwrap_or_default());
        if frame.passes < frame.length {
            self.seal(at, out);
        }
    }

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
