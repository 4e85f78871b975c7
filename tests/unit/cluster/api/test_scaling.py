from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.catalog import ScalePaths, Served
from eventmesh.cluster.api.scaling import MAX_REPLICAS, violations
from eventmesh.kube.api import Resource

WIDGET = Resource("example.com", "v1", "widgets", "Widget")
SCALED = Served(WIDGET, "widget", scale=ScalePaths(), is_custom=True)


@pytest.mark.parametrize(
    ("replicas", "sentence"),
    [
        (-1, "Invalid value: -1: should be a non-negative integer"),
        (MAX_REPLICAS + 1, f"Invalid value: {MAX_REPLICAS + 1}: should be less than or equal to {MAX_REPLICAS}"),
        ("x", "Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64"),
        (True, "Invalid value: 0: .spec.replicas accessor error: true is of the type bool, expected int64"),
        (1.5, "Invalid value: 0: .spec.replicas accessor error: 1.5 is of the type float64, expected int64"),
    ],
)
def test_replicas_that_no_scale_can_show_are_refused(replicas: Any, sentence: str) -> None:
    [cause] = violations(SCALED, {"spec": {"replicas": replicas}})
    assert (cause.field, cause.message) == (".spec.replicas", sentence)


@pytest.mark.parametrize(
    "obj", [{}, {"spec": {"replicas": None}}, {"spec": {"replicas": 3}, "status": {"replicas": 0}}]
)
def test_replicas_that_a_scale_can_show_are_good(obj: dict[str, Any]) -> None:
    assert violations(SCALED, obj) == []


def test_a_kind_without_a_scale_has_none() -> None:
    assert violations(Served(WIDGET, "widget"), {"spec": {"replicas": "x"}}) == []
