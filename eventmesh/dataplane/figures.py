"""What processes have counted, and the sum over several of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from eventmesh.base.frozen import frozen


@frozen
class Figures:
    """What one process has counted, or several together."""

    engine: bytes
    """As `Engine.stats` gives it."""
    own: tuple[tuple[str, int], ...] = ()
    """What happened outside the engine, by the counter's name."""


NOTHING: Final = Figures(b'{"counters": [], "gauges": [], "histograms": []}')


def total(parts: Iterable[Figures]) -> Figures:
    """Return the sums of what is counted and of what is, and the histograms put together."""
    own: Counter[str] = Counter()
    flat: dict[str, dict[tuple[str, str], list[Any]]] = {"counters": {}, "gauges": {}}
    histograms: dict[tuple[str, str], list[Any]] = {}
    for part in parts:
        own.update(dict(part.own))
        tree = json.loads(part.engine)
        for kind, known in flat.items():
            for row in tree[kind]:
                if (sum_row := known.setdefault(_key(row), row)) is not row:
                    sum_row[2] += row[2]
        for row in tree["histograms"]:
            if (sum_row := histograms.setdefault(_key(row), row)) is not row:
                if [bound for bound, _ in sum_row[2]] != [bound for bound, _ in row[2]]:
                    # Of a predecessor of another version: these cannot be added, and what is newer stands.
                    histograms[_key(row)] = row
                    continue
                sum_row[2] = [[bound, a + b] for (bound, a), (_, b) in zip(sum_row[2], row[2], strict=True)]
                sum_row[3:] = [a + b for a, b in zip(sum_row[3:], row[3:], strict=True)]
    tree = {kind: list(rows.values()) for kind, rows in flat.items()} | {"histograms": list(histograms.values())}
    return Figures(json.dumps(tree).encode(), tuple(own.items()))


def outlasting(part: Figures) -> Figures:
    """Return what stays true of a process that has ended: all that it counted, and nothing that it held."""
    return Figures(json.dumps(json.loads(part.engine) | {"gauges": []}).encode(), part.own)


def to_document(figures: Figures) -> dict[str, object]:
    """Return figures as JSON, for a process of perhaps another version."""
    return {"engine": json.loads(figures.engine), "own": dict(figures.own)}


def from_document(document: Any) -> Figures:
    """Return what `to_document` has made. Raises ValueError for what cannot be understood."""
    try:
        own = tuple((str(name), int(value)) for name, value in document["own"].items())
        return total([Figures(json.dumps(document["engine"]).encode(), own)])
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"no figures: {error!r}") from error


def _key(row: list[Any]) -> tuple[str, str]:
    return row[0], json.dumps(row[1], sort_keys=True)
