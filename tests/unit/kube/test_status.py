from __future__ import annotations

from datetime import UTC, datetime, timedelta

from eventmesh.kube.api import Object
from eventmesh.kube.status import Conditions, ConditionSet, is_ready

KINDS = ConditionSet(dependents=("ConfigurationsReady", "RoutesReady"))
START = datetime(2026, 1, 1, tzinfo=UTC)


def by_type(conditions: list[Object]) -> dict[str, Object]:
    return {condition["type"]: condition for condition in conditions}


def test_fresh_object_is_unknown_in_every_condition() -> None:
    result = Conditions(KINDS, [], START).result()
    assert [(entry["type"], entry["status"]) for entry in result] == [
        ("ConfigurationsReady", "Unknown"),
        ("Ready", "Unknown"),
        ("RoutesReady", "Unknown"),
    ]


def test_ready_when_all_dependents_are_true() -> None:
    conditions = Conditions(KINDS, [], START)
    conditions.mark_true("ConfigurationsReady")
    conditions.mark_true("RoutesReady")
    assert by_type(conditions.result())["Ready"] == {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_failure_explains_better_than_not_yet_known() -> None:
    conditions = Conditions(KINDS, [], START)
    conditions.mark_unknown("RoutesReady", "Deploying", "wait")
    conditions.mark_false("ConfigurationsReady", "RevisionFailed", "no such image")
    ready = by_type(conditions.result())["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "RevisionFailed", "no such image")


def test_transition_time_stays_while_nothing_changes_and_moves_when_it_does() -> None:
    first = Conditions(KINDS, [], START)
    first.mark_true("ConfigurationsReady")
    stored = first.result()
    second = Conditions(KINDS, stored, START + timedelta(hours=1))
    second.mark_true("ConfigurationsReady")
    assert second.result() == stored
    third = Conditions(KINDS, stored, START + timedelta(hours=2))
    third.mark_false("ConfigurationsReady", "Broken", "")
    changed = by_type(third.result())
    assert changed["ConfigurationsReady"]["lastTransitionTime"] == "2026-01-01T02:00:00Z"
    assert changed["RoutesReady"]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_informing_condition_carries_severity_and_leaves_ready_alone() -> None:
    conditions = Conditions(KINDS, [], START)
    conditions.mark_true("ConfigurationsReady")
    conditions.mark_true("RoutesReady")
    conditions.mark_false("Active", "NoTraffic", "scaled to zero")
    result = by_type(conditions.result())
    assert result["Active"]["severity"] == "Info"
    assert result["Ready"]["status"] == "True"


def test_ready_counts_only_for_the_generation_written_last() -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    obj: Object = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": conditions}}
    assert is_ready(obj)
    assert not is_ready({**obj, "metadata": {"generation": 3}})
