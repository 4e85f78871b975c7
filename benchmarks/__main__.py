"""`python -m benchmarks [SUITE...]`: runs the suites, prints tables, keeps figures in benchmarks/results."""

from __future__ import annotations

import argparse
import sys

from benchmarks import (
    bolt_wire,
    chain,
    cold_start,
    crowd,
    events,
    identity,
    killed_workers,
    kills,
    latency,
    live,
    neighbours,
    route_tables,
    scale,
    scope,
    startup,
    stored,
    warm,
    wire,
)
from benchmarks.contenders import NAMES

SUITES = {
    **{"wire": wire.run, "bolt": bolt_wire.run, "events": events.run, "startup": startup.run, "cold": cold_start.run},
    "latency": latency.run,
    "live": live.run,
    "routes": route_tables.run,
    "neighbours": neighbours.run,
    "scope": scope.run,
    "scale": scale.run,
    "warm": warm.run,
    "chain": chain.run,
    "crowd": crowd.run,
    "stored": stored.run,
    "identity": identity.run,
    "kills": kills.run,
    "workers": killed_workers.run,
}


def main() -> int:
    """Return 0 when every request got its answer; bars are printed, never a test."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of load in each round (default 3)")
    parser.add_argument(
        "--only", default="", help="wire: run the cases whose title contains this; events: the stores whose name does"
    )
    parser.add_argument("--contenders", default=",".join(NAMES), help="wire: comma-separated")
    args = parser.parse_args()
    unknown = [name for name in args.suites if name not in SUITES]
    if unknown:
        parser.error(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    failed = sum(SUITES[name](args) for name in args.suites or SUITES)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
