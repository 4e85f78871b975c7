"""Tables and verdicts: medians of interleaved rounds, the bar beside what was measured."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

RESULTS = Path("benchmarks/results")
Rows = Mapping[str, Mapping[str, list[float]]]
"""Contender -> column -> one figure a round."""


def progress(text: str) -> None:
    """Show what is being measured, on one line of stderr."""
    sys.stderr.write(f"\r{text:78}")
    sys.stderr.flush()


def clear_progress() -> None:
    """Wipe the progress line."""
    sys.stderr.write("\r" + " " * 78 + "\r")


def median(rows: Rows, contender: str, column: str) -> float:
    """Return the median of one column."""
    return statistics.median(rows[contender][column])


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent are not beyond: between two that were measured, never past the greatest.

    Of nothing it is 0, of a single one that.
    """
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def ratio_bar(rows: Rows, column: str, rival: str, bar: float) -> str:
    """Return one line that holds ours against `bar` times the rival's."""
    ratio = median(rows, "eventmesh", column) / median(rows, rival, column)
    return f"  bar: at most {bar:.2f} x {rival}: {ratio:.2f}, {verdict(ratio <= bar)}"


def limit_bar(what: str, value: float, bar: float, unit: str) -> str:
    """Return one line that holds a figure against its limit."""
    return f"  bar: {what} at most {bar:g} {unit}: {value:.2f}, {verdict(value <= bar)}"


def verdict(is_held: bool) -> str:
    """Return the word that ends the line of a bar."""
    return "held" if is_held else "NOT held"


def save(name: str, figures: object) -> None:
    """Keep the figures as JSON under benchmarks/results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1))
