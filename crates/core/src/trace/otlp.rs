//! What spans are made of beside plain fields: attributes (opentelemetry-proto, `common/v1/common.proto`).

use crate::protobuf::{bytes, message, number, text};

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
