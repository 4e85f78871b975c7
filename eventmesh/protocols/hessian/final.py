"""Hessian 2.0 as published (hessian.caucho.com/doc/hessian-serialization.html), and as Java writes it: Dubbo's.

Where the page has a float, Java has thousandths (Hessian2Output.writeDouble).
"""

from __future__ import annotations

from eventmesh.protocols.hessian.reader import Pieces, Reader
from eventmesh.protocols.hessian.values import HessianError
from eventmesh.protocols.hessian.writer import Writer


class FinalWriter(Writer):
    """Writes what Dubbo reads."""

    STRING_CHUNK, BINARY_CHUNK, DATE = b"R", b"A", b"J"
    MAP, MAP_END, INSTANCE = b"H", b"Z", b"O"

    def _list(self, type_name: str, items: list[object], depth: int) -> None:
        if type_name:
            self._out += b"V"
            self._string(type_name)
        else:
            self._out += b"X"
        self._integer(len(items))
        self._items(items, depth)

    def _define(self, class_name: str) -> None:
        self._out += b"C"
        self._string(class_name)


class FinalReader(Reader):
    """Reads what Dubbo writes."""

    TEXT = Pieces(more=0x52, last=0x53, short=range(0x20), medium=range(0x30, 0x34))
    BYTES = Pieces(more=0x41, last=0x42, short=range(0x20, 0x30), medium=range(0x34, 0x38))
    DEFINITION, LONG_32, DOUBLE, DATE = 0x43, 0x59, 0x5B, 0x4A
    DATE_32 = 0x4B
    """Of a date in minutes."""

    def _scalar(self, tag: int) -> object:
        return self._date(60_000 * self._signed(4)) if tag == self.DATE_32 else super()._scalar(tag)

    def _double_32(self) -> float:
        return 0.001 * self._signed(4)

    def _define(self) -> None:
        name = self.read_text()
        self._add_class(name, self.read_int())

    def _composite(self, tag: int, depth: int) -> object:
        match tag:
            case 0x51:
                return self._again(self.read_int())
            case 0x4F:
                return self._instance(self.read_int(), depth)
            case 0x48:
                return self._pairs(0x5A, depth)
            case 0x4D:
                self._type()
                return self._pairs(0x5A, depth)
            case _ if 0x60 <= tag <= 0x6F:
                return self._instance(tag - 0x60, depth)
            case _ if 0x55 <= tag <= 0x58 or 0x70 <= tag <= 0x7F:
                return self._list(tag, depth)
        raise HessianError(f"0x{tag:02x} begins no value")

    def _list(self, tag: int, depth: int) -> list[object]:
        if tag in (0x55, 0x56) or 0x70 <= tag <= 0x77:
            self._type()
        if tag in (0x55, 0x57):
            return self._items([], None, 0x5A, depth)
        count = self.read_int() if tag in (0x56, 0x58) else tag & 0x07
        return self._items([], count, 0, depth)

    def _type(self) -> str:
        named = self.read_scalar()
        if isinstance(named, str):
            self._types.append(named)
            return named
        if isinstance(named, bool) or not isinstance(named, int):
            raise HessianError("a type is neither named nor referred to")
        return self._type_again(named)
