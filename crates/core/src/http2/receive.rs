//! What we hear: from bytes to frames, from frames to stream states and events.

use super::connection::{BlockStart, Connection, Drain, Outcome, Stage};
use super::data::owe_less;
use super::error::ConnectionError;
use super::fields::{self, Block, Refusal};
use super::frame::{self, flag, ErrorCode, Header, Kind, HEADER_LEN, PREFACE};
use super::limits;
use super::role::Role;
use super::stream::Side;
use crate::events::{Cause, Event, Piece, StreamId};
use crate::grpc;
use crate::head::Head;
use crate::limits::MAX_INFORMATIONAL;

impl Connection {
    /// Go on until there is an event or bytes are wanting; `used` counts what was consumed.
    pub(super) fn advance(&mut self, input: &[u8], used: &mut usize, head: &mut Head, out: &mut Vec<u8>) -> Outcome {
        if self.role == Role::Client {
            self.greet(out);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let rest = input.get(*used..).unwrap_or_default();
            match self.stage {
                Stage::Failed(fault) => return Ok(Some(Event::Fault(fault))),
                Stage::Preface => {
                    let seen = rest.len().min(PREFACE.len());
                    if rest.get(..seen) != PREFACE.get(..seen) {
                        return Err(ConnectionError::protocol("connection does not begin with the HTTP/2 preface"));
                    }
                    if seen < PREFACE.len() {
                        return Ok(None);
                    }
                    *used += seen;
                    self.stage = Stage::FirstSettings;
                    self.greet(out);
                }
                Stage::Data(frame) => {
                    if rest.is_empty() {
                        return Ok(None);
                    }
                    if let Some(event) = self.data_bytes(frame, rest.len(), used) {
                        return Ok(Some(event));
                    }
                }
                Stage::FirstSettings | Stage::Frames | Stage::Block(_) => {
                    let Some(bytes) = rest.first_chunk::<HEADER_LEN>() else { return Ok(None) };
                    let header = Header::parse(bytes);
                    self.check_order(header)?;
                    let payload = rest.get(HEADER_LEN..).unwrap_or_default();
                    let padded_data = header.kind == Kind::Data && header.has(flag::PADDED);
                    let needed = match header.kind {
                        // A body is passed on as it comes; every other frame is short and is awaited whole.
                        Kind::Data => usize::from(padded_data && header.length > 0),
                        _ => header.length,
                    };
                    let Some(payload) = payload.get(..needed) else { return Ok(None) };
                    *used += HEADER_LEN + needed;
                    if let Some(event) = self.frame(header, payload, head, out)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Judge a frame by its header alone, before a byte of its payload is waited for.
    fn check_order(&self, header: Header) -> Result<(), ConnectionError> {
        if header.length > limits::MAX_FRAME_BYTES {
            return Err(ConnectionError::frame_size("frame is larger than SETTINGS_MAX_FRAME_SIZE"));
        }
        match self.stage {
            Stage::FirstSettings if header.kind != Kind::Settings || header.has(flag::ACK) => {
                Err(ConnectionError::protocol("first frame is not SETTINGS"))
            }
            Stage::Block(start) if header.kind != Kind::Continuation || header.stream != start.stream => {
                Err(ConnectionError::protocol("header block is interrupted by another frame"))
            }
            _ => Ok(()),
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Outcome {
        match header.kind {
            Kind::Data => return self.data_frame(header, payload, out),
            Kind::Headers => return self.headers(header, payload, head, out),
            Kind::Continuation => return self.continuation(header, payload, head, out),
            Kind::WindowUpdate => return self.window_update(header, payload, out),
            Kind::RstStream => return self.rst_stream(header, payload, out),
            Kind::Settings => self.settings(header, payload, out)?,
            Kind::Ping => self.ping(header, payload, out)?,
            Kind::GoAway => self.goaway(header, payload, out)?,
            Kind::Priority if header.stream == 0 || payload.len() != 5 || depends_on_itself(header.stream, payload) => {
                return Err(ConnectionError::protocol("malformed PRIORITY frame"));
            }
            Kind::PushPromise => return Err(ConnectionError::protocol("PUSH_PROMISE where push is not allowed")),
            Kind::Priority | Kind::Unknown => self.spend_idle("too many frames that carry nothing")?,
        }
        Ok(None)
    }

    pub(super) fn spend_idle(&mut self, reason: &'static str) -> Result<(), ConnectionError> {
        if self.idle_frames.spend() {
            Ok(())
        } else {
            Err(ConnectionError::flood(reason))
        }
    }

    fn headers(&mut self, header: Header, payload: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Outcome {
        let mut block = payload;
        let mut padding = 0;
        if header.has(flag::PADDED) {
            let Some((byte, rest)) = block.split_first() else {
                return Err(ConnectionError::frame_size("HEADERS frame is too short"));
            };
            padding = usize::from(*byte);
            block = rest;
        }
        if header.has(flag::PRIORITY) {
            if depends_on_itself(header.stream, block) {
                return Err(ConnectionError::protocol("stream depends on itself"));
            }
            block = block.get(5..).ok_or(ConnectionError::frame_size("HEADERS frame is too short"))?;
        }
        let Some(length) = block.len().checked_sub(padding) else {
            return Err(ConnectionError::protocol("padding is longer than its frame"));
        };
        let block = block.get(..length).unwrap_or_default();
        self.check_headers_stream(header.stream)?;
        let end = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.whole_block(header.stream, end, block, head, out);
        }
        self.block.clear();
        self.block.extend_from_slice(block);
        self.stage = Stage::Block(BlockStart { stream: header.stream, end, continuations: 0 });
        Ok(None)
    }

    fn continuation(&mut self, header: Header, payload: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Outcome {
        let Stage::Block(mut start) = self.stage else {
            return Err(ConnectionError::protocol("CONTINUATION without HEADERS"));
        };
        start.continuations += 1;
        // Coding never makes a field longer than the 32 bytes each is charged with, so a block that outgrows the
        // limit of its content is over that limit anyhow; one frame of grace, since frames are what we count in.
        let most = self.head_limits.max_bytes + limits::MAX_FRAME_BYTES;
        if start.continuations > limits::MAX_CONTINUATIONS || self.block.len() + payload.len() > most {
            return Err(ConnectionError::flood("header block is too long"));
        }
        self.block.extend_from_slice(payload);
        self.stage = Stage::Block(start);
        if !header.has(flag::END_HEADERS) {
            return Ok(None);
        }
        self.stage = Stage::Frames;
        let block = std::mem::take(&mut self.block);
        self.whole_block(start.stream, start.end, &block, head, out)
    }

    /// Server: a client opens streams in order and with odd numbers. Client: only streams that we opened.
    fn check_headers_stream(&self, id: u32) -> Result<(), ConnectionError> {
        if id % 2 == 0 || (self.role == Role::Client && id > self.last_stream) {
            return Err(ConnectionError::protocol("HEADERS on a stream that the peer may not open"));
        }
        Ok(())
    }

    fn whole_block(&mut self, id: u32, end: bool, bytes: &[u8], head: &mut Head, out: &mut Vec<u8>) -> Outcome {
        let is_new = self.role == Role::Server && id > self.last_stream;
        let block = match self.streams.get(id) {
            None => {
                if self.role == Role::Server {
                    Block::Request
                } else {
                    Block::Response
                }
            }
            Some(stream) if stream.remote != Side::Head => Block::Trailers,
            Some(_) => Block::Response,
        };
        // Read in any case: the compression state must follow what the peer believes it has told us.
        let read = fields::read(&mut self.decoder, bytes, block, self.head_limits, head)?;
        if is_new {
            self.last_stream = id;
            return self.new_request(id, end, read, head, out);
        }
        let Some(stream) = self.streams.get(id) else {
            self.check_silenced(id)?;
            return Ok(None);
        };
        if stream.remote == Side::Ended {
            return self.stream_fault(id, ErrorCode::STREAM_CLOSED, out);
        }
        self.idle_frames.regain(limits::IDLE_FRAMES_REGAINED);
        if read.is_err() {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, out);
        }
        if block == Block::Response {
            return self.response(id, end, head, out);
        }
        if !end || !owe_less(&mut stream.owed, 0, true) {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, out);
        }
        self.remote_end(id);
        Ok(Some(Event::Trailers { stream: StreamId::from(id) }))
    }

    fn new_request(
        &mut self,
        id: u32,
        end: bool,
        read: Result<(), Refusal>,
        head: &Head,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if self.drain == Drain::Final {
            // Above the last stream of our GOAWAY: the client knows that it was not processed.
            self.silenced.add(id);
            self.spend_idle("too many streams after GOAWAY")?;
            return Ok(None);
        }
        if self.streams.len() >= limits::MAX_CONCURRENT_STREAMS as usize {
            self.silenced.add(id);
            frame::write_rst_stream(id, ErrorCode::REFUSED_STREAM, out);
            return self.spend_abandoned().map(|()| None);
        }
        self.idle_frames.regain(limits::IDLE_FRAMES_REGAINED);
        let Some(stream) = self.streams.add(id, i64::from(self.peer.initial_window), self.windows.first) else {
            return Ok(None);
        };
        stream.remote = if end { Side::Ended } else { Side::Body };
        stream.is_head = head.method() == b"HEAD";
        stream.is_grpc = head.get(b"content-type").is_some_and(grpc::is_grpc);
        stream.owed = head.content_length;
        let owed_ok = owe_less(&mut stream.owed, 0, end);
        match read {
            Ok(()) if owed_ok => Ok(Some(Event::Head { stream: StreamId::from(id), body: Piece::EMPTY, end })),
            Err(Refusal::TooLarge) => {
                self.refuse(id, 431, b"request header fields too large", out);
                self.spend_abandoned().map(|()| None)
            }
            Err(Refusal::Connect) => {
                self.refuse(id, 405, b"CONNECT is not supported", out);
                Ok(None)
            }
            _ => {
                frame::write_rst_stream(id, ErrorCode::PROTOCOL_ERROR, out);
                self.forget(id, out);
                self.spend_abandoned().map(|()| None)
            }
        }
    }

    fn response(&mut self, id: u32, end: bool, head: &Head, out: &mut Vec<u8>) -> Outcome {
        let Some(stream) = self.streams.get(id) else { return Ok(None) };
        let event_stream = StreamId::from(id);
        if (100..200).contains(&head.status) {
            stream.informational += 1;
            // HTTP/2 has no 101 (RFC 9113 §8.6), and an interim answer ends nothing.
            if end || head.status == 101 || stream.informational > MAX_INFORMATIONAL {
                return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, out);
            }
            return Ok(Some(Event::Informational { stream: event_stream }));
        }
        stream.remote = Side::Body;
        let bodiless = stream.is_head || matches!(head.status, 204 | 304);
        stream.owed = if bodiless { Some(0) } else { head.content_length };
        if !owe_less(&mut stream.owed, 0, end) {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, out);
        }
        if end {
            self.remote_end(id);
        }
        Ok(Some(Event::Head { stream: event_stream, body: Piece::EMPTY, end }))
    }

    /// The peer broke a rule on one stream only: reset it, tell the engine, keep count.
    pub(super) fn stream_fault(&mut self, id: u32, code: ErrorCode, out: &mut Vec<u8>) -> Outcome {
        frame::write_rst_stream(id, code, out);
        self.forget(id, out);
        self.spend_abandoned()?;
        Ok(Some(Event::Reset { stream: StreamId::from(id), cause: Cause::Protocol }))
    }

    pub(super) fn spend_abandoned(&mut self) -> Result<(), ConnectionError> {
        if self.abandoned.spend() {
            Ok(())
        } else {
            Err(ConnectionError::flood("too many streams given up"))
        }
    }
}

/// Priorities are read no further than RFC 7540 §5.3.1 makes this an error; RFC 9113 deprecates them.
fn depends_on_itself(stream: u32, priority: &[u8]) -> bool {
    let dependency = priority.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) & limits::MAX_WINDOW);
    dependency == Some(stream)
}
