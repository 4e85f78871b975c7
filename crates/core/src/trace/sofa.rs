//! `SOFATracer`'s context: a trace id of about thirty digits and a hierarchical call id (`0.1.2`), in Bolt's header map and
//! in HTTP fields.
//!
//! A hop of ours is the child of the call it takes: of `0.1` it makes `0.1.1`. Trace and span ids of OpenTelemetry are made
//! of these texts alone, so that every process that reads them, ours or not, means the same span.

use crate::head::Head;
use crate::trace::context::{hex, Parent};

/// Where trace and call id stand: in HTTP, and in the header map that SOFARPC sends with Bolt.
const PAIRS: [(&[u8], &[u8]); 2] =
    [(b"sofa-traceid", b"sofa-rpcid"), (b"rpc_trace_context.sofaTraceId", b"rpc_trace_context.sofaRpcId")];

/// Both in one, `tcid=..&spid=..&pspid=..&sample=true&`, with whether to record.
const SERIALIZED: &[u8] = b"new_rpc_trace_context";

/// Longest call id that is made longer: each hop adds two characters, and its own are a few dozen.
const MAX_CALL: usize = 256;

/// Return whether a field of this name tells of a call.
pub fn is_name(name: &[u8]) -> bool {
    name == SERIALIZED || PAIRS.iter().any(|(trace, call)| [*trace, *call].contains(&name))
}

/// What `SOFATracer` says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    trace: Vec<u8>,
    id: Vec<u8>,
    sampled: Option<bool>,
}

impl Call {
    /// Read it.
    pub fn read(head: &Head) -> Option<Self> {
        let serialized = head.get(SERIALIZED).and_then(|text| {
            let sampled = match part(text, b"sample") {
                Some(b"true") => Some(true),
                Some(b"false") => Some(false),
                _ => None,
            };
            Some(Self { trace: part(text, b"tcid")?.to_vec(), id: part(text, b"spid")?.to_vec(), sampled })
        });
        let plain = || {
            PAIRS.iter().find_map(|(trace, call)| {
                Some(Self { trace: head.get(trace)?.to_vec(), id: head.get(call)?.to_vec(), sampled: None })
            })
        };
        serialized.or_else(plain).filter(|found| !found.trace.is_empty() && !found.id.is_empty())
    }

    /// Return the span that sent the request.
    pub fn parent(&self) -> Parent {
        Parent { trace: self.trace_id(), span: self.span_of(&self.id), sampled: self.sampled }
    }

    /// Return the span that this hop is.
    pub fn span(&self) -> u64 {
        self.span_of(&self.child())
    }

    /// Write this hop where the call that it took stands.
    pub fn write(&self, head: &mut Head, sampled: bool) {
        let child = self.child();
        for (_, call) in PAIRS {
            if head.find(call).is_some() {
                head.set(call, &child);
            }
        }
        if let Some(text) = head.get(SERIALIZED) {
            let mut written = Vec::with_capacity(text.len() + 2);
            for (name, value) in pairs(text) {
                let value = match name {
                    b"spid" => child.as_slice(),
                    b"pspid" => self.id.as_slice(),
                    b"sample" if sampled => b"true",
                    b"sample" => b"false",
                    _ => value,
                };
                for bytes in [name, b"=", value, b"&"] {
                    written.extend_from_slice(bytes);
                }
            }
            head.set(SERIALIZED, &written);
        }
    }

    fn child(&self) -> Vec<u8> {
        let mut child = self.id.clone();
        if child.len() < MAX_CALL {
            child.extend_from_slice(b".1");
        }
        child
    }

    /// Thirty hexadecimal digits are the end of an id of 32; anything else is hashed.
    fn trace_id(&self) -> u128 {
        let read = hex(&self.trace).filter(|id| *id != 0);
        read.unwrap_or_else(|| u128::from(fnv(0, &[&self.trace])) << 64 | u128::from(fnv(1, &[&self.trace])))
    }

    fn span_of(&self, call: &[u8]) -> u64 {
        fnv(0, &[&self.trace, b"/", call])
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'&').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair.get(..at)?, pair.get(at + 1..)?))
    })
}

fn part<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    pairs(text).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// FNV-1a: no secret depends on it, and every process computes the same. Never 0, which is no id.
fn fnv(seed: u64, parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    bytes.fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &[u8] = b"0a2c7e3f1533812677021100116644";

    #[test]
    fn a_hop_is_the_child_of_the_call_it_takes_in_every_form() {
        let mut head = Head::default();
        head.push(SERIALIZED, &[b"tcid=", TRACE, b"&spid=0.1&pspid=0&sample=true&"].concat());
        head.push(PAIRS[1].0, TRACE);
        head.push(PAIRS[1].1, b"0.1");
        let call = Call::read(&head).unwrap();
        assert_eq!(call.parent().sampled, Some(true));
        assert_eq!(call.parent().trace, 0x0a_2c7e_3f15_3381_2677_0211_0011_6644, "the id itself, not a hash of it");
        call.write(&mut head, false);
        assert_eq!(head.get(PAIRS[1].1), Some(&b"0.1.1"[..]));
        let expected = [b"tcid=", TRACE, b"&spid=0.1.1&pspid=0.1&sample=false&"].concat();
        assert_eq!(head.get(SERIALIZED), Some(expected.as_slice()));
        assert_eq!(Call::read(&head).unwrap().parent().span, call.span(), "the next hop's parent is this hop");
    }

    #[test]
    fn ids_that_are_no_numbers_still_name_one_trace() {
        let mut head = Head::default();
        head.push(PAIRS[0].0, b"a-trace-of-somebody-s-own-making-longer-than-32");
        assert_eq!(Call::read(&head), None, "a trace without a call");
        head.push(PAIRS[0].1, b"0");
        let (one, two) = (Call::read(&head).unwrap(), Call::read(&head).unwrap());
        assert_eq!(one.parent(), two.parent());
        assert!(one.parent().trace != 0 && one.parent().span != 0 && one.parent().sampled.is_none());
    }

    #[test]
    fn a_call_id_does_not_grow_without_end() {
        let mut head = Head::default();
        head.push(PAIRS[0].0, TRACE);
        head.push(PAIRS[0].1, &[b'1'; MAX_CALL]);
        Call::read(&head).unwrap().write(&mut head, true);
        assert_eq!(head.get(PAIRS[0].1).map(<[u8]>::len), Some(MAX_CALL));
    }
}
