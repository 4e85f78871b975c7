"""The part of Kubernetes' JSONPath that CRD columns and scale paths use.

`.a.b`, `.a['b\\.c']`, `.a.b\\.c`, `[0]`, `[*]`, and filters `[?(@.type=='Ready')]` / `[?(@.type=="Ready")]`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

MAX_PATH_CHARS = 1024
"""Column paths of real CRDs stay below 100 characters."""

_FILTER = re.compile(r"""\[\?\(\s*@\.(?P<field>[\w.-]+)\s*==\s*(?P<quote>['"])(?P<value>.*?)(?P=quote)\s*\)\]""")
_QUOTED = re.compile(r"""\[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]""")
_INDEX = re.compile(r"\[(?P<index>\*|-?\d+)\]")
_FIELD = re.compile(r"\.?(?P<field>(?:\\.|[^.\[\]\\])+)")


@frozen
class Field:
    """Step into a mapping."""

    name: str


@frozen
class Index:
    """Step into a list; None = every item."""

    at: int | None


@frozen
class Filter:
    """Keep the items of a list whose field has a value."""

    field: str
    value: str


Step = Field | Index | Filter


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """Return the steps of `path`; raises ConfigError naming what cannot be read."""
    if len(path) > MAX_PATH_CHARS:
        raise ConfigError("jsonPath", f"is longer than {MAX_PATH_CHARS} characters")
    rest = path.removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    while rest:
        if found := _FILTER.match(rest):
            steps.append(Filter(found["field"], found["value"]))
        elif found := _QUOTED.match(rest):
            steps.append(Field(found["key"].replace("\\.", ".")))
        elif found := _INDEX.match(rest):
            steps.append(Index(None if found["index"] == "*" else int(found["index"])))
        elif found := _FIELD.match(rest):
            steps.append(Field(re.sub(r"\\(.)", r"\1", found["field"])))
        else:
            raise ConfigError("jsonPath", f"cannot read {rest!r} in {path!r}")
        rest = rest[found.end() :]
    return tuple(steps)


def find(obj: Any, path: str) -> list[Any]:
    """Return every value at `path` in `obj`; empty when there is none."""
    values = [obj]
    for step in parse(path):
        values = [found for value in values for found in _step(value, step)]
    return values


def first(obj: Any, path: str) -> Any:
    """Return the first value at `path`, or None."""
    return next(iter(find(obj, path)), None)


def _step(value: Any, step: Step) -> list[Any]:
    match step, value:
        case Field(name), dict():
            return [value[name]] if name in value else []
        case Index(None), list():
            return value
        case Index(int(at)), list():
            return [value[at]] if -len(value) <= at < len(value) else []
        case Filter(field, wanted), list():
            return [item for item in value if str(first(item, f".{field}")) == wanted]
        case _:
            return []


def replace(obj: dict[str, Any], path: str, value: Any) -> None:
    """Set the field at `path` (fields only) in `obj`, making the mappings on the way."""
    *parents, last = parse(path)
    target = obj
    for step in parents:
        if not isinstance(step, Field):
            raise ConfigError("jsonPath", f"{path!r} cannot be written: only fields may be named")
        target = target.setdefault(step.name, {})
    if not isinstance(last, Field):
        raise ConfigError("jsonPath", f"{path!r} cannot be written: only fields may be named")
    target[last.name] = value
