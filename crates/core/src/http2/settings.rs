//! SETTINGS (RFC 9113 §6.5): what we announce, and what the peer asks of us.

use super::error::ConnectionError;
use super::frame::{self, Kind};
use super::limits;
use super::role::Role;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// The peer's settings; the protocol's defaults until its first SETTINGS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    pub(super) header_table_bytes: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) initial_window: u32,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            header_table_bytes: 4096,
            // No limit by the letter of RFC 9113 §6.5.2; a client that has not heard yet stays at its recommended floor.
            max_concurrent_streams: limits::STREAMS_BEFORE_SETTINGS,
            initial_window: limits::DEFAULT_WINDOW,
        }
    }
}

impl PeerSettings {
    /// Take in one SETTINGS payload, in order; unknown settings are ignored.
    pub(super) fn update(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let mut rest = payload;
        while let Some((setting, after)) = rest.split_first_chunk::<6>() {
            rest = after;
            let [i0, i1, v0, v1, v2, v3] = *setting;
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([i0, i1]) {
                HEADER_TABLE_SIZE => self.header_table_bytes = value as usize,
                ENABLE_PUSH if value > 1 => {
                    return Err(ConnectionError::protocol("SETTINGS_ENABLE_PUSH is neither 0 nor 1"));
                }
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                INITIAL_WINDOW_SIZE if value > limits::MAX_WINDOW => {
                    return Err(ConnectionError::flow_control("SETTINGS_INITIAL_WINDOW_SIZE exceeds 2^31-1"));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                    return Err(ConnectionError::protocol("SETTINGS_MAX_FRAME_SIZE is not between 2^14 and 2^24-1"));
                }
                // Larger frames than the default are allowed us, and never sent: one stream would hold up the others.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Append our first frames: SETTINGS, and a `WINDOW_UPDATE` that widens the connection's window.
pub(super) fn write_initial(role: Role, first_window: u32, max_head_bytes: u32, out: &mut Vec<u8>) {
    let by_role = match role {
        Role::Client => (ENABLE_PUSH, 0),
        Role::Server => (MAX_CONCURRENT_STREAMS, limits::MAX_CONCURRENT_STREAMS),
    };
    let settings = [by_role, (INITIAL_WINDOW_SIZE, first_window), (MAX_HEADER_LIST_SIZE, max_head_bytes)];
    write(&settings, out);
    frame::write_window_update(0, role.connection_window() - limits::DEFAULT_WINDOW, out);
}

/// Append that streams begin with another window from now on. Windows that are open change by as much.
pub(super) fn write_first_window(bytes: u32, out: &mut Vec<u8>) {
    write(&[(INITIAL_WINDOW_SIZE, bytes)], out);
}

fn write(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    frame::write_header(6 * settings.len(), Kind::Settings, 0, 0, out);
    for (identifier, value) in settings {
        out.extend_from_slice(&identifier.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_ack(out: &mut Vec<u8>) {
    frame::write_header(0, Kind::Settings, frame::flag::ACK, 0, out);
}
