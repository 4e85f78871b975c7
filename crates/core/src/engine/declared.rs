//! Declared protocols of a configuration: compiled, numbered, and parted with when they are declared otherwise.

use std::sync::Arc;

use crate::config::{Action, HeaderEdits, Listener, RouteTable, Snapshot, VirtualHost, WireProtocol};
use crate::engine::connection::Role;
use crate::engine::detection::{Offer, Offers};
use crate::engine::wires::{AnyWire, Family};
use crate::engine::{touch, Engine};
use crate::events::Wire;
use crate::framed::Protocol;
use crate::head::Version;
use crate::limits::MAX_DECLARED_PROTOCOLS;
use crate::slab::Id;

impl Engine {
    /// Compile what the listeners of `snapshot` declare and write its numbers into it; return the protocols by number, and for each
    /// listener those that it has to tell by their magic.
    ///
    /// The error names listener and field.
    pub(super) fn declared(&self, snapshot: &mut Snapshot) -> Result<(Vec<Arc<Protocol>>, Vec<Offers>), String> {
        let mut offers = Vec::with_capacity(snapshot.listeners.len());
        let mut numbered = Numbered { protocols: self.protocols.clone(), current: Vec::new() };
        for listener in &mut snapshot.listeners {
            let field = format!("listeners[{:?}]", listener.name);
            let numbers = numbered.of(listener, &field)?;
            let mut offered = None;
            if let WireProtocol::Framed(number) = &mut listener.protocol {
                let [only] = numbers[..] else {
                    let count = listener.declarations.len();
                    return Err(format!("{field}.declarations: has {count}; protocol framed takes exactly one"));
                };
                *number = Some(only);
            } else if listener.protocol == WireProtocol::Auto && !numbers.is_empty() {
                offered = Some(numbered.offers(&numbers, &field)?.into());
            } else if !numbers.is_empty() {
                return Err(format!("{field}.declarations: are for the protocols framed and auto"));
            }
            offers.push(offered);
            if matches!(listener.protocol, WireProtocol::Dubbo | WireProtocol::Framed(_)) {
                check_routes(listener, &snapshot.route_tables).map_err(|what| format!("{field}: {what}"))?;
            }
        }
        for cluster in &mut snapshot.clusters {
            if let WireProtocol::Framed(number) = &mut cluster.protocol {
                // A cluster may be there before the listener that declares what it speaks; until then nothing fits it.
                *number = numbered.named(&cluster.declaration);
            }
        }
        Ok((numbered.protocols, offers))
    }

    /// Let callers go that speak a protocol as it was declared before: they come back and speak it as it is now. Those that
    /// have not said what they speak are told by what is declared now.
    pub(super) fn part_with_former_protocols(&mut self, now: f64) {
        let spoken = |listener: &super::Listener| match listener.config.protocol {
            WireProtocol::Framed(Some(number)) => vec![number],
            _ => listener.offers.iter().flat_map(|offers| offers.iter()).map(|offer| offer.number).collect(),
        };
        let current: Vec<Vec<u16>> = self.listeners.iter().map(spoken).collect();
        let all: Vec<Id> = self.connections.ids().collect();
        for id in all {
            let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { continue };
            let Role::Downstream { listener } = conn.role else { continue };
            if let AnyWire::Detect(_, offers) = &mut conn.wire {
                *offers = self.listeners.get(listener).and_then(|listener| listener.offers.clone());
            }
            let (AnyWire::FramedServer(_), Family::Frames(Version::Framed(number))) = (&conn.wire, conn.wire.family())
            else {
                continue;
            };
            if !current.get(listener).is_some_and(|numbers| numbers.contains(&number)) {
                conn.wire.drain(&mut conn.out);
                touch(&mut self.touched, conn, id);
                self.close_if_over(id, now);
            }
        }
    }
}

/// Refuse what routes cannot do to frames that pass as they are.
fn check_routes(listener: &Listener, tables: &[RouteTable]) -> Result<(), String> {
    let Some(table) = tables.iter().find(|table| table.name == listener.route_table) else { return Ok(()) };
    match table.virtual_hosts.iter().find(|host| edits(host)) {
        Some(host) => Err(format!(
            "virtual host {:?} of route table {:?} edits heads; frames of this protocol pass as they are",
            host.name, table.name
        )),
        None => Ok(()),
    }
}

fn edits(host: &VirtualHost) -> bool {
    let any = |edits: [&HeaderEdits; 2]| edits.iter().any(|edits| !edits.is_empty());
    any([&host.request_headers, &host.response_headers])
        || host.routes.iter().any(|route| {
            let rewrites = match &route.action {
                Action::Forward {
                    clusters, host_rewrite, host_rewrite_header, prefix_rewrite, path_rewrite, ..
                } => {
                    [host_rewrite, host_rewrite_header, prefix_rewrite, path_rewrite]
                        .iter()
                        .any(|rewrite| !rewrite.is_empty())
                        || clusters.iter().any(|share| any([&share.request_headers, &share.response_headers]))
                }
                _ => false,
            };
            rewrites || any([&route.request_headers, &route.response_headers])
        })
}

struct Numbered {
    protocols: Vec<Arc<Protocol>>,
    /// Numbers that this snapshot declares.
    current: Vec<u16>,
}

impl Numbered {
    /// Return the numbers of what a listener declares.
    fn of(&mut self, listener: &Listener, field: &str) -> Result<Vec<u16>, String> {
        let mut numbers = Vec::new();
        for declaration in &listener.declarations {
            let field = format!("{field}.declarations[{:?}]", declaration.name);
            let protocol = Protocol::compile(&declaration.text).map_err(|what| format!("{field}: {what}"))?;
            if protocol.name != declaration.name {
                return Err(format!("{field}: the declaration itself is called {:?}", protocol.name));
            }
            numbers.push(self.number(protocol, &field)?);
        }
        Ok(numbers)
    }

    fn number(&mut self, protocol: Protocol, field: &str) -> Result<u16, String> {
        if let Some(number) = self.named(&protocol.name) {
            let same = self.protocols.get(usize::from(number)).is_some_and(|known| **known == protocol);
            return if same {
                Ok(number)
            } else {
                Err(format!("{field}: another listener declares this name otherwise"))
            };
        }
        let position = |fits: &dyn Fn(usize, &Arc<Protocol>) -> bool| {
            self.protocols.iter().enumerate().position(|(at, known)| fits(at, known))
        };
        let known = position(&|_, known| **known == protocol);
        // Besides the engine's own list and this copy of it nobody holds a protocol that no connection speaks.
        let free = |at: usize, known: &Arc<Protocol>| {
            Arc::strong_count(known) <= 2 && !self.current.iter().any(|number| usize::from(*number) == at)
        };
        let at = known.or_else(|| position(&free)).unwrap_or(self.protocols.len());
        if at >= MAX_DECLARED_PROTOCOLS {
            return Err(format!("{field}: more than {MAX_DECLARED_PROTOCOLS} protocols are declared or still spoken"));
        }
        match self.protocols.get_mut(at) {
            Some(slot) if known.is_none() => *slot = Arc::new(protocol),
            Some(_) => {}
            None => self.protocols.push(Arc::new(protocol)),
        }
        let number = u16::try_from(at).unwrap_or(u16::MAX);
        self.current.push(number);
        Ok(number)
    }

    /// Return what a listener tells by its magic.
    fn offers(&self, numbers: &[u16], field: &str) -> Result<Vec<Offer>, String> {
        let mut offers: Vec<Offer> = Vec::new();
        for number in numbers {
            let Some(protocol) = self.protocols.get(usize::from(*number)) else { continue };
            let offer = Offer::beside(&offers, protocol, *number);
            offers.push(offer.map_err(|what| format!("{field}.declarations[{:?}]: {what}", protocol.name))?);
        }
        Ok(offers)
    }

    /// Return the number of the protocol that this snapshot declares under `name`.
    fn named(&self, name: &str) -> Option<u16> {
        let is_named = |number: &u16| self.protocols.get(usize::from(*number)).is_some_and(|known| known.name == name);
        self.current.iter().copied().find(is_named)
    }
}
