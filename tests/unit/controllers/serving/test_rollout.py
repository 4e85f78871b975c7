"""How traffic moves to a new revision: step by step in virtual time, and as Serving itself has recorded it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from eventmesh.controllers.serving.rollout import (
    ConfigurationRollout,
    RevisionShare,
    Rollout,
    Steps,
    acknowledged,
    read,
    rollout_duration_s,
    step,
    written,
)
from eventmesh.controllers.serving.settings import NetworkSettings, ServingSettings

VECTORS = Path(__file__).parents[3] / "vectors" / "rollout.json"
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
FLOAT_NS = 1_000
"""Serving adds times as floats, which hold the nanoseconds of our century to 256."""


def goal(revision: str, percent: int = 100, configuration: str = "hello", tag: str = "") -> Rollout:
    return Rollout((ConfigurationRollout(configuration, tag, percent, (RevisionShare(revision, percent),)),))


def shares(rollout: Rollout, index: int = 0) -> dict[str, int]:
    return {share.revision: share.percent for share in rollout.configurations[index].revisions}


def run(duration_s: float, latency_s: float, percent: int = 100) -> list[tuple[float, int]]:
    """Roll out a revision over `duration_s` where each change takes `latency_s`; return (second, percent) of it."""
    wanted = goal("new", percent)
    state = step(wanted, goal("old", percent), T0)
    seen = [(0.0, shares(state)["new"])]
    now = T0 + int(latency_s * SECOND)
    state = step(wanted, acknowledged(state, now, duration_s), now)
    while (due := state.next_ns) is not None:
        state = step(wanted, acknowledged(state, due, duration_s), due)
        seen.append(((due - T0) / SECOND, shares(state)["new"]))
    assert state == wanted
    return seen


def test_a_new_revision_begins_with_one_percent() -> None:
    begun = step(goal("new"), goal("old"), T0)
    assert shares(begun) == {"old": 99, "new": 1}
    assert begun.configurations[0].steps == Steps(started_ns=T0)
    assert not begun.done and begun.next_ns is None


def test_nothing_moves_before_the_first_percent_is_acknowledged() -> None:
    begun = step(goal("new"), goal("old"), T0)
    assert step(goal("new"), begun, T0 + 3_600 * SECOND) == begun


def test_two_minutes_are_a_hundred_steps_of_one_percent() -> None:
    seen = run(duration_s=120, latency_s=0.05)
    assert [percent for _, percent in seen] == list(range(1, 101))
    gaps = {round(later - sooner, 3) for (sooner, _), (later, _) in pairwise(seen[1:])}
    assert gaps == {round(119 / 99, 3)}
    assert 118 < seen[-1][0] < 121


@pytest.mark.parametrize("percent", [2, 3, 50, 99])
def test_a_share_of_the_traffic_moves_within_itself(percent: int) -> None:
    seen = run(duration_s=60, latency_s=0.5, percent=percent)
    assert seen[-1][1] == percent and [p for _, p in seen] == sorted(p for _, p in seen)


def test_a_slow_data_plane_gets_fewer_and_larger_steps() -> None:
    seen = run(duration_s=100, latency_s=9.5)
    assert [percent for _, percent in seen] == [1, 12, 23, 34, 45, 56, 67, 78, 89, 100]


def test_a_duration_shorter_than_one_change_is_one_step() -> None:
    assert [percent for _, percent in run(duration_s=3, latency_s=20)] == [1, 100]


def test_one_percent_of_the_traffic_moves_at_once() -> None:
    assert step(goal("new", 1), goal("old", 1), T0) == goal("new", 1)


def test_what_was_not_there_before_is_where_it_should_be_at_once() -> None:
    wanted = Rollout(goal("new").configurations + goal("new", tag="next").configurations)
    moved = step(wanted, goal("old"), T0)
    assert shares(moved, 0) == {"old": 99, "new": 1}
    assert shares(moved, 1) == {"new": 100}
    assert step(wanted, Rollout(), T0) == wanted


def test_a_third_revision_begins_while_the_second_is_on_its_way() -> None:
    state = Rollout(
        (
            ConfigurationRollout(
                "hello",
                "",
                100,
                (RevisionShare("old", 70), RevisionShare("new", 30)),
                Steps(T0, T0 + SECOND, SECOND, 10),
            ),
        )
    )
    state = step(goal("newer"), state, T0 + SECOND)
    assert shares(state) == {"old": 70, "new": 29, "newer": 1}
    state = acknowledged(state, T0 + 2 * SECOND, 11)
    seen = []
    while (due := state.next_ns) is not None:
        state = step(goal("newer"), state, due)
        seen.append(shares(state))
    assert seen[0] == {"old": 70, "new": 19, "newer": 11}
    assert {"old": 69, "newer": 31} in seen
    assert seen[-1] == {"newer": 100}


def test_a_smaller_share_is_taken_from_the_oldest_and_a_larger_given_to_the_newest() -> None:
    moving = (RevisionShare("old", 40), RevisionShare("new", 20))
    state = Rollout((ConfigurationRollout("hello", "", 60, moving, Steps(T0, T0 + 9 * SECOND, SECOND, 5)),))
    assert shares(step(goal("new", 30), state, T0)) == {"old": 10, "new": 20}
    assert shares(step(goal("new", 90), state, T0)) == {"old": 40, "new": 50}
    assert step(goal("new", 15), state, T0) == goal("new", 15)


def test_a_step_is_never_larger_than_the_share() -> None:
    moving = (RevisionShare("old", 90), RevisionShare("new", 10))
    state = Rollout((ConfigurationRollout("hello", "", 100, moving, Steps(T0, T0 + 9 * SECOND, SECOND, 50)),))
    smaller = step(goal("new", 20), state, T0)
    assert smaller.configurations[0].steps.size == 20
    assert read(written(smaller)) == smaller


def test_the_share_of_a_revision_that_is_gone_goes_to_the_next_newer_one() -> None:
    moving = (RevisionShare("a", 50), RevisionShare("b", 30), RevisionShare("c", 20))
    state = Rollout((ConfigurationRollout("hello", "", 100, moving),))
    assert shares(state.without(lambda name: name == "a")) == {"b": 80, "c": 20}
    assert shares(state.without(lambda name: name == "c")) == {"a": 50, "b": 50}
    assert shares(state.without(lambda name: True)) == {}
    assert step(goal("new"), state.without(lambda name: True), T0) == goal("new")


def test_random_histories_lose_no_percent() -> None:
    random = Random(7)
    for _ in range(300):
        state, now, newest, percent = goal("r0"), T0, 0, 100
        for _ in range(40):
            now += random.randrange(20 * SECOND)
            newest += random.random() < 0.15
            if random.random() < 0.1:
                percent = random.randint(1, 100)
            if random.random() < 0.7:
                state = acknowledged(state, now, random.choice((5, 60, 600)))
            state = step(goal(f"r{newest}", percent), state, now)
            (only,) = state.configurations
            assert sum(share.percent for share in only.revisions) == only.percent == percent
            assert all(share.percent > 0 for share in only.revisions)
            assert only.revisions[-1].revision == f"r{newest}"
            assert read(written(state)) == state


def test_serving_itself_steps_in_the_same_way() -> None:
    compared = 0
    for history in json.loads(VECTORS.read_text()):
        before = Rollout()
        for event in history:
            wanted, expected = read(json.dumps(event["goal"])), read(json.dumps(event["state"]))
            assert wanted is not None and expected is not None
            if event["ready"]:
                before = acknowledged(before, event["now"], event["duration"])
            found = step(wanted, before, event["now"])
            assert [_without_float(each) for each in found.configurations] == [
                _without_float(each) for each in expected.configurations
            ]
            for ours, theirs in zip(found.configurations, expected.configurations, strict=True):
                assert abs(ours.steps.next_ns - theirs.steps.next_ns) <= FLOAT_NS
                assert abs(ours.steps.every_ns - theirs.steps.every_ns) <= FLOAT_NS
            before = expected
            compared += 1
    assert compared > 150


def _without_float(each: ConfigurationRollout) -> object:
    return (each.configuration, each.tag, each.percent, each.revisions, each.steps.started_ns, each.steps.size)


def test_the_annotation_is_servings() -> None:
    state = step(goal("new", tag="next"), goal("old", tag="next"), 5)
    assert written(state) == (
        '{"configurations":[{"configurationName":"hello","tag":"next","percent":100,"revisions":'
        '[{"revisionName":"old","percent":99},{"revisionName":"new","percent":1}],"stepParams":{"starttime":5}}]}'
    )
    assert read(written(state)) == state
    assert written(Rollout()) == "{}" and read("{}") == Rollout()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        '{"configurations":[1]}',
        '{"configurations":[{"percent":100}]}',
        '{"configurations":[{"configurationName":"a","percent":"100"}]}',
        '{"configurations":[{"configurationName":1,"percent":0}]}',
        '{"configurations":[{"configurationName":"a","percent":0,"revisions":7}]}',
        '{"configurations":[{"configurationName":"a","percent":101,"revisions":[{"revisionName":"r","percent":101}]}]}',
        '{"configurations":[{"configurationName":"a","percent":100,"revisions":[{"revisionName":"r","percent":99}]}]}',
        '{"configurations":[{"configurationName":"a","percent":0,"revisions":[{"revisionName":"r","percent":-1},'
        '{"revisionName":"s","percent":1}]}]}',
        '{"configurations":[{"configurationName":"a","percent":1,"revisions":[{"revisionName":"r","percent":1}],'
        '"stepParams":{"stepSize":2}}]}',
    ],
)
def test_an_annotation_that_makes_no_sense_is_none(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("annotation", "expected"), [(None, 30), ("2m", 120), ("0s", 30), ("nonsense", 30), ("-5s", 30)]
)
def test_the_annotation_wins_over_the_cluster(annotation: str | None, expected: float) -> None:
    annotations = {"serving.knative.dev/rollout-duration": annotation} if annotation else {}
    route = {"metadata": {"annotations": annotations}}
    settings = ServingSettings(network=NetworkSettings(rollout_duration_s=30))
    assert rollout_duration_s(route, settings) == expected
