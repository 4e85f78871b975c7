"""Values in the ConfigMaps of Serving, read as Serving reads them and refused in its words.

Each reader takes the data of a map and returns the value of a key, or the default when the key is absent; it raises
ConfigError naming map and key (knative.dev/pkg/configmap/parse.go, and Go's own parsers behind it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from eventmesh.base.durations import parse_go
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.kube.quantity import parse_quantity

DISABLED = "disabled"
RESOURCE_KINDS = ("cpu", "memory", "ephemeral-storage")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_QUANTITY_FORM = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"


@frozen
class ConfigData:
    """The data of one ConfigMap."""

    source: str
    """The name of the map."""
    values: Mapping[str, str]

    def refused(self, key: str, problem: str) -> ConfigError:
        """Return the error about the value of `key`."""
        return ConfigError(f"{self.source}.{key}", problem)

    def text(self, key: str, default: str, *older: str) -> str:
        """Return a text; `older` are spellings of the key that still count, the newer one wins."""
        return next((self.values[name] for name in (key, *older) if name in self.values), default)

    def integer(self, key: str, default: int) -> int:
        """Return a whole number."""
        text = self.values.get(key)
        if text is None:
            return default
        if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII):
            raise self.refused(key, f'failed to parse "{key}": strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    def flag(self, key: str, default: bool) -> bool:
        """Return a truth value, in any of Go's spellings."""
        text = self.values.get(key)
        if text is None:
            return default
        if text not in _TRUE | _FALSE:
            raise self.refused(key, f'strconv.ParseBool: parsing "{text}": invalid syntax')
        return text in _TRUE

    def duration_s(self, key: str, default: float) -> float:
        """Return the seconds of a Go duration."""
        text = self.values.get(key)
        if text is None:
            return default
        try:
            return parse_go(text)
        except ValueError:
            raise self.refused(key, f'failed to parse "{key}": time: invalid duration "{text}"') from None

    def quantity(self, key: str, *older: str) -> str | None:
        """Return a Kubernetes quantity as it was written; None when there is none."""
        name = next((name for name in (key, *older) if name in self.values), None)
        if name is None:
            return None
        try:
            parse_quantity(self.values[name])
        except ValueError:
            form = f"quantities must match the regular expression '{_QUANTITY_FORM}'"
            raise self.refused(name, f'failed to parse "{name}": {form}') from None
        return self.values[name]

    def quantities(self, prefix: str, *older_prefixes: str) -> dict[str, dict[str, str]]:
        """Return `requests` and `limits` from keys such as `PREFIX-cpu-request`."""
        found: dict[str, dict[str, str]] = {}
        for kind in RESOURCE_KINDS:
            for bound in ("request", "limit"):
                older = (f"{old}{_camel(kind)}{bound.capitalize()}" for old in older_prefixes)
                quantity = self.quantity(f"{prefix}-{kind}-{bound}", *older)
                if quantity is not None:
                    found.setdefault(f"{bound}s", {})[kind] = quantity
        return found

    def limit_s(self, key: str, default: float | None) -> float | None:
        """Return the seconds of a duration that may be `disabled`; None then."""
        text = self.values.get(key, "")
        if not text or text.lower() == DISABLED:
            return None if text else default
        try:
            seconds = parse_go(text)
        except ValueError:
            raise self.refused(key, f'failed to parse {key}: time: invalid duration "{text}"') from None
        if seconds < 0:
            raise self.refused(key, f"failed to parse {key}: must be non-negative")
        return seconds

    def limit(self, key: str, default: int | None) -> int | None:
        """Return a whole number, at least 0, that may be `disabled`; None then."""
        text = self.values.get(key, "")
        if not text or text.lower() == DISABLED:
            return None if text else default
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
            raise self.refused(key, f'failed to parse {key}: strconv.ParseUint: parsing "{text}": invalid syntax')
        return int(text)


def out_of_bounds(value: int, low: int, high: int, key: str) -> str:
    """Return Serving's words for a number outside its range."""
    return f"expected {low} <= {value} <= {high}: {key}"


def _camel(kind: str) -> str:
    return "CPU" if kind == "cpu" else "".join(part.capitalize() for part in kind.split("-"))
