"""When a certificate ends, read straight from its DER (X.690, RFC 5280 §4.1): the library that could tell is too large
for a sidecar (`xds.identity.new_key`), and nothing but a timer depends on it. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0

_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
"""The only forms that RFC 5280 §4.1.2.5 allows. Both its two-digit years and Python's turn in the same millennium
until 2049, when certificates go over to four digits."""


def not_after(pem: str) -> datetime:
    """Return when the first certificate in `pem` ends; raises ValueError when that cannot be read."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate in PEM")
    try:
        body = base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error:
        raise ValueError("a certificate that is not base64") from None
    signed, _ = _expect(*_expect(body, _SEQUENCE)[:1], _SEQUENCE)
    tag, _, rest = _element(signed)
    if tag == _VERSION:
        _, _, rest = _element(rest)
    # What has been read is the serial number; between it and the validity lie the algorithm and the issuer.
    for _ in range(2):
        _, _, rest = _element(rest)
    validity, _ = _expect(rest, _SEQUENCE)
    _, _, rest = _element(validity)
    tag, text, _ = _element(rest)
    if tag not in _FORMATS:
        raise ValueError("a certificate whose end is no time")
    return datetime.strptime(text.decode("latin-1"), _FORMATS[tag]).replace(tzinfo=UTC)


def _expect(data: bytes, wanted: int) -> tuple[bytes, bytes]:
    tag, value, rest = _element(data)
    if tag != wanted:
        raise ValueError(f"DER tag {tag:#04x} where {wanted:#04x} is expected")
    return value, rest


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and value of the first element, and what follows it."""
    if len(data) < 2:
        raise ValueError("DER that is cut short")
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        at += size
        # Four bytes of length are four gibibytes.
        if not 1 <= size <= 4 or len(data) < at:
            raise ValueError("a DER length that cannot be read")
        length = int.from_bytes(data[2:at])
    if len(data) - at < length:
        raise ValueError("DER that is cut short")
    return data[0], data[at : at + length], data[at + length :]
