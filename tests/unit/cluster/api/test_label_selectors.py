"""A selector that cannot be read is refused by field, wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventmesh.cluster.api.label_selectors import selector_violations
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.resources import CLUSTER_ROLE, DEPLOYMENT
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ({"key": "a", "operator": "In", "values": ["b"]}, []),
        ({"key": "a", "operator": "Exists"}, []),
        ({"key": "a", "operator": "NotIn"}, ["s.matchExpressions[0].values"]),
        ({"key": "a", "operator": "DoesNotExist", "values": ["b"]}, ["s.matchExpressions[0].values"]),
        ({"key": "a", "operator": "Is"}, ["s.matchExpressions[0].operator"]),
        ({}, ["s.matchExpressions[0].key", "s.matchExpressions[0].operator"]),
    ],
)
def test_an_expression_that_says_nothing_is_named(expression: dict[str, Any], told: list[str]) -> None:
    assert [cause.field for cause in selector_violations("s", {"matchExpressions": [expression]})] == told


WRONG: Object = {"matchExpressions": [{"key": "a", "operator": "Is"}]}
PLACES: tuple[tuple[Resource, Object, str], ...] = (
    (
        CLUSTER_ROLE,
        {"aggregationRule": {"clusterRoleSelectors": [{}, WRONG]}},
        "aggregationRule.clusterRoleSelectors[1]",
    ),
    (
        DEPLOYMENT,
        {"spec": {"selector": WRONG, "template": {"spec": {"containers": [{"name": "a", "image": "a"}]}}}},
        "spec.selector",
    ),
)


async def test_it_is_refused_when_it_is_written(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        for resource, body, path in PLACES:
            with pytest.raises(ApiError) as refused:
                await cluster.in_process().create(resource, {"metadata": {"name": "a"}, **body}, "default")
            said = f'{path}.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator'
            assert refused.value.code == 422 and said in refused.value.message
