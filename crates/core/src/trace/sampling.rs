//! Whether a request that nobody has decided on is recorded: Envoy's three percentages.

use crate::config;
use crate::head::Head;
use crate::random::Random;
use crate::routes::drawn;
use crate::trace::span::Kind;

/// A client asks with it to be recorded (Envoy's `client_sampling`).
const CLIENT_TRACE: &[u8] = b"x-client-trace-id";

/// How a listener traces.
#[derive(Debug)]
pub struct Tracer {
    client_millionths: u32,
    random_millionths: u32,
    overall_millionths: u32,
    /// Longest value of an attribute that a client chooses.
    pub max_text_bytes: usize,
    /// What its spans are.
    pub kind: Kind,
    /// Where they are kept (`Spans`).
    pub sink: usize,
}

impl Tracer {
    /// Return the tracer of a listener, or of what this process sends.
    pub fn new(config: &config::Tracing, kind: Kind, sink: usize) -> Self {
        Self {
            client_millionths: config.client_millionths,
            random_millionths: config.random_millionths,
            overall_millionths: config.overall_millionths,
            max_text_bytes: config.max_text_bytes,
            kind,
            sink,
        }
    }

    /// Draw whether a request that begins a trace is recorded.
    pub fn draw(&self, head: &Head, random: &mut Random) -> bool {
        let asked = head.find(CLIENT_TRACE).is_some() && drawn(self.client_millionths, random);
        let wanted = asked || (!is_probe(head) && drawn(self.random_millionths, random));
        wanted && drawn(self.overall_millionths, random)
    }
}

/// Tell whether Kubernetes or Knative only looks whether somebody is there: such requests begin no traces.
fn is_probe(head: &Head) -> bool {
    head.find(b"k-network-probe").is_some()
        || head.find(b"k-kubelet-probe").is_some()
        || head.get(b"user-agent").is_some_and(|agent| agent.starts_with(b"kube-probe/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tracing;

    fn recorded(config: &Tracing, field: (&[u8], &[u8])) -> usize {
        let (tracer, mut random) = (Tracer::new(config, Kind::Server, 0), Random::new(3));
        let mut head = Head::default();
        head.push(field.0, field.1);
        (0..10_000).filter(|_| tracer.draw(&head, &mut random)).count()
    }

    fn shares(client: u32, random: u32, overall: u32) -> Tracing {
        let (client_millionths, random_millionths, overall_millionths) = (client, random, overall);
        Tracing { client_millionths, random_millionths, overall_millionths, ..Tracing::default() }
    }

    #[test]
    fn each_percentage_has_its_say() {
        let plain = (&b"accept"[..], &b"*/*"[..]);
        let asking = (CLIENT_TRACE, &b"1"[..]);
        assert_eq!(recorded(&shares(1_000_000, 0, 1_000_000), plain), 0);
        assert_eq!(recorded(&shares(1_000_000, 0, 1_000_000), asking), 10_000);
        assert_eq!(recorded(&shares(0, 1_000_000, 1_000_000), plain), 10_000);
        assert_eq!(recorded(&shares(0, 1_000_000, 0), plain), 0);
        assert!(recorded(&shares(0, 500_000, 500_000), plain).abs_diff(2_500) < 150);
    }

    #[test]
    fn probes_begin_no_trace() {
        let always = shares(0, 1_000_000, 1_000_000);
        assert_eq!(recorded(&always, (b"k-network-probe", b"queue")), 0);
        assert_eq!(recorded(&always, (b"user-agent", b"kube-probe/1.32")), 0);
    }
}
