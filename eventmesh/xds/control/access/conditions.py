"""What rules ask, in Istio's words, as permissions and principals of Envoy. Pure.

Values are texts that a `*` at either end makes a suffix or a prefix; alone it means that there is something. Source:
Istio's security.istio.io/v1, AuthorizationPolicy, `Source`, `Operation` and `Condition`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network

from eventmesh.kube.api import Object
from eventmesh.model.jwt import NAMESPACE

PAYLOAD = "payload"
"""Key under which the payload of a token is noted."""

Make = Callable[[str], Object]
"""Makes a principal or a permission of a value; raises ValueError, which says what is wrong with it."""


def matcher(value: str, before: str = "") -> Object:
    """Return a `StringMatcher`; `before` stands before every value that is compared from its beginning."""
    if value == "*":
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"suffix": value[1:]}
    if value.endswith("*"):
        return {"prefix": before + value[:-1]}
    return {"exact": before + value}


def principal(value: str) -> Object:
    """A workload, as `cluster.local/ns/NAMESPACE/sa/ACCOUNT`."""
    return {"authenticated": {"principal_name": matcher(value, "spiffe://")}}


def namespace(value: str) -> Object:
    """The workloads of a namespace."""
    wanted = re.escape(value).replace(r"\*", ".*")
    return {"authenticated": {"principal_name": {"safe_regex": {"regex": f".*/ns/{wanted}/.*"}}}}


def claim(path: tuple[str, ...], value: str) -> Object:
    """A claim of a verified token: a text, or a list with such a member."""
    text: Object = {"string_match": matcher(value)}
    either: Object = {"or_match": {"value_matchers": [text, {"list_match": {"one_of": text}}]}}
    keys = [{"key": key} for key in (PAYLOAD, *path)]
    return {"metadata": {"filter": NAMESPACE, "path": keys, "value": either}}


def request_principal(value: str) -> Object:
    """The bearer of a verified token, as `ISSUER/SUBJECT`, where either may be `*`; `*` alone is any."""
    issuer, slash, subject = value.rpartition("/")
    if value != "*" and (not slash or not issuer or not subject):
        raise ValueError(f"{value!r} is not ISSUER/SUBJECT")
    return {"and_ids": {"ids": [claim(("iss",), issuer or "*"), claim(("sub",), subject)]}}


def network(field: str) -> Make:
    """Return what makes a principal or permission of an address, or of a network of addresses."""

    def make(value: str) -> Object:
        found = ip_network(value, strict=False)
        return {field: {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}}

    return make


def header(name: str, *, ignore_case: bool = False) -> Make:
    """Return what makes a condition on a header."""

    def make(value: str) -> Object:
        if value == "*":
            return {"header": {"name": name, "present_match": True}}
        text = matcher(value) | ({"ignore_case": True} if ignore_case else {})
        return {"header": {"name": name, "string_match": text}}

    return make


def path(value: str) -> Object:
    """The path of a request, without its query."""
    return {"url_path": {"path": matcher(value)}}


def port(value: str) -> Object:
    """The port at which the workload's sidecar listens."""
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise ValueError(f"{value!r} is no port")
    return {"destination_port": int(value)}


SOURCES: dict[str, Make] = {
    "principals": principal,
    "requestPrincipals": request_principal,
    "namespaces": namespace,
    "ipBlocks": network("direct_remote_ip"),
    "remoteIpBlocks": network("remote_ip"),
}
OPERATIONS: dict[str, Make] = {
    "hosts": header(":authority", ignore_case=True),
    "ports": port,
    "methods": header(":method"),
    "paths": path,
}
_KEYS: dict[str, Make] = {
    "source.ip": network("direct_remote_ip"),
    "remote.ip": network("remote_ip"),
    "source.namespace": namespace,
    "source.principal": principal,
    "request.auth.principal": request_principal,
    "request.auth.audiences": lambda value: claim(("aud",), value),
    "request.auth.presenter": lambda value: claim(("azp",), value),
}
KEYS = (*_KEYS, "request.headers[NAME]", "request.auth.claims[NAME]...")
"""What `when` may be about."""

_HEADER = re.compile(r"request\.headers\[([-!#$%&'*+.^_`|~0-9A-Za-z]+)\]")
_CLAIM = re.compile(r"request\.auth\.claims((?:\[[^\[\]]+\])+)")


def by_key(key: str) -> Make | None:
    """Return what makes a principal of the values of a `when`; None for a key that there is not."""
    if (named := _HEADER.fullmatch(key)) is not None:
        return header(named[1].lower())
    if (claimed := _CLAIM.fullmatch(key)) is not None:
        way = tuple(claimed[1][1:-1].split("]["))
        return lambda value: claim(way, value)
    return _KEYS.get(key)
