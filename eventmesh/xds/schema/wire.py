"""Reads messages from protobuf bytes; source: protobuf.dev/programming-guides/encoding.

The runtime of protobuf costs a sidecar more memory than its whole budget leaves (docs/adr), and cannot tell
which set fields nobody looks at. The reader is bounded in depth and size, and a claimed length allocates nothing.
"""

from __future__ import annotations

import struct

from eventmesh.base.errors import ConfigError
from eventmesh.xds.schema.document import duration_seconds, is_default, only_value
from eventmesh.xds.schema.tree import Json, Message, verdict_refused
from eventmesh.xds.schema.types import Field, Kind, MessageType, Policy, Shape, type_of_url

MAX_DEPTH = 64
"""Deepest nesting of messages; protobuf's own runtimes stop at 100, Envoy's resources stay below 30."""
MAX_MESSAGE_BYTES = 67_108_864
"""Longest message, 64 MiB: ten thousand virtual hosts are about 5 MiB, so this is a fault or an attack."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_KINDS = frozenset((Kind.BOOL, Kind.INT32, Kind.INT64, Kind.UINT32, Kind.UINT64, Kind.ENUM))
_UNSIGNED_MAX = {Kind.UINT32: 2**32 - 1, Kind.UINT64: 2**64 - 1}

# Discovery messages may gain fields at any time; those concern the conversation, never what traffic does.
_OPEN_PACKAGES = ("envoy.service.discovery.", "google.")


def read_wire(message_type: MessageType, data: bytes, path: str, warnings: list[str]) -> Message:
    """Return the message in `data`; what is harmless but unsupported goes to `warnings`.

    Raises ConfigError with the path of the first field that is unknown, unsupported or malformed.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ConfigError(path, f"{len(data)} bytes are more than the limit of {MAX_MESSAGE_BYTES}")
    return _Reader(warnings).message(message_type, data, path, 0)


def read_text_field(data: bytes, number: int) -> str:
    """Return the string field `number` of a message whose type need not be known; "" when it cannot be read.

    Names a resource for error messages before it has been read: name and cluster_name are field 1 everywhere.
    """
    try:
        found = [chunk for key, wire_type, chunk, _ in _split(data, "") if key == number and wire_type == _BYTES]
        return found[-1].decode() if found else ""
    except (ConfigError, UnicodeDecodeError):
        return ""


def cut_messages(data: bytes, number: int, path: str) -> tuple[bytes, list[bytes]]:
    """Return the message without its field `number`, and every message in that field, in order.

    Raises ConfigError for more than MAX_MESSAGE_BYTES and for what is malformed; what carries the number but is no
    message stays, for `read_wire` to refuse.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ConfigError(path, f"{len(data)} bytes are more than the limit of {MAX_MESSAGE_BYTES}")
    rest: list[bytes] = []
    found: list[bytes] = []
    at = 0
    while at < len(data):
        began = at
        key, at = _varint(data, at, path)
        wire_type = key & 7
        if wire_type == _VARINT:
            _, at = _varint(data, at, path)
        else:
            length, at = _varint(data, at, path) if wire_type == _BYTES else (_FIXED_BYTES.get(wire_type, 0), at)
            if not length and wire_type != _BYTES or length > len(data) - at:
                # Malformed: `read_wire` names what is wrong with it.
                return data, []
            at += length
        if key >> 3 == number and wire_type == _BYTES:
            found.append(data[at - length : at])
        else:
            rest.append(data[began:at])
    return b"".join(rest), found


def _split(data: bytes, path: str) -> list[tuple[int, int, bytes, int]]:
    """Cut a message into (field number, wire type, bytes, varint); one of the last two is empty."""
    parts: list[tuple[int, int, bytes, int]] = []
    at = 0
    end = len(data)
    while at < end:
        key, at = _varint(data, at, path)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise ConfigError(path, f"malformed protobuf: field number {number}")
        if wire_type == _VARINT:
            value, at = _varint(data, at, path)
            parts.append((number, wire_type, b"", value))
            continue
        if wire_type == _BYTES:
            length, at = _varint(data, at, path)
        elif wire_type in (_FIXED64, _FIXED32):
            length = _FIXED_BYTES[wire_type]
        else:
            raise ConfigError(path, f"malformed protobuf: wire type {wire_type}")
        if length > end - at:
            raise ConfigError(path, f"malformed protobuf: field {number} claims {length} bytes, {end - at} are left")
        parts.append((number, wire_type, data[at : at + length], 0))
        at += length
    return parts


def _packed(data: bytes, path: str) -> list[int]:
    # Writers put repeated numbers into one field; readers must take both forms.
    values = []
    at = 0
    while at < len(data):
        value, at = _varint(data, at, path)
        values.append(value)
    return values


def _varint(data: bytes, at: int, path: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ConfigError(path, "malformed protobuf: ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ConfigError(path, "malformed protobuf: a number longer than ten bytes")


class _Reader:
    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def message(self, owner: MessageType, data: bytes, path: str, depth: int) -> Message:
        if depth > MAX_DEPTH:
            raise ConfigError(path, f"nested more than {MAX_DEPTH} deep")
        single: dict[str, tuple[Field, bytes, int]] = {}
        repeated: dict[str, list[object]] = {}
        maps: dict[str, dict[str, object]] = {}
        for number, wire_type, chunk, value in _split(data, path):
            field = self._supported(owner, number, path)
            if field is None:
                continue
            where = f"{path}.{field.name}" if path else field.name
            if field.shape is Shape.REPEATED and wire_type == _BYTES and field.kind in _VARINT_KINDS:
                items = repeated.setdefault(field.name, [])
                for item in _packed(chunk, where):
                    items.append(self._value(field, b"", item, f"{where}[{len(items)}]", depth))
                continue
            _check_wire_type(field, wire_type, where)
            if field.shape is Shape.REPEATED:
                items = repeated.setdefault(field.name, [])
                items.append(self._value(field, chunk, value, f"{where}[{len(items)}]", depth))
            elif field.shape is Shape.MAP:
                self._entry(field, chunk, where, depth, maps.setdefault(field.name, {}))
            else:
                _keep(single, field, chunk, value)
        fields: dict[str, object] = {name: tuple(items) for name, items in repeated.items()}
        fields.update(maps)
        for name, (field, chunk, value) in single.items():
            where = f"{path}.{name}" if path else name
            read = self._single(field, chunk, value, where, depth)
            if field.only is not None and read != field.only:
                raise only_value(where, field.only)
            if not is_default(field, read):
                fields[name] = read
        return Message(owner, fields, path)

    def _supported(self, owner: MessageType, number: int, path: str) -> Field | None:
        field = owner.by_number.get(number)
        if field is None:
            if owner.name.startswith(_OPEN_PACKAGES):
                return None
            raise ConfigError(path, f"eventmesh does not know field {number} of {owner.name}")
        if field.policy is Policy.SUPPORTED:
            return field
        where = f"{path}.{field.name}" if path else field.name
        if field.policy is Policy.REFUSED:
            raise verdict_refused(where, owner.name)
        if not owner.name.startswith(_OPEN_PACKAGES):
            self._warnings.append(f"{where}: ignored, eventmesh has no such setting")
        return None

    def _single(self, field: Field, chunk: bytes, value: int, where: str, depth: int) -> object:
        if field.shape is Shape.OPTIONAL:
            for number, _, inner_chunk, inner_value in _split(chunk, where):
                if number == 1:
                    chunk, value = inner_chunk, inner_value
            return self._value(field, chunk, value, where, depth)
        return self._value(field, chunk, value, where, depth)

    def _entry(self, field: Field, chunk: bytes, where: str, depth: int, into: dict[str, object]) -> None:
        key, inner, value = "", b"", 0
        for number, wire_type, part, varint in _split(chunk, where):
            if number == 1 and wire_type == _BYTES:
                key = _utf8(part, where)
            elif number == 2:
                _check_wire_type(field, wire_type, where)
                inner, value = part, varint
        into[key] = self._value(field, inner, value, f'{where}["{key}"]', depth)

    def _value(self, field: Field, chunk: bytes, value: int, where: str, depth: int) -> object:
        match field.kind:
            case Kind.MESSAGE:
                return self.message(field.message, chunk, where, depth + 1)
            case Kind.ANY:
                return self._any(chunk, where, depth)
            case Kind.STRING:
                return _utf8(chunk, where)
            case Kind.BYTES:
                return chunk
            case Kind.STRUCT:
                return _struct(chunk, where, depth + 1)
            case Kind.DURATION:
                parts = {number: varint for number, _, _, varint in _split(chunk, where)}
                return duration_seconds(_signed(parts.get(1, 0)), _signed(parts.get(2, 0)), where)
            case Kind.DOUBLE:
                return float(struct.unpack("<d", chunk or bytes(8))[0])
            case _:
                return _integer(field, value, where)

    def _any(self, chunk: bytes, where: str, depth: int) -> Message:
        url, value = read_any(chunk, where)
        inner = type_of_url(url)
        if not url or not inner.known:
            return Message(inner, {}, where)
        return self.message(inner, value, where, depth + 1)


def read_any(chunk: bytes, path: str) -> tuple[str, bytes]:
    """Return type URL and bytes of a `google.protobuf.Any`."""
    url, value = "", b""
    for number, wire_type, part, _ in _split(chunk, path):
        if number == 1 and wire_type == _BYTES:
            url = _utf8(part, path)
        elif number == 2 and wire_type == _BYTES:
            value = part
    return url, value


def _keep(single: dict[str, tuple[Field, bytes, int]], field: Field, chunk: bytes, value: int) -> None:
    if field.group:
        for name in [name for name, (other, _, _) in single.items() if other.group == field.group and other != field]:
            del single[name]
    # Pieces of one message merge by standing one after the other; of scalars the last one wins.
    earlier = single.get(field.name)
    if earlier is not None and (field.kind in (Kind.MESSAGE, Kind.DURATION, Kind.STRUCT)):
        chunk = earlier[1] + chunk
    single[field.name] = (field, chunk, value)


def _check_wire_type(field: Field, wire_type: int, where: str) -> None:
    if field.shape is Shape.OPTIONAL or field.shape is Shape.MAP and wire_type == _BYTES:
        expected = _BYTES
    elif field.kind in _VARINT_KINDS:
        expected = _VARINT
    else:
        expected = _FIXED64 if field.kind is Kind.DOUBLE else _BYTES
    if wire_type != expected:
        raise ConfigError(where, f"malformed protobuf: wire type {wire_type} for a {field.kind.value}")


def _utf8(chunk: bytes, where: str) -> str:
    try:
        return chunk.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(where, f"malformed protobuf: text is not UTF-8 at byte {error.start}") from None


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _integer(field: Field, value: int, where: str) -> int | bool | str:
    match field.kind:
        case Kind.BOOL:
            return value != 0
        case Kind.ENUM:
            labels = field.enum
            if value not in labels.by_number:
                raise ConfigError(where, f"{_signed(value)} is none of {', '.join(labels.by_name)}")
            return labels.by_number[value]
        case Kind.INT32:
            value = _signed(value)
            if not -(2**31) <= value < 2**31:
                raise ConfigError(where, f"{value} is no 32-bit number")
            return value
        case Kind.INT64:
            return _signed(value)
        case _:
            if value > _UNSIGNED_MAX[field.kind]:
                raise ConfigError(where, f"{value} is no 32-bit number")
            return value


def _struct(chunk: bytes, where: str, depth: int) -> dict[str, Json]:
    if depth > MAX_DEPTH:
        raise ConfigError(where, f"nested more than {MAX_DEPTH} deep")
    members: dict[str, Json] = {}
    for number, wire_type, entry, _ in _split(chunk, where):
        if number != 1 or wire_type != _BYTES:
            continue
        key, value = "", b""
        for part_number, _, part, _ in _split(entry, where):
            if part_number == 1:
                key = _utf8(part, where)
            elif part_number == 2:
                value = part
        members[key] = _json(value, f"{where}.{key}", depth + 1)
    return members


def _json(chunk: bytes, where: str, depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise ConfigError(where, f"nested more than {MAX_DEPTH} deep")
    value: Json = None
    for number, _, part, varint in _split(chunk, where):
        match number:
            case 2 if len(part) == 8:
                value = float(struct.unpack("<d", part)[0])
            case 3:
                value = _utf8(part, where)
            case 4:
                value = varint != 0
            case 5:
                value = dict(_struct(part, where, depth + 1))
            case 6:
                items = [item for item_number, _, item, _ in _split(part, where) if item_number == 1]
                value = [_json(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(items)]
            case _:
                value = None
    return value
