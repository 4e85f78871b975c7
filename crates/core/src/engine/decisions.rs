//! A step that asks a filter of this process, written in Python: the request waits until it has decided, or its time is over.

use std::sync::Arc;

use crate::access::{Filter, Granted, How, Mutation, Refused, Said};
use crate::engine::access::Came;
use crate::engine::authz::Asked;
use crate::engine::exchange::{Consult, Origin, Stage};
use crate::engine::flush::{Handed, Orders};
use crate::engine::Engine;
use crate::limits::MAX_FILTERED;
use crate::slab::Id;
use crate::timers::NEVER;

/// Fields as a filter gives them: names in any case.
type Fields = [(Vec<u8>, Vec<u8>)];

impl Engine {
    /// Ask a filter about a request, or do what it has decided.
    pub(super) fn screened(&mut self, id: Id, filter: &Filter, now: f64) -> Came {
        let Some(exchange) = self.exchanges.get_mut(id) else { return Came::Refused };
        let passage = exchange.passage.get_or_insert_default();
        if let Consult::Decided(said) = std::mem::take(&mut passage.consult) {
            return self.heeded(id, Asked::Filter, *said, filter.silence, now);
        }
        if self.deciding >= MAX_FILTERED {
            return self.heeded(id, Asked::Filter, Said::Failed(None), filter.silence, now);
        }
        passage.consult = Consult::Deciding(Arc::clone(&filter.name));
        exchange.wait_until = now + filter.timeout_s;
        self.deciding += 1;
        self.questions.push(id);
        self.watch(id);
        Came::Waits
    }

    /// A filter lets a request go on, with these fields set and those taken out.
    ///
    /// An error names what cannot be sent; the request then still waits for a decision.
    pub fn let_through(&mut self, token: Id, set: &Fields, remove: &[Vec<u8>], now: f64) -> Result<(), String> {
        let remove = remove.iter().map(|name| name.to_ascii_lowercase()).collect();
        let granted = Granted { request: mutations(set, How::Set)?, remove, ..Granted::default() };
        self.decide(token, Said::Through(Box::new(granted)), now);
        Ok(())
    }

    /// A filter answers a request by itself.
    ///
    /// An error names what cannot be sent; the request then still waits for a decision.
    pub fn turn_away(&mut self, token: Id, status: u16, fields: &Fields, body: &[u8], now: f64) -> Result<(), String> {
        if !(200..600).contains(&status) {
            return Err(format!("status: {status} is not that of a final response"));
        }
        let refused = Refused { status: Some(status), fields: mutations(fields, How::Add)?, body: body.to_vec() };
        self.decide(token, Said::Refused(refused), now);
        Ok(())
    }

    /// A filter has failed: its failure policy decides.
    pub fn undecided(&mut self, token: Id, now: f64) {
        self.decide(token, Said::Failed(None), now);
    }

    fn decide(&mut self, token: Id, said: Said, now: f64) {
        self.decided(token, said, now);
        self.settle(now);
    }

    /// There is a decision about a request, unless it waits for none any more.
    fn decided(&mut self, id: Id, said: Said, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.stage == Stage::Checked) else {
            return;
        };
        let Some(passage) = exchange.passage.as_mut() else { return };
        if matches!(passage.consult, Consult::Deciding(_)) {
            passage.consult = Consult::Decided(Box::new(said));
            exchange.wait_until = NEVER;
            self.deciding -= 1;
            self.watch(id);
            self.passage_over(id, now);
        }
    }

    /// A filter has taken too long.
    pub(super) fn decision_overdue(&mut self, id: Id, now: f64) {
        self.decided(id, Said::Failed(None), now);
    }

    /// Hand out what filters are asked.
    pub(super) fn flush_questions(&mut self, orders: &mut impl Orders) {
        for id in self.questions.drain(..) {
            let Some(exchange) = self.exchanges.get(id) else { continue };
            let Some(Consult::Deciding(filter)) = exchange.passage.as_ref().map(|passage| &passage.consult) else {
                continue;
            };
            let peer = match exchange.origin {
                Origin::Stream { conn, .. } => self.connections.get(conn).map_or("", |conn| &*conn.peer),
                Origin::Own => "",
            };
            orders.screen(id, filter, Handed { head: &exchange.head, body: b"", peer, names: &[] });
        }
    }
}

fn mutations(fields: &Fields, how: How) -> Result<Vec<Mutation>, String> {
    let each = fields.iter().map(|(name, value)| {
        let mutation = Mutation::new(&name.to_ascii_lowercase(), value, how);
        let told = || format!("header {:?}: {:?} cannot be sent", text(name), text(value));
        if mutation.is_sound() {
            Ok(mutation)
        } else {
            Err(told())
        }
    });
    each.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
