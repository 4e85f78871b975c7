//! The frames that steer: windows, resets, settings, pings, and going away.

use super::connection::{Connection, Drain, Outcome, Stage};
use super::error::ConnectionError;
use super::frame::{self, flag, ErrorCode, Header};
use super::role::Role;
use super::stream::Side;
use super::{limits, settings};
use crate::events::{Cause, Event, StreamId};

impl Connection {
    pub(super) fn window_update(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Outcome {
        let increment = i64::from(word(payload, "WINDOW_UPDATE frame is not 4 bytes")? & limits::MAX_WINDOW);
        if !self.window_updates.spend() {
            return Err(ConnectionError::flood("too many WINDOW_UPDATE frames"));
        }
        let most = i64::from(limits::MAX_WINDOW);
        if header.stream == 0 {
            if increment == 0 {
                return Err(ConnectionError::protocol("WINDOW_UPDATE of 0"));
            }
            self.send_window += increment;
            if self.send_window > most {
                return Err(ConnectionError::flow_control("the connection's window exceeds 2^31-1"));
            }
            self.flush(out);
            return Ok(None);
        }
        self.check_known(header.stream)?;
        let Some(stream) = self.streams.get(header.stream) else { return Ok(None) };
        stream.send_window += increment;
        if increment == 0 {
            return self.stream_fault(header.stream, ErrorCode::PROTOCOL_ERROR, out);
        }
        if stream.send_window > most {
            return self.stream_fault(header.stream, ErrorCode::FLOW_CONTROL_ERROR, out);
        }
        if stream.send_window > 0 && !stream.queue.is_empty() && !stream.is_ready {
            stream.is_ready = true;
            self.ready.push_back(header.stream);
        }
        self.flush(out);
        Ok(None)
    }

    pub(super) fn rst_stream(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Outcome {
        let code = ErrorCode(word(payload, "RST_STREAM frame is not 4 bytes")?);
        self.check_known(header.stream)?;
        let Some(stream) = self.streams.get(header.stream) else {
            self.spend_idle("too many frames for streams that have ended")?;
            return Ok(None);
        };
        // Once an answer has begun, giving up is how many streams end: server streams, watches, downloads.
        let in_vain = self.role == Role::Server && stream.local == Side::Head;
        stream.remote = Side::Ended;
        self.forget(header.stream, out);
        if in_vain {
            self.spend_abandoned()?;
        }
        let cause = match code {
            ErrorCode::REFUSED_STREAM => Cause::Refused,
            ErrorCode::NO_ERROR | ErrorCode::CANCEL => Cause::Cancelled,
            ErrorCode::ENHANCE_YOUR_CALM => Cause::Overload,
            ErrorCode::INTERNAL_ERROR | ErrorCode::CONNECT_ERROR => Cause::Closed,
            _ => Cause::Protocol,
        };
        Ok(Some(Event::Reset { stream: StreamId::from(header.stream), cause }))
    }

    /// Streams that nobody has opened yet cannot be spoken of (RFC 9113 §5.1, "idle").
    pub(super) fn check_known(&self, id: u32) -> Result<(), ConnectionError> {
        if id == 0 || id % 2 == 0 || id > self.last_stream {
            return Err(ConnectionError::protocol("frame on a stream that is not open"));
        }
        Ok(())
    }

    pub(super) fn settings(
        &mut self,
        header: Header,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectionError> {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("SETTINGS on a stream"));
        }
        if payload.len() % 6 != 0 || (header.has(flag::ACK) && !payload.is_empty()) {
            return Err(ConnectionError::frame_size("SETTINGS frame is no list of settings"));
        }
        self.spend_idle("too many SETTINGS frames")?;
        if header.has(flag::ACK) {
            return Ok(());
        }
        self.stage = Stage::Frames;
        let before = self.peer;
        self.peer.update(payload)?;
        if self.peer.header_table_bytes != before.header_table_bytes {
            self.encoder.set_max_table_bytes(self.peer.header_table_bytes);
        }
        if self.peer.initial_window != before.initial_window {
            self.resize_windows(i64::from(self.peer.initial_window) - i64::from(before.initial_window))?;
        }
        self.greet(out);
        settings::write_ack(out);
        self.flush(out);
        Ok(())
    }

    pub(super) fn resize_windows(&mut self, difference: i64) -> Result<(), ConnectionError> {
        for stream in self.streams.iter_mut() {
            stream.send_window += difference;
            if stream.send_window > i64::from(limits::MAX_WINDOW) {
                return Err(ConnectionError::flow_control("a stream's window exceeds 2^31-1"));
            }
            if stream.send_window > 0 && !stream.queue.is_empty() && !stream.is_ready {
                stream.is_ready = true;
                self.ready.push_back(stream.id);
            }
        }
        Ok(())
    }

    pub(super) fn ping(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ConnectionError> {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("PING on a stream"));
        }
        let payload: [u8; 8] =
            payload.try_into().map_err(|_| ConnectionError::frame_size("PING frame is not 8 bytes"))?;
        self.spend_idle("too many PING frames")?;
        if !header.has(flag::ACK) {
            frame::write_ping(true, payload, out);
        } else if self.drain == Drain::Announced && payload == frame::DRAIN_PING {
            self.drain = Drain::Final;
            frame::write_goaway(self.last_stream, ErrorCode::NO_ERROR, "", out);
        }
        Ok(())
    }

    pub(super) fn goaway(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ConnectionError> {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("GOAWAY on a stream"));
        }
        let Some([last @ .., _, _, _, _]) = payload.first_chunk::<8>() else {
            return Err(ConnectionError::frame_size("GOAWAY frame is shorter than 8 bytes"));
        };
        self.spend_idle("too many GOAWAY frames")?;
        let last = word(last, "")? & limits::MAX_WINDOW;
        if self.role == Role::Client {
            for id in self.streams.above(last) {
                self.forget(id, out);
                self.events.push_back(Event::Reset { stream: StreamId::from(id), cause: Cause::Refused });
            }
            if self.drain != Drain::Final {
                self.drain = Drain::Final;
                self.events.push_back(Event::GoAway);
            }
        }
        self.peer_leaves = true;
        Ok(())
    }
}

fn word(payload: &[u8], reason: &'static str) -> Result<u32, ConnectionError> {
    payload.try_into().map(u32::from_be_bytes).map_err(|_| ConnectionError::frame_size(reason))
}
