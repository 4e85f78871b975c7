//! Which trace a request belongs to, whichever way it says so, and how the next hop is told.

use crate::head::Head;
use crate::random::Random;
use crate::trace::context::{self, read_b3, read_traceparent, write_b3, Context, TRACEPARENT, TRACESTATE};
use crate::trace::sofa::{self, Call};

/// The trace in which an event began (`CloudEvents` distributed tracing extension, binary mode).
const EVENT_TRACEPARENT: &[u8] = b"ce-traceparent";

/// Return whether a field of this name tells of a trace in a way that [`join`] may tell otherwise.
pub fn is_name(name: &[u8]) -> bool {
    context::NAMES.contains(&name) || sofa::is_name(name)
}

/// Where a request of this hop stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// This hop.
    pub context: Context,
    /// The span that sent the request; 0: it begins the trace.
    pub parent: u64,
}

/// Make this hop a span of the trace that `head` names, or of a new one, and name it in `head` to the next hop.
///
/// W3C's word goes before B3's, that before the event's that the request carries, and that before `SOFATracer`'s. `draw` decides where the sender has not; it is asked once.
pub fn join(head: &mut Head, random: &mut Random, draw: impl FnOnce(&Head, &mut Random) -> bool) -> Joined {
    let call = Call::read(head);
    let w3c = head.get(TRACEPARENT).and_then(read_traceparent);
    let event = || head.get(EVENT_TRACEPARENT).and_then(read_traceparent);
    let said = w3c.or_else(|| read_b3(head)).or_else(event);
    let sofa = call.as_ref().filter(|_| said.is_none_or(|said| said.trace == 0));
    let parent = sofa.map(Call::parent).or(said);
    let decided = said.and_then(|said| said.sampled).or_else(|| parent.and_then(|parent| parent.sampled));
    let sampled = decided.unwrap_or_else(|| draw(head, random));
    let (trace, parent) = parent.filter(|parent| parent.trace != 0).map_or_else(
        || (u128::from(random.next()) << 64 | u128::from(random.next().max(1)), 0),
        |parent| (parent.trace, parent.span),
    );
    let span = sofa.map_or_else(|| random.next().max(1), Call::span);
    let context = Context { trace, span, sampled };
    if w3c.is_none() {
        // It belongs to a trace that this request is no part of.
        head.remove(TRACESTATE);
    }
    head.set(TRACEPARENT, &context.traceparent());
    write_b3(head, &context, parent);
    if let Some(call) = call {
        call.write(head, sampled);
    }
    Joined { context, parent }
}

/// Make a request of this process a span of the trace that it names; `None`: it names none, or none that is recorded.
pub fn pass_on(head: &mut Head, random: &mut Random) -> Option<Joined> {
    let parent = head.get(TRACEPARENT).and_then(read_traceparent).filter(|parent| parent.sampled == Some(true))?;
    let context = Context { trace: parent.trace, span: random.next().max(1), sampled: true };
    head.set(TRACEPARENT, &context.traceparent());
    Some(Joined { context, parent: parent.span })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(fields: &[(&[u8], &[u8])], draw: bool) -> (Joined, Head) {
        let mut head = Head::default();
        for (name, value) in fields {
            head.push(name, value);
        }
        let joined = join(&mut head, &mut Random::new(7), |_, _| draw);
        (joined, head)
    }

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_request_without_a_trace_begins_one() {
        let (joined, head) = joined(&[(TRACESTATE, b"a=b")], true);
        assert_eq!((joined.parent, joined.context.sampled), (0, true));
        assert_eq!(head.get(TRACEPARENT), Some(&joined.context.traceparent()[..]));
        assert_eq!(head.get(TRACESTATE), None);
    }

    #[test]
    fn the_sender_has_decided_and_keeps_its_trace_state() {
        let (joined, head) = joined(&[(TRACEPARENT, PARENT), (TRACESTATE, b"a=b"), (b"b3", b"0")], false);
        assert_eq!(joined.parent, 0x00f0_67aa_0ba9_02b7);
        assert!(joined.context.sampled);
        assert!(head.get(TRACEPARENT).unwrap().starts_with(b"00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(head.get(TRACESTATE), Some(&b"a=b"[..]));
    }

    #[test]
    fn a_decision_alone_is_obeyed_in_a_trace_of_its_own() {
        let (joined, _) = joined(&[(b"b3", b"0")], true);
        assert_eq!((joined.parent, joined.context.sampled), (0, false));
    }

    #[test]
    fn an_event_goes_on_in_the_trace_in_which_it_began() {
        let (alone, _) = joined(&[(EVENT_TRACEPARENT, PARENT)], false);
        assert_eq!((alone.parent, alone.context.sampled), (0x00f0_67aa_0ba9_02b7, true));
        let (within, _) = joined(&[(EVENT_TRACEPARENT, PARENT), (TRACEPARENT, &alone.context.traceparent())], false);
        assert_eq!(within.parent, alone.context.span, "its last hop is nearer than its beginning");
    }

    #[test]
    fn a_sofa_call_is_a_trace_to_everybody() {
        let fields = [(&b"sofa-traceid"[..], &b"0a2c7e3f1533812677021100116644"[..]), (b"sofa-rpcid", b"0.1")];
        let (first, head) = joined(&fields, true);
        assert_eq!(first.context.trace, 0x0a_2c7e_3f15_3381_2677_0211_0011_6644);
        assert_eq!(head.get(b"sofa-rpcid"), Some(&b"0.1.1"[..]));
        let call = Call::read(&head).unwrap();
        assert_eq!(call.parent().span, first.context.span, "who reads SOFA's ids only still finds this hop");
    }

    #[test]
    fn what_this_process_sends_is_recorded_only_within_a_trace() {
        let mut head = Head::default();
        let mut random = Random::new(1);
        assert_eq!(pass_on(&mut head, &mut random), None);
        head.push(TRACEPARENT, PARENT);
        let joined = pass_on(&mut head, &mut random).unwrap();
        assert_eq!(joined.parent, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(head.get(TRACEPARENT), Some(&joined.context.traceparent()[..]));
        head.set(TRACEPARENT, b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert_eq!(pass_on(&mut head, &mut random), None);
    }
}
