//! Endpoints that callers share, and what they make of what the engine writes to them.

use eventmesh_core::events::{Event, Wire};
use eventmesh_core::head::Head;
use eventmesh_core::slab::Id;
use eventmesh_core::{bolt, dubbo, framed};

use super::wires::toy;

enum Endpoint {
    Bolt(framed::Server<bolt::Codec>),
    Dubbo(framed::Server<dubbo::Codec>),
    Toy(framed::Server<framed::Declared>),
}

impl Endpoint {
    /// Return an endpoint of a cluster of `snapshot.json`; none of one whose protocol callers do not share.
    fn of(cluster: &str) -> Option<Self> {
        match cluster {
            "bolt" => Some(Self::Bolt(framed::Server::default())),
            "dubbo" => Some(Self::Dubbo(framed::Server::new(dubbo::Codec::default()))),
            "toy" => Some(Self::Toy(framed::Server::new(framed::Declared::new(&toy().ok()?, 0)))),
            _ => None,
        }
    }

    fn wire(&mut self) -> &mut dyn Wire {
        match self {
            Self::Bolt(wire) => wire,
            Self::Dubbo(wire) => wire,
            Self::Toy(wire) => wire,
        }
    }
}

/// Those that connections lead to.
#[derive(Default)]
pub struct Endpoints(Vec<(Id, Endpoint)>);

impl Endpoints {
    pub fn dialled(&mut self, conn: Id, cluster: &str) {
        self.0.extend(Endpoint::of(cluster).map(|endpoint| (conn, endpoint)));
    }

    pub fn over(&mut self, conn: Id) {
        self.0.retain(|(endpoint, _)| *endpoint != conn);
    }

    /// Fail unless these are whole frames and nothing else: a byte too few puts the calls of all callers out of step.
    pub fn hear(&mut self, conn: Id, mut data: &[u8]) -> Result<(), String> {
        let Some((_, endpoint)) = self.0.iter_mut().find(|(id, _)| *id == conn) else { return Ok(()) };
        let (mut head, mut answers) = (Head::default(), Vec::new());
        while !data.is_empty() {
            let (used, event) = endpoint.wire().decode(data, &mut head, &mut answers);
            if used == 0 || matches!(event, Some(Event::Fault(_))) {
                return Err(format!("connection {conn} hears what is no whole frame: {event:?} of {data:02x?}"));
            }
            data = data.get(used..).unwrap_or_default();
        }
        Ok(())
    }
}
