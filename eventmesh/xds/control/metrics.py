"""What control counts about itself, in Prometheus text: publications, pushes, refusals, and how long each takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram's buckets: a push takes a millisecond, a client that is given up 5 s."""


@dataclass(slots=True)
class Histogram:
    """Seconds, counted by size."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    total: int = 0
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.total += 1
        self.sum_s += seconds
        for at, bound in enumerate(BOUNDS_S):
            if seconds <= bound:
                self.counts[at] += 1

    def lines(self, name: str) -> Iterator[str]:
        """Yield the samples of the family `name`."""
        yield f"# TYPE {name} histogram"
        for bound, count in zip(BOUNDS_S, self.counts, strict=True):
            yield f'{name}_bucket{{le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{le="+Inf"}} {self.total}'
        yield f"{name}_sum {self.sum_s:.6f}"
        yield f"{name}_count {self.total}"


@dataclass(slots=True)
class Metrics:
    """All that one control process counts."""

    build: Histogram = field(default_factory=Histogram)
    """From a view of objects to resources for everybody."""
    push: Histogram = field(default_factory=Histogram)
    """From a change of what a client shall have to the response that says it."""
    convergence: Histogram = field(default_factory=Histogram)
    """From a change of what a client shall have to its acknowledgement of all of it."""
    publications: Counter[str] = field(default_factory=Counter)
    """By how much was built: `endpoints`, `everything`."""
    pushes: Counter[str] = field(default_factory=Counter)
    """Responses by type."""
    refusals: Counter[str] = field(default_factory=Counter)
    """NACKs by type."""
    renewals: int = 0
    """Certificates of workloads that have been replaced."""
    certified: int = 0
    """Signing requests of workloads that have been answered with a certificate."""
    uncertified: Counter[str] = field(default_factory=Counter)
    """Those that have been refused, by the word for why."""

    def render(self, streams: Mapping[str, int], gauges: Mapping[str, float]) -> str:
        """Return everything; `streams` counts the open ones by role, `gauges` are further values of this moment."""
        lines = [
            *_counter("eventmesh_control_publications_total", "what", self.publications),
            *_counter("eventmesh_control_pushes_total", "type", self.pushes),
            *_counter("eventmesh_control_nacks_total", "type", self.refusals),
            "# TYPE eventmesh_control_certificate_renewals_total counter",
            f"eventmesh_control_certificate_renewals_total {self.renewals}",
            "# TYPE eventmesh_control_certificate_requests_total counter",
            f"eventmesh_control_certificate_requests_total {self.certified + self.uncertified.total()}",
            *_counter("eventmesh_control_certificate_requests_refused_total", "reason", self.uncertified),
            "# TYPE eventmesh_control_streams gauge",
            *(f'eventmesh_control_streams{{role="{role}"}} {count}' for role, count in sorted(streams.items())),
        ]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE eventmesh_control_{name} gauge", f"eventmesh_control_{name} {value:g}"]
        lines += self.build.lines("eventmesh_control_build_seconds")
        lines += self.push.lines("eventmesh_control_push_seconds")
        lines += self.convergence.lines("eventmesh_control_convergence_seconds")
        return "\n".join(lines) + "\n"


def _counter(name: str, label: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"# TYPE {name} counter"
    for value, count in sorted(counts.items()):
        yield f'{name}{{{label}="{value}"}} {count}'
