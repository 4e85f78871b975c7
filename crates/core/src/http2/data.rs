//! Bodies heard: DATA frames, passed on as their bytes come, within both windows and the declared length.

use super::connection::{Connection, DataFrame, Outcome, Stage};
use super::error::ConnectionError;
use super::frame::{flag, ErrorCode, Header};
use super::limits;
use super::role::Role;
use super::stream::Side;
use crate::events::{Event, Piece, StreamId};

impl Connection {
    pub(super) fn data_frame(&mut self, header: Header, padding: &[u8], out: &mut Vec<u8>) -> Outcome {
        let padding = padding.first().map_or(0, |byte| usize::from(*byte));
        let prefix = usize::from(header.has(flag::PADDED));
        let Some(length) = header.length.checked_sub(prefix + padding) else {
            return Err(ConnectionError::protocol("padding is longer than its frame"));
        };
        self.check_known(header.stream)?;
        let on_wire = u32::try_from(header.length).unwrap_or(u32::MAX);
        let Some(window) = self.receive_window.checked_sub(on_wire) else {
            return Err(ConnectionError::flow_control("more DATA than the connection's window allows"));
        };
        self.receive_window = window;
        let end = header.has(flag::END_STREAM);
        let padded = on_wire - u32::try_from(length).unwrap_or(0);
        let is_client = self.role == Role::Client;
        let Some(stream) = self.streams.get(header.stream) else {
            // Sent before the peer heard of our reset: nobody's bytes, but they used its window.
            self.check_silenced(header.stream)?;
            self.give_credit(on_wire, out);
            return Ok(self.enter_data(header.stream, length, padding, end, true));
        };
        if stream.remote == Side::Ended {
            self.give_credit(on_wire, out);
            self.enter_data(header.stream, length, padding, end, true);
            return self.stream_fault(header.stream, ErrorCode::STREAM_CLOSED, out);
        }
        let Some(window) = stream.receive_window.checked_sub(on_wire) else {
            return Err(ConnectionError::flow_control("more DATA than the stream's window allows"));
        };
        stream.receive_window = window;
        stream.credit += padded;
        let owed_ok = stream.remote == Side::Body && owe_less(&mut stream.owed, length as u64, end);
        stream.held += if owed_ok { on_wire - padded } else { 0 };
        self.give_credit(if is_client || !owed_ok { on_wire } else { padded }, out);
        if !owed_ok {
            self.enter_data(header.stream, length, padding, end, true);
            return self.stream_fault(header.stream, ErrorCode::PROTOCOL_ERROR, out);
        }
        if length > 0 {
            self.idle_frames.regain(limits::IDLE_FRAMES_REGAINED);
        } else if !end {
            self.spend_idle("too many empty DATA frames")?;
        }
        Ok(self.enter_data(header.stream, length, padding, end, false))
    }

    /// Go on inside the frame; an empty one that ends its stream is told at once.
    fn enter_data(&mut self, stream: u32, left: usize, padding: usize, end: bool, discard: bool) -> Option<Event> {
        if left + padding > 0 {
            self.stage = Stage::Data(DataFrame { stream, left, padding, end, discard });
        }
        if discard || left > 0 || !end {
            return None;
        }
        self.remote_end(stream);
        Some(Event::Data { stream: StreamId::from(stream), piece: Piece { start: 0, end: 0 }, end: true })
    }

    pub(super) fn data_bytes(&mut self, mut frame: DataFrame, available: usize, used: &mut usize) -> Option<Event> {
        let start = *used;
        let taken = frame.left.min(available);
        frame.left -= taken;
        let skipped = if frame.left == 0 { frame.padding.min(available - taken) } else { 0 };
        frame.padding -= skipped;
        *used += taken + skipped;
        self.stage = if frame.left + frame.padding == 0 { Stage::Frames } else { Stage::Data(frame) };
        // A stream can go while its frame is half read.
        if frame.discard || taken == 0 || self.streams.get(frame.stream).is_none() {
            return None;
        }
        let end = frame.end && frame.left == 0;
        if end {
            self.remote_end(frame.stream);
        }
        let piece = Piece { start, end: start + taken };
        Some(Event::Data { stream: StreamId::from(frame.stream), piece, end })
    }

    /// The peer has said everything on this stream.
    pub(super) fn remote_end(&mut self, id: u32) {
        let Some(stream) = self.streams.get(id) else { return };
        stream.remote = Side::Ended;
        self.windows.end(std::mem::take(&mut stream.window));
        if stream.local == Side::Ended && stream.queue.is_empty() {
            self.finished_well();
            // Client side only, where the connection's credit does not wait for what was held.
            self.streams.remove(id);
        }
    }
}

/// Count body bytes against the declared length; return whether they agree so far, or at the end.
pub(super) fn owe_less(owed: &mut Option<u64>, bytes: u64, end: bool) -> bool {
    match owed {
        None => true,
        Some(left) => match left.checked_sub(bytes) {
            None => false,
            Some(rest) => {
                *left = rest;
                !end || rest == 0
            }
        },
    }
}
