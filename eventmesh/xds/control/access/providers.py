"""Reads the extension providers of the mesh, whom policies with `action: CUSTOM` name. Pure.

They stand in the ConfigMap `config-mesh` of the mesh's own namespace, under `mesh`, as Istio's MeshConfig has them
(`extensionProviders`). One that is wrong is known as such, and its siblings work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.yaml_file import parse_yaml
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.access.values import ExtensionProvider
from eventmesh.xds.control.field_reader import FieldReader
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE
from eventmesh.xds.translate.authz import MAX_BODY_BYTES, MAX_TIMEOUT_S

CONFIG_MAP: Final = Key(SYSTEM_NAMESPACE, "config-mesh")
_KEY: Final = "mesh"

Providers = Mapping[str, "ExtensionProvider | str"]
"""By name; a text says what is wrong with one."""

MAX_LENGTH: Final = 262_144
"""Characters of the longest text that is parsed; what Kubernetes stores is bounded at four times as much."""
MAX_PROVIDERS: Final = 64
"""Istio's users have one or two; each is two filters in the chain of every workload that it is asked about."""
MAX_HEADERS: Final = 64
"""Of one list: each is compared with every header of a request."""
DEFAULT_TIMEOUT_S: Final = 10
"""Istio's 600 s would let a service that hangs collect the requests of a whole mesh."""

_NAME: Final = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,251}[A-Za-z0-9])?")
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SERVICE: Final = re.compile(rf"(?:({_LABEL})/)?({_LABEL})\.({_LABEL})\.svc(?:\.[-.a-z0-9]{{1,253}})?")
_HEADER: Final = re.compile(r"\*?[-!#$%&'+.^_`|~0-9A-Za-z]{1,256}\*?")
_TOKEN: Final = re.compile(r"[-!#$%&'+.^_`|~0-9A-Za-z]{1,256}")
_VALUE: Final = re.compile(r"[\t -~]{0,1024}")
_STATUS: Final = re.compile(r"[1-5][0-9]{2}")
_PREFIX: Final = re.compile(r"/[-._~!$&'()*+,;=:@%/A-Za-z0-9]{0,1023}")

_GRPC, _HTTP = "envoyExtAuthzGrpc", "envoyExtAuthzHttp"
_COMMON: Final = frozenset({"service", "port", "timeout", "failOpen", "statusOnError", "includeRequestBodyInCheck"})
_TOLD: Final = {
    "headersToUpstreamOnAllow": "allowed_upstream_headers",
    "headersToDownstreamOnDeny": "allowed_client_headers",
    "headersToDownstreamOnAllow": "allowed_client_headers_on_success",
}
_IN_CHECK, _ADDED = "includeRequestHeadersInCheck", "includeAdditionalHeadersInCheck"
_BY_HTTP: Final = _COMMON | _TOLD.keys() | {"pathPrefix", _IN_CHECK, _ADDED}
_BODY: Final = {
    "maxRequestBytes": "max_request_bytes",
    "allowPartialMessage": "allow_partial_message",
    "packAsBytes": "pack_as_bytes",
}


def read_providers(data: Mapping[str, str]) -> Providers:
    """Return the providers in the `data` of the ConfigMap. Raises ConfigError when it cannot be told who they are."""
    text = data.get(_KEY, "")
    if len(text) > MAX_LENGTH:
        raise ConfigError(_KEY, f"{len(text)} characters are more than {MAX_LENGTH}")
    if unknown := sorted(name for name in data.keys() - {_KEY} if not name.startswith("_")):
        raise ConfigError(unknown[0], f"there is no such key; known is {_KEY}")
    settings = parse_yaml(text, _KEY) if text.strip() else {}
    if not isinstance(settings, dict):
        raise ConfigError(_KEY, "expected an object with extensionProviders")
    if unknown := sorted(settings.keys() - {"extensionProviders"}):
        raise ConfigError(f"{_KEY}.{unknown[0]}", "is not supported; extensionProviders is")
    listed = settings.get("extensionProviders") or []
    at = f"{_KEY}.extensionProviders"
    if not isinstance(listed, list) or len(listed) > MAX_PROVIDERS:
        raise ConfigError(at, f"expected a list of at most {MAX_PROVIDERS}")
    found: dict[str, ExtensionProvider | str] = {}
    for number, item in enumerate(listed):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise ConfigError(f"{at}[{number}].name", f"{name!r} does not match {_NAME.pattern}")
        if name in found:
            raise ConfigError(f"{at}[{number}].name", f"{name!r} is there twice")
        found[name] = _provider(item, name)
    return found


def _provider(item: Mapping[str, Any], name: str) -> ExtensionProvider | str:
    read = FieldReader()
    read.members(item, name, frozenset({"name", _GRPC, _HTTP}))
    if (_GRPC in item) == (_HTTP in item):
        read.wrong(name, f"give one of {_GRPC} and {_HTTP}")
    kind = _GRPC if _GRPC in item else _HTTP
    terms = read.mapping(item, kind, name, _COMMON if kind == _GRPC else _BY_HTTP)
    at = f"{name}.{kind}"
    service, host = _service(read, terms, at)
    made = ExtensionProvider(
        name=name,
        service=service,
        port=read.count(terms, "port", at, 1, 65_535) or 0,
        speaks_grpc=kind == _GRPC,
        host=host,
        timeout=_timeout(read, terms, at),
        by=_by_http(read, terms, at) if kind == _HTTP else {},
        terms=_terms(read, terms, at),
    )
    if "port" not in terms:
        read.wrong(f"{at}.port", "missing")
    return "; ".join(map(str, read.errors)) if read.errors else made


def _service(read: FieldReader, terms: Mapping[str, Any], at: str) -> tuple[Key, str]:
    text = terms.get("service")
    found = _SERVICE.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[1] not in (None, found[3]):
        read.wrong(f"{at}.service", f"{text!r} is not NAME.NAMESPACE.svc.cluster.local, perhaps behind NAMESPACE/")
        return Key("", ""), ""
    return Key(found[3], found[2]), found[0].rpartition("/")[2]


def _timeout(read: FieldReader, terms: Mapping[str, Any], at: str) -> str:
    seconds = read.seconds(terms, "timeout", at)
    if seconds is not None and seconds > MAX_TIMEOUT_S:
        read.wrong(f"{at}.timeout", f"{terms['timeout']} is longer than {MAX_TIMEOUT_S:g}s: the caller waits meanwhile")
    # Whole milliseconds: protobuf's JSON knows no exponents.
    return f"{DEFAULT_TIMEOUT_S if seconds is None else max(seconds, 0.001):.3f}s"


def _terms(read: FieldReader, terms: Mapping[str, Any], at: str) -> Object:
    made: Object = {"failure_mode_allow": _flag(read, terms, "failOpen", at)}
    if terms.get("statusOnError"):
        made["status_on_error"] = {"code": int(read.text(terms, "statusOnError", at, _STATUS, needed=False) or 0)}
    if terms.get("includeRequestBodyInCheck") is not None:
        path = f"{at}.includeRequestBodyInCheck"
        body = read.mapping(terms, "includeRequestBodyInCheck", at, frozenset(_BODY))
        most = read.count(body, "maxRequestBytes", path, 1, MAX_BODY_BYTES)
        if "maxRequestBytes" not in body:
            read.wrong(f"{path}.maxRequestBytes", "missing")
        flags = {_BODY[name]: _flag(read, body, name, path) for name in ("allowPartialMessage", "packAsBytes")}
        made["with_request_body"] = {"max_request_bytes": most, **flags}
    if shown := _headers(read, terms, _IN_CHECK, at):
        made["allowed_headers"] = {"patterns": shown}
    return made


def _by_http(read: FieldReader, terms: Mapping[str, Any], at: str) -> Object:
    made: Object = {}
    if prefix := read.text(terms, "pathPrefix", at, _PREFIX, needed=False):
        made["path_prefix"] = prefix
    told = {field: _headers(read, terms, name, at) for name, field in _TOLD.items()}
    if any(told.values()):
        made["authorization_response"] = {field: {"patterns": found} for field, found in told.items() if found}
    added = terms.get(_ADDED) or {}
    if not isinstance(added, dict) or len(added) > MAX_HEADERS:
        read.wrong(f"{at}.{_ADDED}", f"expected at most {MAX_HEADERS} texts by name")
        added = {}
    for name in added:
        if _TOKEN.fullmatch(name) is None:
            read.wrong(f"{at}.{_ADDED}", f"{name!r} is no name of a header")
        read.text(added, name, f"{at}.{_ADDED}", _VALUE, needed=True)
    if added:
        pairs = [{"key": name, "value": value} for name, value in added.items()]
        made["authorization_request"] = {"headers_to_add": pairs}
    return made


def _headers(read: FieldReader, terms: Mapping[str, Any], name: str, at: str) -> list[Object]:
    listed = terms.get(name) or []
    if not isinstance(listed, list) or len(listed) > MAX_HEADERS:
        read.wrong(f"{at}.{name}", f"expected a list of at most {MAX_HEADERS} names")
        return []
    found: list[Object] = []
    for number, value in enumerate(listed):
        if not isinstance(value, str) or _HEADER.fullmatch(value) is None or value[:1] == value[-1:] == "*":
            read.wrong(f"{at}.{name}[{number}]", f"{value!r} is no name of a header, perhaps with a * at one end")
        elif value.startswith("*"):
            found.append({"suffix": value[1:], "ignore_case": True})
        else:
            how = "prefix" if value.endswith("*") else "exact"
            found.append({how: value.removesuffix("*"), "ignore_case": True})
    return found


def _flag(read: FieldReader, terms: Mapping[str, Any], name: str, at: str) -> bool:
    value = terms.get(name, False)
    if not isinstance(value, bool):
        read.wrong(f"{at}.{name}", f"{value!r} is neither true nor false")
    return value is True
