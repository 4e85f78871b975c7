//! Endpoints that callers share, and what they make of what the engine writes to them.

use eventmesh_core::events::{Event, Wire};
use eventmesh_core::head::Head;
use eventmesh_core::slab::Id;
use eventmesh_core::{bolt, dubbo, framed};

use super::wires::toy;

/// Return an endpoint of a cluster of `snapshot.json`; none of one whose protocol callers do not share.
fn of(cluster: &str) -> Option<Box<dyn Wire>> {
    match cluster {
        "bolt" => Some(Box::new(framed::Server::<bolt::Codec>::default())),
        "dubbo" => Some(Box::new(framed::Server::new(dubbo::Codec::default()))),
        "toy" => Some(Box::new(framed::Server::new(framed::Declared::new(&toy().ok()?, 0)))),
        _ => None,
    }
}

/// Those that connections lead to.
#[derive(Default)]
pub struct Endpoints(Vec<(Id, Box<dyn Wire>)>);

impl Endpoints {
    pub fn dialled(&mut self, conn: Id, cluster: &str) {
        self.0.extend(of(cluster).map(|endpoint| (conn, endpoint)));
    }

    pub fn over(&mut self, conn: Id) {
        self.0.retain(|(endpoint, _)| *endpoint != conn);
    }

    /// Fail unless these are whole frames and nothing else: a byte too few puts the calls of all callers out of step.
    pub fn hear(&mut self, conn: Id, mut data: &[u8]) -> Result<(), String> {
        let Some((_, endpoint)) = self.0.iter_mut().find(|(id, _)| *id == conn) else { return Ok(()) };
        let (mut head, mut answers) = (Head::default(), Vec::new());
        while !data.is_empty() {
            let (used, event) = endpoint.decode(data, &mut head, &mut answers);
            if used == 0 || matches!(event, Some(Event::Fault(_))) {
                return Err(format!("connection {conn} hears what is no whole frame: {event:?} of {data:02x?}"));
            }
            data = data.get(used..).unwrap_or_default();
        }
        Ok(())
    }
}
