"""Quantities, addresses, URLs and named formats (`apiserver/pkg/cel/library`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.types import (
    BOOL,
    CIDR,
    DOUBLE,
    FORMAT,
    INT,
    IP,
    QUANTITY,
    STRING,
    URL,
    list_of,
    map_of,
    optional_of,
)
from eventmesh.cluster.api.cel.values import ABSENT, MAX_INT, EvaluationError, Maybe, NamedFormat
from eventmesh.cluster.api.formats import FORMATS
from eventmesh.kube.quantity import parse_quantity

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_HOST_AND_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?\Z")


def _reads(read: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_readable(text: str) -> bool:
        try:
            read(text)
        except EvaluationError:
            return False
        return True

    return is_readable


# -- quantities


def _quantity(text: str) -> Decimal:
    try:
        return parse_quantity(text)
    except ValueError as error:
        raise EvaluationError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from error


def _is_whole(value: Decimal) -> bool:
    return value == value.to_integral_value() and abs(value) <= MAX_INT


def _as_integer(value: Decimal) -> int:
    if not _is_whole(value):
        raise EvaluationError("cannot convert value to integer")
    return int(value)


def _compared(one: Decimal, other: Decimal) -> int:
    return (one > other) - (one < other)


# -- addresses


def _ip(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        ) from error
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        what = f'IP address "{text}" with zone value' if address.scope_id else f'IPv4-mapped IPv6 address "{text}"'
        raise EvaluationError(f"{what} is not allowed")
    return address


def _is_canonical(text: str) -> bool:
    return str(_ip(text)) == text


def _is_global(address: Any) -> bool:
    is_broadcast = address == IPv4Address("255.255.255.255")
    others = (address.is_unspecified, address.is_loopback, address.is_multicast, address.is_link_local, is_broadcast)
    return not any(others)


def _is_link_local_multicast(address: Any) -> bool:
    if isinstance(address, IPv4Address):
        return address.packed[:3] == b"\xe0\x00\x00"
    return bool(address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2)  # noqa: PLR2004 - RFC 4291 §2.7


def _cidr(text: str) -> Any:
    address, slash, length = text.partition("/")
    is_mapped = False
    try:
        if not slash or not length.isdecimal() or "%" in address or (len(length) > 1 and length[0] == "0"):
            raise ValueError(text)
        network = ip_interface(text)
        is_mapped = isinstance(network, IPv6Interface) and network.ip.ipv4_mapped is not None
    except ValueError as error:
        raise EvaluationError(
            "network address parse error during conversion from string: network address parse error during conversion "
            f'from string: netip.ParsePrefix("{text}"): no such prefix'
        ) from error
    if is_mapped:
        raise EvaluationError(
            f'network address parse error during conversion from string: IPv4-mapped IPv6 address "{text}" is not '
            "allowed"
        )
    return network


def _holds_address(network: Any, address: Any) -> bool:
    return address in network.network


def _holds_network(network: Any, other: Any) -> bool:
    return bool(network.version == other.version and other.network.subnet_of(network.network))


# -- URLs


def _url(text: str) -> SplitResult:
    try:
        if not FORMATS["uri"](text) or " " in text.partition("?")[0]:
            raise ValueError(text)
        url = urlsplit(text)
        if not _HOST_AND_PORT.match(_host(url)) or (url.port is not None and url.scheme == ""):
            raise ValueError(text)
    except ValueError as error:
        raise EvaluationError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        ) from error
    return url


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _host_part(number: int) -> Callable[[SplitResult], str]:
    def part(url: SplitResult) -> str:
        found = _HOST_AND_PORT.match(_host(url))
        return (found[number] or "").strip("[]") if found else ""

    return part


def _query(url: SplitResult) -> dict[str, list[str]]:
    return parse_qs(url.query, keep_blank_values=True)


# -- formats


def _shaped(pattern: str, longest: int, *, is_prefix: bool = False) -> Callable[[str], list[str]]:
    shape = re.compile(rf"{pattern}\Z", re.ASCII)

    def problems(text: str) -> list[str]:
        # A name is made up behind a prefix: it may end with what only must not end a name.
        whole = f"{text[:-1]}a" if is_prefix and text.endswith("-") else text
        found = [] if shape.match(whole) else [f"must match {pattern}"]
        return [*found, *([f"must be no more than {longest} bytes"] if len(text.encode()) > longest else [])]

    return problems


def _qualified(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    problems = _shaped(_NAME, 63)(name)
    return [*(_shaped(rf"{_LABEL}(\.{_LABEL})*", 253)(prefix) if slash else []), *problems]


def _as_schema_has_it(name: str, problem: str) -> Callable[[str], list[str]]:
    return lambda text: [] if FORMATS[name](text) else [problem]


_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_FORMATS: Final = {
    "dns1123Label": NamedFormat("DNS1123Label", _shaped(_LABEL, 63)),
    "dns1123Subdomain": NamedFormat("DNS1123Subdomain", _shaped(_SUBDOMAIN, 253)),
    "dns1035Label": NamedFormat("DNS1035Label", _shaped("[a-z]([-a-z0-9]*[a-z0-9])?", 63)),
    "qualifiedName": NamedFormat("QualifiedName", _qualified),
    "dns1123LabelPrefix": NamedFormat("DNS1123LabelPrefix", _shaped(_LABEL, 63, is_prefix=True)),
    "dns1123SubdomainPrefix": NamedFormat("DNS1123SubdomainPrefix", _shaped(_SUBDOMAIN, 253, is_prefix=True)),
    "dns1035LabelPrefix": NamedFormat("DNS1035LabelPrefix", _shaped("[a-z]([-a-z0-9]*[a-z0-9])?", 63, is_prefix=True)),
    "labelValue": NamedFormat("LabelValue", _shaped(f"({_NAME})?", 63)),
    "uri": NamedFormat("URI", _as_schema_has_it("uri", "invalid URI for request")),
    "uuid": NamedFormat("uuid", _as_schema_has_it("uuid", "does not match the UUID format")),
    "byte": NamedFormat("byte", _as_schema_has_it("byte", "invalid base64")),
    "date": NamedFormat("date", _as_schema_has_it("date", "invalid date")),
    "datetime": NamedFormat("datetime", _as_schema_has_it("date-time", "invalid datetime")),
}


def _validate(named: NamedFormat, text: str) -> Maybe:
    problems = named.problems(text)
    return Maybe(is_there=True, value=problems) if problems else ABSENT


def _named(name: str) -> Maybe:
    return Maybe(is_there=True, value=_FORMATS[name]) if name in _FORMATS else ABSENT


def _constant(named: NamedFormat) -> tuple[Overload, ...]:
    return (function((), FORMAT, lambda: named),)


FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "quantity": (function((STRING,), QUANTITY, _quantity),),
    "isQuantity": (function((STRING,), BOOL, _reads(_quantity)),),
    "sign": (function((QUANTITY,), INT, lambda value: _compared(value, Decimal(0))),),
    "isGreaterThan": (member((QUANTITY, QUANTITY), BOOL, lambda one, other: one > other),),
    "isLessThan": (member((QUANTITY, QUANTITY), BOOL, lambda one, other: one < other),),
    "compareTo": (member((QUANTITY, QUANTITY), INT, _compared),),
    "asApproximateFloat": (member((QUANTITY,), DOUBLE, float),),
    "asInteger": (member((QUANTITY,), INT, _as_integer),),
    "isInteger": (member((QUANTITY,), BOOL, _is_whole),),
    "add": (
        member((QUANTITY, QUANTITY), QUANTITY, lambda one, other: one + other),
        member((QUANTITY, INT), QUANTITY, lambda one, other: one + other),
    ),
    "sub": (
        member((QUANTITY, QUANTITY), QUANTITY, lambda one, other: one - other),
        member((QUANTITY, INT), QUANTITY, lambda one, other: one - other),
    ),
    "ip": (function((STRING,), IP, _ip), member((CIDR,), IP, lambda network: network.ip)),
    "isIP": (function((STRING,), BOOL, _reads(_ip)),),
    "ip.isCanonical": (function((STRING,), BOOL, _is_canonical),),
    "family": (member((IP,), INT, lambda address: address.version),),
    "isUnspecified": (member((IP,), BOOL, lambda address: address.is_unspecified),),
    "isLoopback": (member((IP,), BOOL, lambda address: address.is_loopback),),
    "isLinkLocalMulticast": (member((IP,), BOOL, _is_link_local_multicast),),
    "isLinkLocalUnicast": (member((IP,), BOOL, lambda address: address.is_link_local),),
    "isGlobalUnicast": (member((IP,), BOOL, _is_global),),
    "cidr": (function((STRING,), CIDR, _cidr),),
    "isCIDR": (function((STRING,), BOOL, _reads(_cidr)),),
    "containsIP": (
        member((CIDR, STRING), BOOL, lambda network, text: _holds_address(network, _ip(text))),
        member((CIDR, IP), BOOL, _holds_address),
    ),
    "containsCIDR": (
        member((CIDR, STRING), BOOL, lambda network, text: _holds_network(network, _cidr(text))),
        member((CIDR, CIDR), BOOL, _holds_network),
    ),
    "prefixLength": (member((CIDR,), INT, lambda network: network.network.prefixlen),),
    "masked": (member((CIDR,), CIDR, lambda network: ip_interface(network.network.with_prefixlen)),),
    "url": (function((STRING,), URL, _url),),
    "isURL": (function((STRING,), BOOL, _reads(_url)),),
    "getScheme": (member((URL,), STRING, lambda url: url.scheme),),
    "getHost": (member((URL,), STRING, _host),),
    "getHostname": (member((URL,), STRING, _host_part(1)),),
    "getPort": (member((URL,), STRING, _host_part(2)),),
    "getEscapedPath": (member((URL,), STRING, lambda url: quote(url.path, safe="/%:@&=+$,;~!*'()")),),
    "getQuery": (member((URL,), map_of(STRING, list_of(STRING)), _query),),
    "validate": (member((FORMAT, STRING), optional_of(list_of(STRING)), _validate),),
    "format.named": (function((STRING,), optional_of(FORMAT), _named),),
    **{f"format.{name}": _constant(named) for name, named in _FORMATS.items()},
}
