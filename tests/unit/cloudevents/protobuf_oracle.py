"""The messages of cloudevents.proto for Google's own library: what the protobuf format is held against."""

from __future__ import annotations

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]  # it comes without stubs
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    timestamp_pb2,
)

PACKAGE = "io.cloudevents.v1"
Type = descriptor_pb2.FieldDescriptorProto


def field(name: str, number: int, type_: int, of: str = "", *, oneof: bool = False, repeated: bool = False) -> Any:
    label = Type.LABEL_REPEATED if repeated else Type.LABEL_OPTIONAL
    made = Type(name=name, number=number, type=type_, label=label)
    if of:
        made.type_name = of
    if oneof:
        made.oneof_index = 0
    return made


def messages() -> dict[str, Any]:
    """Return the classes of cloudevents.proto."""
    text, raw, message = Type.TYPE_STRING, Type.TYPE_BYTES, Type.TYPE_MESSAGE
    value = descriptor_pb2.DescriptorProto(name="CloudEventAttributeValue")
    value.oneof_decl.add(name="attr")
    for name, number, type_, of in (
        ("ce_boolean", 1, Type.TYPE_BOOL, ""),
        ("ce_integer", 2, Type.TYPE_INT32, ""),
        ("ce_string", 3, text, ""),
        ("ce_bytes", 4, raw, ""),
        ("ce_uri", 5, text, ""),
        ("ce_uri_ref", 6, text, ""),
        ("ce_timestamp", 7, message, ".google.protobuf.Timestamp"),
    ):
        value.field.append(field(name, number, type_, of, oneof=True))
    event = descriptor_pb2.DescriptorProto(name="CloudEvent")
    event.oneof_decl.add(name="data")
    event.nested_type.append(value)
    entry = event.nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    entry.field.append(field("key", 1, text))
    entry.field.append(field("value", 2, message, f".{PACKAGE}.CloudEvent.CloudEventAttributeValue"))
    for number, name in enumerate(("id", "source", "spec_version", "type"), 1):
        event.field.append(field(name, number, text))
    event.field.append(field("attributes", 5, message, f".{PACKAGE}.CloudEvent.AttributesEntry", repeated=True))
    event.field.append(field("binary_data", 6, raw, oneof=True))
    event.field.append(field("text_data", 7, text, oneof=True))
    event.field.append(field("proto_data", 8, message, ".google.protobuf.Any", oneof=True))
    batch = descriptor_pb2.DescriptorProto(name="CloudEventBatch")
    batch.field.append(field("events", 1, message, f".{PACKAGE}.CloudEvent", repeated=True))
    file = descriptor_pb2.FileDescriptorProto(name="cloudevents.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(["google/protobuf/any.proto", "google/protobuf/timestamp.proto"])
    file.message_type.extend([event, batch])
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    names = ("CloudEvent", "CloudEventBatch")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in names}


CLASSES = messages()


def made(**more: Any) -> Any:
    event = CLASSES["CloudEvent"](id="1", source="/s", spec_version="1.0", type="t")
    for name, value in more.items():
        if isinstance(value, dict):
            event.attributes[name].MergeFrom(type(event.attributes["x"])(**value))
            event.attributes.pop("x", None)
        else:
            setattr(event, name, value)
    return event
