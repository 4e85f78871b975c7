"""Why a Trigger's filter lets an event pass, or not: the parts that decided, with their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters.compile import compile_filter, compile_trigger_filter

SHOWN = 80
"""Characters of an attribute that are quoted."""


@frozen
class Finding:
    """A part of a filter that decided."""

    path: str
    """Where it stands: `spec.filters[1].any[0].exact.type`."""
    holds: bool
    """What the part says by itself, whatever a `not` around it makes of it."""
    reason: str
    text: str = ""
    """Of CESQL: the sub-expression."""
    line: int = 0
    column: int = 0
    """Of CESQL: where the sub-expression begins, from 1."""


@frozen
class Explanation:
    """Whether an event passes, and why."""

    passes: bool
    findings: tuple[Finding, ...]


def explain(spec: Mapping[str, Any], event: Event) -> Explanation:
    """Return why the filter of a Trigger's `spec` lets `event` pass, or not.

    Raises FilterError as `compile_trigger_filter` does: what is explained is what would be applied.
    """
    passes = compile_trigger_filter(spec)(event)
    filters = spec.get("filters")
    if filters:
        return Explanation(passes, tuple(_all(filters, "spec.filters", event)))
    wanted = (spec.get("filter") or {}).get("attributes")
    if wanted:
        return Explanation(passes, tuple(_pairs(wanted, "spec.filter.attributes", event, _legacy)))
    return Explanation(passes, (Finding("spec", True, "without a filter every event passes"),))


def _all(filters: list[Any], path: str, event: Event) -> Iterator[Finding]:
    """Yield what the first that does not pass says; if all pass, what all say."""
    for at, entry in enumerate(filters):
        if not _passes(entry, event):
            yield from _one(entry, f"{path}[{at}]", event)
            return
    for at, entry in enumerate(filters):
        yield from _one(entry, f"{path}[{at}]", event)


def _any(filters: list[Any], path: str, event: Event) -> Iterator[Finding]:
    """Yield what the first that passes says; if none does, what all say."""
    for at, entry in enumerate(filters):
        if _passes(entry, event):
            yield from _one(entry, f"{path}[{at}]", event)
            return
    for at, entry in enumerate(filters):
        yield from _one(entry, f"{path}[{at}]", event)


def _passes(entry: Any, event: Event) -> bool:
    return compile_filter(entry)(event)


def _one(entry: Mapping[str, Any], path: str, event: Event) -> Iterator[Finding]:
    ((dialect, argument),) = entry.items()
    below = f"{path}.{dialect}"
    match dialect:
        case "all":
            yield from _all(argument, below, event)
        case "any":
            yield from _any(argument, below, event)
        case "not":
            yield from _one(argument, below, event)
        case "cesql":
            yield from _cesql(argument, below, event)
        case _:
            yield from _pairs(argument, below, event, _COMPARISONS[dialect])


def _cesql(text: str, path: str, event: Event) -> Iterator[Finding]:
    # The grammar library is imported only where an expression is.
    from eventmesh.cloudevents.cesql.explain import explain as explain_cesql

    told = explain_cesql(text, event)
    for part in told.decisions:
        yield Finding(path, told.passes, part.reason, part.text, part.line, part.column)


Comparison = tuple[Callable[[str, str], bool], str, str]
"""Whether it holds, and how that and the opposite are told."""

_COMPARISONS: Mapping[str, Comparison] = {
    "exact": (lambda text, value: text == value, "is", "is not"),
    "prefix": (str.startswith, "begins with", "does not begin with"),
    "suffix": (str.endswith, "ends with", "does not end with"),
}
_legacy: Comparison = (lambda text, value: text == value if value else text != "", "is", "is not")


def _pairs(wanted: Mapping[str, str], path: str, event: Event, comparison: Comparison) -> Iterator[Finding]:
    """Yield the first pair that does not hold; if all hold, all of them."""
    holds, positive, negative = comparison
    found = []
    for name, value in wanted.items():
        if name not in event.attributes:
            yield Finding(f"{path}.{name}", False, f"the event has no attribute {name}")
            return
        text = event.text(name)
        if not holds(text, value):
            yield Finding(f"{path}.{name}", False, f"{name} is {_quoted(text)}, which {negative} {_quoted(value)}")
            return
        told = (
            f"{name} is {_quoted(text)}"
            if text == value or not value
            else (f"{name} is {_quoted(text)}, which {positive} {_quoted(value)}")
        )
        found.append(Finding(f"{path}.{name}", True, told))
    yield from found


def _quoted(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
