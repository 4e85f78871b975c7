//! Who a span is, as W3C Trace Context (level 1) and B3 spell it.

use crate::ascii::hex_digit;
use crate::head::Head;

/// W3C's field.
pub const TRACEPARENT: &[u8] = b"traceparent";
/// What vendors add to it; it goes with the trace and never without.
pub const TRACESTATE: &[u8] = b"tracestate";
/// B3 in one field.
pub const B3: &[u8] = b"b3";
const B3_TRACE: &[u8] = b"x-b3-traceid";
const B3_SPAN: &[u8] = b"x-b3-spanid";
const B3_PARENT: &[u8] = b"x-b3-parentspanid";
const B3_SAMPLED: &[u8] = b"x-b3-sampled";
const B3_FLAGS: &[u8] = b"x-b3-flags";

/// All of these.
pub const NAMES: [&[u8]; 8] = [TRACEPARENT, TRACESTATE, B3, B3_TRACE, B3_SPAN, B3_PARENT, B3_SAMPLED, B3_FLAGS];

/// Length of a `traceparent` of version 00.
const TRACEPARENT_BYTES: usize = 55;

/// A span of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Its trace.
    pub trace: u128,
    /// Itself.
    pub span: u64,
    /// It is recorded, and so should be what it causes.
    pub sampled: bool,
}

/// What a request says of its sender's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Trace; 0: it says only whether to record.
    pub trace: u128,
    /// Span.
    pub span: u64,
    /// Whether it is recorded; `None`: left to us.
    pub sampled: Option<bool>,
}

/// Read `traceparent`. `None`: it is not valid, and the trace begins anew (section 3.2.2).
pub fn read_traceparent(text: &[u8]) -> Option<Parent> {
    let known = text.get(..TRACEPARENT_BYTES)?;
    let (version, rest) = (hex(known.get(..2)?)?, text.get(TRACEPARENT_BYTES..)?);
    // A later version may have more behind a dash; ff is no version.
    let well = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest.first() == Some(&b'-'),
    };
    let dashes = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    let (trace, span) = (hex(known.get(3..35)?)?, hex(known.get(36..52)?)?);
    let flags = hex(known.get(53..55)?)?;
    let span = u64::try_from(span).ok()?;
    (well && dashes && trace != 0 && span != 0).then_some(Parent { trace, span, sampled: Some(flags & 1 == 1) })
}

impl Context {
    /// Spell it as `traceparent`.
    pub fn traceparent(&self) -> [u8; TRACEPARENT_BYTES] {
        let mut text = [b'-'; TRACEPARENT_BYTES];
        let parts =
            [(0, 2, 0), (3, 32, self.trace), (36, 16, u128::from(self.span)), (53, 2, u128::from(self.sampled))];
        for (at, digits, number) in parts {
            write_hex(number, text.get_mut(at..at + digits).unwrap_or_default());
        }
        text
    }

    fn b3(&self, parent: u64) -> Vec<u8> {
        let mark: &[u8] = if self.sampled { b"1" } else { b"0" };
        let mut text = [&digits(self.trace, 32), &b"-"[..], &digits(u128::from(self.span), 16), b"-", mark].concat();
        if parent != 0 {
            text.push(b'-');
            text.extend_from_slice(&digits(u128::from(parent), 16));
        }
        text
    }
}

/// Read B3, from one field or from several.
pub fn read_b3(head: &Head) -> Option<Parent> {
    if let Some(single) = head.get(B3) {
        return read_single(single);
    }
    let sampled = match (head.get(B3_FLAGS), head.get(B3_SAMPLED)) {
        (Some(b"1"), _) | (_, Some(b"1" | b"true" | b"d")) => Some(true),
        (_, Some(b"0" | b"false")) => Some(false),
        _ => None,
    };
    match (head.get(B3_TRACE).and_then(trace_id), head.get(B3_SPAN).and_then(span_id)) {
        (Some(trace), Some(span)) => Some(Parent { trace, span, sampled }),
        _ => sampled.map(|sampled| Parent { trace: 0, span: 0, sampled: Some(sampled) }),
    }
}

fn read_single(text: &[u8]) -> Option<Parent> {
    let decision = |mark: &[u8]| match mark {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    };
    let mut parts = text.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(second) = parts.next() else {
        return decision(first).map(|sampled| Parent { trace: 0, span: 0, sampled: Some(sampled) });
    };
    Some(Parent { trace: trace_id(first)?, span: span_id(second)?, sampled: parts.next().and_then(decision) })
}

/// Write B3 over the B3 that is there.
pub fn write_b3(head: &mut Head, context: &Context, parent: u64) {
    if head.find(B3).is_some() {
        head.set(B3, &context.b3(parent));
    }
    if head.find(B3_TRACE).is_some() || head.find(B3_SAMPLED).is_some() {
        head.set(B3_TRACE, &digits(context.trace, 32));
        head.set(B3_SPAN, &digits(u128::from(context.span), 16));
        head.set(B3_SAMPLED, if context.sampled { b"1" } else { b"0" });
        if parent == 0 {
            head.remove(B3_PARENT);
        } else {
            head.set(B3_PARENT, &digits(u128::from(parent), 16));
        }
    }
}

fn trace_id(text: &[u8]) -> Option<u128> {
    hex(text).filter(|id| matches!(text.len(), 16 | 32) && *id != 0)
}

fn span_id(text: &[u8]) -> Option<u64> {
    let id = hex(text).filter(|id| text.len() == 16 && *id != 0)?;
    u64::try_from(id).ok()
}

/// Return the number that at most 32 hexadecimal digits in lower case spell.
pub fn hex(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    text.iter().try_fold(0, |number: u128, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn digits(number: u128, count: usize) -> Vec<u8> {
    let mut text = vec![b'0'; count];
    write_hex(number, &mut text);
    text
}

fn write_hex(mut number: u128, text: &mut [u8]) {
    for place in text.iter_mut().rev() {
        *place = hex_digit(usize::try_from(number & 15).unwrap_or(0));
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    #[test]
    fn a_traceparent_is_read_and_written() {
        let text = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = read_traceparent(text).unwrap();
        assert_eq!(parent, Parent { trace: TRACE, span: SPAN, sampled: Some(true) });
        assert_eq!(&Context { trace: TRACE, span: SPAN, sampled: true }.traceparent(), text);
    }

    #[test]
    fn what_the_specification_calls_invalid_is_no_parent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (bad, why) in [
            (good.to_uppercase(), "upper case"),
            (good.replace("00-4b", "ff-4b"), "version ff"),
            (format!("{good}-00"), "more than version 00 has"),
            (good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), "a trace of zeros"),
            (good.replace("00f067aa0ba902b7", &"0".repeat(16)), "a span of zeros"),
            (good.replace('-', "_"), "no dashes"),
            (good[..54].to_owned(), "too short"),
            (String::new(), "empty"),
        ] {
            assert_eq!(read_traceparent(bad.as_bytes()), None, "{why}");
        }
        let later = good.replace("00-4b", "cc-4b") + "-what-comes";
        assert_eq!(read_traceparent(later.as_bytes()).map(|parent| parent.trace), Some(TRACE), "a later version");
    }

    #[test]
    fn b3_is_read_in_both_forms() {
        let told = |fields: &[(&[u8], &[u8])]| {
            let mut head = Head::default();
            for (name, value) in fields {
                head.push(name, value);
            }
            read_b3(&head)
        };
        let (trace, span) = (&b"4bf92f3577b34da6a3ce929d0e0e4736"[..], &b"00f067aa0ba902b7"[..]);
        let whole = |sampled| Some(Parent { trace: TRACE, span: SPAN, sampled });
        let only = |sampled| Some(Parent { trace: 0, span: 0, sampled: Some(sampled) });
        assert_eq!(told(&[(B3, &[trace, b"-", span, b"-1-05e3ac9a4f6e3b90"].concat())]), whole(Some(true)));
        assert_eq!(told(&[(B3, &[trace, b"-", span].concat())]), whole(None));
        assert_eq!((told(&[(B3, b"0")]), told(&[(B3, b"d")]), told(&[(B3, b"x")])), (only(false), only(true), None));
        assert_eq!(told(&[(B3_TRACE, trace), (B3_SPAN, span), (B3_SAMPLED, b"0")]), whole(Some(false)));
        assert_eq!(told(&[(B3_TRACE, trace), (B3_SPAN, span), (B3_FLAGS, b"1")]), whole(Some(true)));
        assert_eq!(
            told(&[(B3_TRACE, &trace[16..]), (B3_SPAN, span)]).map(|parent| parent.trace),
            Some(0xa3ce_929d_0e0e_4736)
        );
        assert_eq!((told(&[(B3_SAMPLED, b"0")]), told(&[(B3_TRACE, b"1")])), (only(false), None));
    }

    #[test]
    fn b3_is_written_in_the_form_that_is_there() {
        let context = Context { trace: TRACE, span: 0x05e3_ac9a_4f6e_3b90, sampled: true };
        let mut head = Head::default();
        head.push(B3, b"1");
        write_b3(&mut head, &context, SPAN);
        assert_eq!(head.get(B3), Some(&b"4bf92f3577b34da6a3ce929d0e0e4736-05e3ac9a4f6e3b90-1-00f067aa0ba902b7"[..]));
        write_b3(&mut head, &context, 0);
        assert_eq!(head.get(B3), Some(&b"4bf92f3577b34da6a3ce929d0e0e4736-05e3ac9a4f6e3b90-1"[..]));
        let mut head = Head::default();
        head.push(B3_TRACE, b"4bf92f3577b34da6a3ce929d0e0e4736");
        write_b3(&mut head, &context, SPAN);
        assert_eq!((head.get(B3_SPAN), head.get(B3_SAMPLED)), (Some(&b"05e3ac9a4f6e3b90"[..]), Some(&b"1"[..])));
        assert_eq!(head.get(B3_PARENT), Some(&b"00f067aa0ba902b7"[..]));
        assert_eq!(head.get(B3), None, "what was not asked for is not added");
    }
}
