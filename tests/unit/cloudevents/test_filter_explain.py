"""Which part of a Trigger's filter decided, whatever the dialect."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters import FilterError, compile_trigger_filter
from eventmesh.cloudevents.filters.explain import explain

EVENT = Event({"specversion": "1.0", "id": "1", "source": "/s", "type": "order.created", "priority": 2})

TYPE = {"exact": {"type": "order.created"}}
OTHER = {"exact": {"type": "bill"}}
BEGINS = {"prefix": {"type": "order.", "source": "/s"}}
ENDS = {"suffix": {"colour": "x"}}
ASKS = {"cesql": "priority > 3"}


@pytest.mark.parametrize(
    ("spec", "passes", "findings"),
    [
        ({}, True, {"spec": "without a filter every event passes"}),
        ({"filters": []}, True, {"spec": "without a filter every event passes"}),
        ({"filters": [TYPE]}, True, {"spec.filters[0].exact.type": "type is 'order.created'"}),
        (
            {"filters": [TYPE, OTHER]},
            False,
            {"spec.filters[1].exact.type": "type is 'order.created', which is not 'bill'"},
        ),
        (
            {"filters": [BEGINS]},
            True,
            {
                "spec.filters[0].prefix.type": "type is 'order.created', which begins with 'order.'",
                "spec.filters[0].prefix.source": "source is '/s'",
            },
        ),
        ({"filters": [ENDS]}, False, {"spec.filters[0].suffix.colour": "the event has no attribute colour"}),
        ({"filters": [{"any": [OTHER, TYPE]}]}, True, {"spec.filters[0].any[1].exact.type": "type is 'order.created'"}),
        (
            {"filters": [{"any": [OTHER, ENDS]}]},
            False,
            {
                "spec.filters[0].any[0].exact.type": "type is 'order.created', which is not 'bill'",
                "spec.filters[0].any[1].suffix.colour": "the event has no attribute colour",
            },
        ),
        ({"filters": [{"not": TYPE}]}, False, {"spec.filters[0].not.exact.type": "type is 'order.created'"}),
        (
            {"filters": [{"all": [TYPE, ASKS]}]},
            False,
            {"spec.filters[0].all[1].cesql": "is false: priority is 2"},
        ),
        (
            {"filter": {"attributes": {"type": "bill"}}},
            False,
            {"spec.filter.attributes.type": "type is 'order.created', which is not 'bill'"},
        ),
        ({"filter": {"attributes": {"source": ""}}}, True, {"spec.filter.attributes.source": "source is '/s'"}),
    ],
)
def test_the_deciding_parts_are_named(spec: dict[str, Any], passes: bool, findings: dict[str, str]) -> None:
    told = explain(spec, EVENT)
    assert told.passes is passes
    assert {finding.path: finding.reason for finding in told.findings} == findings


def test_the_verdict_is_that_of_the_filter() -> None:
    leaves = (TYPE, OTHER, BEGINS, ENDS, ASKS)
    for first, second in product(leaves, repeat=2):
        mixed = (
            {"any": [first, {"not": second}]},
            {"all": [{"not": first}, second]},
            {"not": {"any": [first, second]}},
        )
        for entry in mixed:
            spec = {"filters": [entry, {"any": [second, first]}]}
            told = explain(spec, EVENT)
            assert told.passes is compile_trigger_filter(spec)(EVENT)
            assert told.findings


def test_a_filter_that_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(FilterError, match=r"spec\.filters\[0\]\.exact"):
        explain({"filters": [{"exact": {}}]}, EVENT)
