"""What the annotations of Brokers and Triggers mean; what is refused stands with admission."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.broker_annotations import broker_controls_of, controls_of
from eventmesh.model.delivery import BrokerControls, DeliveryControls

MADE_AT = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def made(**annotations: str) -> dict[str, Any]:
    ours = {f"eventmesh.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"other.io/x": "y", **ours}}}


def test_without_annotations_nothing_is_asked_for() -> None:
    assert controls_of({"metadata": {}}) == DeliveryControls()
    assert broker_controls_of({"metadata": {}}) == BrokerControls()


def test_each_annotation_is_read() -> None:
    wanted = DeliveryControls(paused=True, rate_per_s=2.5, order_by="partitionkey", start_at=0.0, prewarm=False)
    written = made(paused="true", rate="2.5", order_by="partitionkey", start_from="earliest", prewarm="false")
    assert controls_of(written) == wanted
    assert broker_controls_of(made(deduplicate="10m", prewarm="100")) == BrokerControls(600.0, 100)


@pytest.mark.parametrize(
    ("text", "moment"),
    [("1h", MADE_AT - 3600), ("2025-12-31T23:59:59Z", MADE_AT - 1), ("2026-01-01T01:00:00+01:00", MADE_AT)],
)
def test_a_start_is_a_time_or_so_long_before_the_trigger_was_made(text: str, moment: float) -> None:
    assert controls_of(made(start_from=text)).start_at == moment
