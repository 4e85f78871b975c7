"""The `format` of a text in a schema (`kube-openapi/pkg/validation/strfmt`); what is not here is not checked."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII)
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_LABEL = "[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(\.{_LABEL})*\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(\1[0-9A-Fa-f]{2}){4}\Z")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\Z")


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Return whether `read` takes a text."""

    def is_readable(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return is_readable


def _date(text: str) -> object:
    # Python reads `20240229` and `2024-W09-4` as well.
    if not _DATE.match(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _date_time(text: str) -> object:
    if not _DATE_TIME.match(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper().replace("Z", "+00:00"))


def _cidr(text: str) -> object:
    # Python reads masks (`10.0.0.0/255.0.0.0`) and zones as well.
    address, _, length = text.partition("/")
    if not _PREFIX_LENGTH.match(length) or "%" in address:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


def _ipv6(text: str) -> object:
    if "%" in text:
        raise ValueError(text)
    return ipaddress.IPv6Address(text)


def _uri(text: str) -> object:
    """Read what may stand in a request: with a scheme, or a path (`net/url.ParseRequestURI`)."""
    if _CONTROL.search(text) or not (text.startswith("/") or urlsplit(text).scheme):
        raise ValueError(text)
    return text


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.match(text) is not None


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "byte": _reads(lambda text: b64decode(text, validate=True)),
    "cidr": _reads(_cidr),
    "date": _reads(_date),
    "date-time": _reads(_date_time),
    "email": _matches(_EMAIL),
    "hostname": _matches(_HOSTNAME),
    "ipv4": _reads(ipaddress.IPv4Address),
    "ipv6": _reads(_ipv6),
    "mac": _matches(_MAC),
    "uri": _reads(_uri),
    "uuid": _matches(_UUID),
}
"""Format -> whether a text has it."""
