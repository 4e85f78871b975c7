"""The engine's counters in the formats of Envoy's admin port: Prometheus text (exposition format 0.0.4) and plain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from eventmesh.base.errors import MeshError

if TYPE_CHECKING:
    from eventmesh.base.metrics import Statistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Labels = Mapping[str, str]


class MalformedStats(MeshError):
    """The engine's statistics are not what `Engine.stats` promises: core and Python are of different versions."""


def render(stats: bytes, *more: Statistics) -> str:
    """Return `Engine.stats` as Prometheus text, and `more` with it; each family with one TYPE line."""
    tree = _load(stats, more)
    lines: list[str] = []
    for kind, group in (("counter", "counters"), ("gauge", "gauges")):
        last = ""
        for name, labels, value in _samples(tree, group):
            if name != last:
                lines.append(f"# TYPE {name} {kind}")
                last = name
            lines.append(f"{name}{_braces(labels)} {_number(value)}")
    lines.extend(_histogram_lines(tree))
    lines.append("")
    return "\n".join(lines)


def render_plain(stats: bytes, *more: Statistics) -> str:
    """Return counters, gauges and histogram totals as `name{labels}: value` lines, sorted as Envoy's `/stats` is."""
    tree = _load(stats, more)
    lines = [
        f"{name}{_braces(labels)}: {_number(value)}"
        for group in ("counters", "gauges")
        for name, labels, value in _samples(tree, group)
    ]
    lines += [
        f"{name}{_braces(labels)}: count={count} sum={_number(total)}"
        for name, labels, _, total, count in _histograms(tree)
    ]
    return "\n".join(sorted(lines)) + "\n"


def render_json(stats: bytes, own: Sequence[tuple[str, int]], *more: Statistics) -> str:
    """Return counters and gauges, and `own`, as Envoy's `/stats?format=json` does: a list `stats` of names and values.

    Labels stand in the name, as in `render_plain`.
    """
    tree = _load(stats, more)
    rows = [
        {"name": f"{name}{_braces(labels)}", "value": int(value) if value == int(value) else value}
        for group in ("counters", "gauges")
        for name, labels, value in _samples(tree, group)
    ]
    rows += [{"name": name, "value": value} for name, value in own]
    return json.dumps({"stats": sorted(rows, key=lambda row: str(row["name"]))}, indent=1)


def _load(stats: bytes, more: Sequence[Statistics]) -> Mapping[str, list[list[object]]]:
    tree = json.loads(stats)
    if not isinstance(tree, dict):
        raise MalformedStats("engine statistics are not an object")
    return {
        "counters": [*tree.get("counters", ()), *(row for group in more for row in group.counters)],
        "gauges": [*tree.get("gauges", ()), *(row for group in more for row in group.gauges)],
        "histograms": [*tree.get("histograms", ()), *(row for group in more for row in group.histograms)],
    }


def _samples(tree: Mapping[str, list[list[object]]], group: str) -> Iterator[tuple[str, _Labels, float]]:
    rows = sorted(tree.get(group, []), key=lambda row: str(row[0]))
    for row in rows:
        match row:
            case [str(name), dict(labels), int() | float() as value]:
                yield name, labels, value
            case _:
                raise MalformedStats(f"engine statistics hold an odd {group} row: {row}")


def _histograms(
    tree: Mapping[str, list[list[object]]],
) -> Iterator[tuple[str, _Labels, list[tuple[float, int]], float, int]]:
    for row in sorted(tree.get("histograms", []), key=lambda row: str(row[0])):
        match row:
            case [str(name), dict(labels), list(buckets), int() | float() as total, int(count)]:
                yield name, labels, [(float(bound), int(reached)) for bound, reached in buckets], total, count
            case _:
                raise MalformedStats(f"engine statistics hold an odd histogram: {row}")


def _histogram_lines(tree: Mapping[str, list[list[object]]]) -> Iterator[str]:
    last = ""
    for name, labels, buckets, total, count in _histograms(tree):
        if name != last:
            yield f"# TYPE {name} histogram"
            last = name
        for bound, reached in buckets:
            yield f"{name}_bucket{_braces({**labels, 'le': _number(bound)})} {reached}"
        yield f"{name}_bucket{_braces({**labels, 'le': '+Inf'})} {count}"
        yield f"{name}_sum{_braces(labels)} {_number(total)}"
        yield f"{name}_count{_braces(labels)} {count}"


def _braces(labels: _Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return "{" + pairs + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
