//! As much of the protobuf wire format as OTLP's `Span` needs (opentelemetry-proto, `trace/v1/trace.proto`).

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// Append a number, seven bits a byte.
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Append a field that is a number.
pub fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | VARINT, out);
    varint(value, out);
}

/// Append a field that is eight bytes.
pub fn fixed64(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Append a field that is bytes.
pub fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | BYTES, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Append a field that is text: what is no UTF-8 is replaced, since a receiver refuses a whole batch for it.
pub fn text(field: u64, value: &[u8], out: &mut Vec<u8>) {
    bytes(field, String::from_utf8_lossy(value).as_bytes(), out);
}

/// Append a field that is a message, which `write` writes.
pub fn message(field: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | BYTES, out);
    let start = out.len();
    write(out);
    // Its length stands before it; nearly always that is one byte or two.
    let mut length = Vec::with_capacity(3);
    varint((out.len() - start) as u64, &mut length);
    out.splice(start..start, length);
}

/// A `KeyValue`'s value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `string_value`.
    Text(&'a [u8]),
    /// `int_value`.
    Number(u64),
}

/// Append an attribute: a `KeyValue` as `field`.
pub fn attribute(field: u64, key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    message(field, out, |out| {
        bytes(1, key.as_bytes(), out);
        message(2, out, |out| match value {
            Value::Text(value) => text(1, value, out),
            Value::Number(value) => number(3, value, out),
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_protobuf_has_them() {
        let mut out = Vec::new();
        number(1, 150, &mut out);
        assert_eq!(out, [0x08, 0x96, 0x01], "the encoding guide's own example");
        out.clear();
        bytes(2, b"testing", &mut out);
        assert_eq!(out, [0x12, 0x07, b't', b'e', b's', b't', b'i', b'n', b'g']);
        out.clear();
        message(3, &mut out, |out| number(1, 150, out));
        assert_eq!(out, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        out.clear();
        message(1, &mut out, |out| bytes(1, &[0; 300], out));
        assert_eq!((out.len(), &out[..3]), (306, &[0x0a, 0xaf, 0x02][..]));
        out.clear();
        fixed64(7, 1, &mut out);
        assert_eq!(out, [0x39, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn text_is_utf_8_whatever_came() {
        let mut out = Vec::new();
        text(1, b"a\xff", &mut out);
        assert_eq!(out, [0x0a, 0x04, b'a', 0xef, 0xbf, 0xbd]);
    }
}
