"""The hash of a KIngress, byte for byte as knative/networking computes it (pkg/ingress, `InsertProbe`).

Clients compute it too and compare: it is the SHA-256 of the spec as Go's encoding/json writes it, followed by
namespace and name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

_Write = Callable[[Any], object]

HTML_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Characters that Go escapes so that JSON may stand in HTML."""


def ingress_hash(spec: Mapping[str, Any], namespace: str, name: str) -> str:
    """Return the hash in lower-case hex."""
    text = json.dumps(_spec(spec), ensure_ascii=False, separators=(",", ":"))
    for char, escape in HTML_ESCAPES.items():
        text = text.replace(char, escape)
    return hashlib.sha256(f"{text}{namespace}{name}".encode()).hexdigest()


def _struct(source: Mapping[str, Any], layout: Mapping[str, tuple[_Write, bool]]) -> dict[str, object]:
    """Return the fields of a Go struct in its order; each entry is (writer, whether empty values are left out)."""
    out: dict[str, object] = {}
    for name, (write, omit_empty) in layout.items():
        value = source.get(name)
        if omit_empty and not value:
            continue
        out[name] = write(value)
    return out


def _list_of(write: _Write) -> _Write:
    return lambda items: None if items is None else [write(item) for item in items]


def _sorted_map(write: _Write) -> _Write:
    return lambda entries: {key: write(entries[key]) for key in sorted(entries, key=str.encode)}


def _same(value: object) -> object:
    return value


def _text(value: object) -> object:
    return value or ""


def _int_or_string(value: object) -> object:
    return 0 if value is None else value


def _split(split: Mapping[str, Any]) -> object:
    return _struct(split, _SPLIT)


def _path(path: Mapping[str, Any]) -> object:
    return _struct(path, _PATH)


def _http(http: Mapping[str, Any]) -> object:
    return _struct(http, {"paths": (_list_of(_path), False)})


def _rule(rule: Mapping[str, Any]) -> object:
    return _struct(rule, _RULE)


def _tls(tls: Mapping[str, Any]) -> object:
    return _struct(tls, _TLS)


def _spec(spec: Mapping[str, Any]) -> object:
    return _struct(spec, _SPEC)


_SPLIT: dict[str, tuple[_Write, bool]] = {
    "serviceNamespace": (_text, False),
    "serviceName": (_text, False),
    "servicePort": (_int_or_string, False),
    "percent": (_same, True),
    "appendHeaders": (_sorted_map(_same), True),
}
_PATH: dict[str, tuple[_Write, bool]] = {
    "path": (_same, True),
    "rewriteHost": (_same, True),
    "headers": (_sorted_map(lambda match: {"exact": match.get("exact", "")}), True),
    "splits": (_list_of(_split), False),
    "appendHeaders": (_sorted_map(_same), True),
}
_RULE: dict[str, tuple[_Write, bool]] = {
    "hosts": (_list_of(_same), True),
    "visibility": (_same, True),
    "http": (_http, True),
}
_TLS: dict[str, tuple[_Write, bool]] = {
    "hosts": (_list_of(_same), True),
    "secretName": (_same, True),
    "secretNamespace": (_same, True),
}
_SPEC: dict[str, tuple[_Write, bool]] = {
    "tls": (_list_of(_tls), True),
    "rules": (_list_of(_rule), True),
    "httpOption": (_same, True),
}
