"""The Go templates of names that config-network holds: the few actions that Knative's are used for."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"\.(\w+)")
_INDEX = re.compile(r"index \.(Annotations|Labels) \"([^\"]*)\"")


def expand(
    template: str,
    names: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Return a Go template of names filled in; raises ValueError for an action it does not know.

    Known are the fields of `names` and `index .Annotations "key"` or `index .Labels "key"`, which is what
    Knative's templates are used for.
    """
    maps = {"Annotations": annotations or {}, "Labels": labels or {}}

    def action(found: re.Match[str]) -> str:
        if (field_name := _FIELD.fullmatch(found[1])) and field_name[1] in names:
            return names[field_name[1]]
        if index := _INDEX.fullmatch(found[1]):
            return maps[index[1]].get(index[2], "")
        raise ValueError(f"unknown action {found[0]!r}: use " + ", ".join(f"{{{{.{name}}}}}" for name in names))

    text = _ACTION.sub(action, template)
    if "{{" in text:
        raise ValueError(f"an action is not closed in {template!r}")
    return text
