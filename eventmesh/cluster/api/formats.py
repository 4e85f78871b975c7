"""The `format` of a text in a schema (`kube-openapi/pkg/validation/strfmt`); what is not here is not checked."""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII)
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_HOSTNAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([-A-Za-z0-9]{0,62})(\.[A-Za-z0-9]([-A-Za-z0-9]{0,62}))*\.?\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\Z")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\Z")


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Return whether `read` takes a text."""

    def is_readable(text: str) -> bool:
        try:
            read(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return is_readable


def _date_time(text: str) -> object:
    if not _DATE_TIME.match(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper().replace("Z", "+00:00"))


def _absolute(text: str) -> object:
    if not urlsplit(text).scheme:
        raise ValueError(text)
    return text


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.match(text) is not None


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "byte": _reads(lambda text: b64decode(text, validate=True)),
    "cidr": _reads(lambda text: ipaddress.ip_network(text, strict=False) if "/" in text else int("")),
    "date": _reads(date.fromisoformat),
    "date-time": _reads(_date_time),
    "email": _matches(_EMAIL),
    "hostname": _matches(_HOSTNAME),
    "ipv4": _reads(ipaddress.IPv4Address),
    "ipv6": _reads(ipaddress.IPv6Address),
    "mac": _matches(_MAC),
    "uri": _reads(_absolute),
    "uuid": _matches(_UUID),
}
"""Format -> whether a text has it."""
