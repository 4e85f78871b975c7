"""Hessian 2.0 as published (hessian.caucho.com/doc/hessian-serialization.html), and as Java writes it: Dubbo's.

Where the page has a float, Java has thousandths (Hessian2Output.writeDouble).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from eventmesh.protocols.hessian.reader import NO_SCALAR, Reader
from eventmesh.protocols.hessian.values import HessianError
from eventmesh.protocols.hessian.writer import Writer


class FinalWriter(Writer):
    """Writes what Dubbo reads."""

    STRING_CHUNK, BINARY_CHUNK, DATE = b"R", b"A", b"J"

    def _list(self, type_name: str, items: list[object], depth: int) -> None:
        if type_name:
            self._out += b"V"
            self._string(type_name)
        else:
            self._out += b"X"
        self._integer(len(items))
        for item in items:
            self.write(item, depth + 1)

    def _map(self, value: Mapping[object, object], depth: int) -> None:
        self._out += b"H"
        for key, held in value.items():
            self.write(key, depth + 1)
            self.write(held, depth + 1)
        self._out += b"Z"

    def _define(self, class_name: str, names: tuple[str, ...]) -> None:
        self._out += b"C"
        self._string(class_name)
        self._integer(len(names))
        for name in names:
            self._string(name)

    def _begin_object(self, number: int) -> None:
        self._out += b"O"
        self._integer(number)


class FinalReader(Reader):
    """Reads what Dubbo writes."""

    def _particular(self, tag: int) -> object:
        match tag:
            case 0x59:
                return int.from_bytes(self._take(4), "big", signed=True)
            case 0x5B | 0x5C:
                return float(tag - 0x5B)
            case 0x5D:
                return float(int.from_bytes(self._take(1), "big", signed=True))
            case 0x5E:
                return float(int.from_bytes(self._take(2), "big", signed=True))
            case 0x5F:
                return 0.001 * struct.unpack(">i", self._take(4))[0]
            case 0x4A:
                return self._date(int.from_bytes(self._take(8), "big", signed=True))
            case 0x4B:
                return self._date(60_000 * int.from_bytes(self._take(4), "big", signed=True))
            case _ if tag <= 0x1F or 0x30 <= tag <= 0x33 or tag in (0x52, 0x53):
                return self._string(tag)
            case _ if 0x20 <= tag <= 0x2F or 0x34 <= tag <= 0x37 or tag in (0x41, 0x42):
                return self._binary(tag)
        return NO_SCALAR

    def _string(self, tag: int) -> str:
        parts = []
        while tag == 0x52:
            parts.append(self._text(self._short()))
            tag = self._byte()
        if tag <= 0x1F:
            parts.append(self._text(tag))
        elif 0x30 <= tag <= 0x33:
            parts.append(self._text(((tag - 0x30) << 8) + self._byte()))
        elif tag == 0x53:
            parts.append(self._text(self._short()))
        else:
            raise HessianError(f"0x{tag:02x} goes on with no text")
        return "".join(parts)

    def _binary(self, tag: int) -> bytes:
        parts = []
        while tag == 0x41:
            parts.append(self._take(self._short()))
            tag = self._byte()
        if 0x20 <= tag <= 0x2F:
            parts.append(self._take(tag - 0x20))
        elif 0x34 <= tag <= 0x37:
            parts.append(self._take(((tag - 0x34) << 8) + self._byte()))
        elif tag == 0x42:
            parts.append(self._take(self._short()))
        else:
            raise HessianError(f"0x{tag:02x} goes on with no bytes")
        return b"".join(parts)

    def _is_definition(self, tag: int) -> bool:
        return tag == 0x43

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
        named = self.read()
        if isinstance(named, str):
            self._types.append(named)
            return named
        if isinstance(named, bool) or not isinstance(named, int):
            raise HessianError("a type is neither named nor referred to")
        return self._type_again(named)
