//! Callers' connections that another process goes on to serve: a hot restart moves them between two messages.

use crate::engine::connection::{Connection, Ending, Role};
use crate::engine::Engine;
use crate::slab::Id;

/// Whether a connection can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Never: it is dialled, under TLS, or HTTP/2. It is drained.
    Fixed,
    /// Not yet: a message is under way.
    Busy,
    /// Not yet: what came has come whole, and is not answered. If nothing more is read it will be movable.
    Whole,
    /// Now.
    Free,
}

impl Connection {
    /// Return whether it can ever be moved. (The transport cannot give a unix socket away: see `transport.connection`.)
    pub(super) fn is_movable(&self) -> bool {
        let callers = matches!(self.role, Role::Downstream { .. }) && &*self.peer != "unix";
        callers && self.is_open() && self.tls.is_none() && self.wire.is_between().is_some()
    }
}

impl Engine {
    /// Finish what is in flight and no more, as `drain` does, except on connections that can be moved: their callers notice
    /// nothing.
    pub fn drain_fixed(&mut self, now: f64) {
        self.moving = true;
        self.drain(now);
    }

    /// Return whether connection `id` can be moved.
    pub fn standing(&self, id: Id) -> Standing {
        let Some(conn) = self.connections.get(id).filter(|conn| conn.is_movable()) else { return Standing::Fixed };
        if !conn.carry.is_empty() {
            return Standing::Busy;
        }
        if conn.streams.is_empty() && conn.out.is_empty() && conn.wire.is_between() == Some(true) {
            return Standing::Free;
        }
        let whole = |id: &Id| self.exchanges.get(*id).is_none_or(|exchange| exchange.request_done && !exchange.tunnel);
        if !conn.streams.is_empty() && conn.streams.exchanges().iter().all(whole) {
            Standing::Whole
        } else {
            Standing::Busy
        }
    }

    /// Forget a connection that is `Free`: somebody else has it. Return whether it was.
    pub fn move_out(&mut self, id: Id) -> bool {
        let free = self.standing(id) == Standing::Free;
        if free {
            self.end(id, Ending::Lost);
        }
        free
    }
}
