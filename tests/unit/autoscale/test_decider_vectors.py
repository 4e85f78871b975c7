"""Ten thousand decisions of Serving's own autoscaler (`tools/decider-vectors`), made again without a difference."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.decider import Load, decide, initial_state
from eventmesh.autoscale.spec import spec_of

VECTORS = Path(__file__).parents[2] / "vectors" / "decider.json"
PLAIN = spec_of({}, AutoscalerConfig(), 0, reachable=True)


def test_every_decision_of_servings_autoscaler_is_ours() -> None:
    histories: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    decided = 0
    for number, history in enumerate(histories):
        steps, ready_at_start = history.pop("steps"), history.pop("ready_at_start")
        spec = dataclasses.replace(PLAIN, **history)
        state = initial_state(ready_at_start, 0.0)
        for now, stable, panic, ready, desired, excess in steps:
            decision = decide(Load(stable, panic, int(ready)), spec, state, now)
            assert (decision.desired, decision.excess_burst_capacity) == (desired, excess), (number, now, spec)
            state = decision.state
            decided += 1
    assert decided == 10_000
