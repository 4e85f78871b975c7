"""The draft of Hessian 2 that SOFARPC speaks (sofastack/sofa-hessian 3.x: Hessian2Output, Hessian2Constants)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from eventmesh.protocols.hessian.reader import NO_SCALAR, Reader
from eventmesh.protocols.hessian.values import HessianError
from eventmesh.protocols.hessian.writer import Writer


class DraftWriter(Writer):
    """Writes what SOFARPC reads."""

    STRING_CHUNK, BINARY_CHUNK, DATE = b"s", b"b", b"d"

    def _list(self, type_name: str, items: list[object], depth: int) -> None:
        self._out += b"V"
        self._type(type_name)
        self._out += b"l" + struct.pack(">i", len(items))
        for item in items:
            self.write(item, depth + 1)
        self._out += b"z"

    def _map(self, value: Mapping[object, object], depth: int) -> None:
        self._out += b"M"
        for key, held in value.items():
            self.write(key, depth + 1)
            self.write(held, depth + 1)
        self._out += b"z"

    def _define(self, class_name: str, names: tuple[str, ...]) -> None:
        # A class name is its length and its bytes, without the mark of a string.
        self._out += b"O"
        self._integer(len(class_name))
        self._out += class_name.encode("utf-8")
        self._integer(len(names))
        for name in names:
            self._string(name)

    def _begin_object(self, number: int) -> None:
        self._out += b"o"
        self._integer(number)

    def _type(self, type_name: str) -> None:
        if type_name:
            self._out += b"t" + struct.pack(">H", len(type_name)) + type_name.encode("utf-8")


class DraftReader(Reader):
    """Reads what SOFARPC writes."""

    def _particular(self, tag: int) -> object:
        match tag:
            case 0x77:
                return int.from_bytes(self._take(4), "big", signed=True)
            case 0x67 | 0x68:
                return float(tag - 0x67)
            case 0x69:
                return float(int.from_bytes(self._take(1), "big", signed=True))
            case 0x6A:
                return float(int.from_bytes(self._take(2), "big", signed=True))
            case 0x6B:
                return float(struct.unpack(">f", self._take(4))[0])
            case 0x64:
                return self._date(int.from_bytes(self._take(8), "big", signed=True))
            case _ if tag <= 0x1F or tag in (0x73, 0x53):
                return self._string(tag)
            case _ if 0x20 <= tag <= 0x2F or tag in (0x62, 0x42):
                return self._binary(tag)
        return NO_SCALAR

    def _string(self, tag: int) -> str:
        parts = []
        while tag == 0x73:
            parts.append(self._text(self._short()))
            tag = self._byte()
        if tag <= 0x1F:
            parts.append(self._text(tag))
        elif tag == 0x53:
            parts.append(self._text(self._short()))
        else:
            raise HessianError(f"0x{tag:02x} goes on with no text")
        return "".join(parts)

    def _binary(self, tag: int) -> bytes:
        parts = []
        while tag == 0x62:
            parts.append(self._take(self._short()))
            tag = self._byte()
        if 0x20 <= tag <= 0x2F:
            parts.append(self._take(tag - 0x20))
        elif tag == 0x42:
            parts.append(self._take(self._short()))
        else:
            raise HessianError(f"0x{tag:02x} goes on with no bytes")
        return b"".join(parts)

    def _is_definition(self, tag: int) -> bool:
        return tag == 0x4F

    def _define(self) -> None:
        name = self._text(self.read_int())
        self._add_class(name, self.read_int())

    def _composite(self, tag: int, depth: int) -> object:
        match tag:
            case 0x4A:
                return self._again(self._byte())
            case 0x4B:
                return self._again(self._short())
            case 0x52:
                return self._again(int.from_bytes(self._take(4), "big"))
            case 0x6F:
                return self._instance(self.read_int(), depth)
            case 0x4D:
                self._skip_type()
                return self._pairs(0x7A, depth)
            case 0x56:
                self._skip_type()
                self._skip_length()
                return self._items([], None, 0x7A, depth)
            case 0x76:
                self._type_again(self.read_int())
                return self._items([], self.read_int(), 0, depth)
        raise HessianError(f"0x{tag:02x} begins no value")

    def _skip_type(self) -> None:
        tag = self._peek()
        if tag == 0x74:
            self._at += 1
            self._types.append(self._text(self._short()))
        elif tag == 0x75:
            self._at += 1
            self._type_again(self.read_int())

    def _skip_length(self) -> None:
        # The mark behind the last item ends the list; its length is told besides.
        tag = self._peek()
        if tag in (0x6E, 0x6C):
            self._at += 1
            self._take(1 if tag == 0x6E else 4)

    def _peek(self) -> int:
        if self.at_end:
            raise HessianError("cut off")
        return self._data[self._at]
