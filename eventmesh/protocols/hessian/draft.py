"""The draft of Hessian 2 that SOFARPC speaks (sofastack/sofa-hessian 3.x: Hessian2Output, Hessian2Constants)."""

from __future__ import annotations

import struct

from eventmesh.protocols.hessian.reader import Pieces, Reader
from eventmesh.protocols.hessian.values import HessianError
from eventmesh.protocols.hessian.writer import Writer


class DraftWriter(Writer):
    """Writes what SOFARPC reads."""

    STRING_CHUNK, BINARY_CHUNK, DATE = b"s", b"b", b"d"
    MAP, MAP_END, INSTANCE = b"M", b"z", b"o"

    def _list(self, type_name: str, items: list[object], depth: int) -> None:
        self._out += b"V"
        self._type(type_name)
        self._out += b"l" + struct.pack(">i", len(items))
        self._items(items, depth)
        self._out += b"z"

    def _define(self, class_name: str) -> None:
        # A class name is its length and its bytes, without the mark of a string.
        self._out += b"O"
        self._integer(len(class_name))
        self._out += class_name.encode("utf-8")

    def _type(self, type_name: str) -> None:
        if type_name:
            self._out += b"t" + struct.pack(">H", len(type_name)) + type_name.encode("utf-8")


class DraftReader(Reader):
    """Reads what SOFARPC writes."""

    TEXT = Pieces(more=0x73, last=0x53, short=range(0x20))
    BYTES = Pieces(more=0x62, last=0x42, short=range(0x20, 0x30))
    DEFINITION, LONG_32, DOUBLE, DATE = 0x4F, 0x77, 0x67, 0x64

    def _double_32(self) -> float:
        return float(struct.unpack(">f", self._take(4))[0])

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
