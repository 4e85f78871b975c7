"""Where a rule says that the fault is (`fieldPath`), and how the path of a value is spelt."""

from __future__ import annotations

import re
from typing import Final

from eventmesh.cluster.api.structural import Schema

_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]']+)|\['(?P<key>(?:\\.|[^'\\])*)'\]")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), "'": "'", "\\": "\\"}


def join(path: str, name: str) -> str:
    """Return the path of a field of the object at `path`."""
    return f"{path}.{name}" if path else name


def key(path: str, name: str) -> str:
    """Return the path of an entry of the map at `path`."""
    return f"{path}[{name}]"


def field_path(said: str, schema: Schema) -> str | None:
    """Return the path that a rule says so (`.spec.name`, `.spec['a-b']`), as causes spell it.

    None when it leads to no field or map entry of `schema`.
    """
    at, path = 0, ""
    while at < len(said):
        found = _STEP.match(said, at)
        name = _named(found) if found else None
        if found is None or name is None:
            return None
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        if isinstance(properties, dict) and name in properties:
            schema, path = properties[name], join(path, name)
        elif not properties and isinstance(additional, dict):
            schema, path = additional, key(path, name)
        else:
            return None
        at = found.end()
    return path


def _named(step: re.Match[str]) -> str | None:
    if step["name"] is not None:
        return step["name"]
    if any(letter not in _ESCAPED for letter in _ESCAPE.findall(step["key"])):
        return None
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], step["key"])
