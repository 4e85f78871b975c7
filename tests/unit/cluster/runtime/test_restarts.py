"""What the mesh itself waits between the end of a process and its next start."""

from __future__ import annotations

import pytest

from eventmesh.cluster import supervisor, watchdog
from eventmesh.cluster.runtime.container import Container, Role
from eventmesh.cluster.runtime.restarts import (
    AT_WORK_AFTER_S,
    MAX_WAIT_S,
    RECOVERED_WITHIN_S,
    Kills,
    RestartBackOff,
)
from tests.manual_clock import ManualClock

KILLS_IN_A_ROW = 5


OF_THE_MESH = [
    pytest.param(supervisor.FIRST_RESTART_S, supervisor.RESTART_CAP_S, id="gateway-and-activator"),
    pytest.param(watchdog.FIRST_RESTART_S, watchdog.RESTART_CAP_S, id="mesh-process-and-launcher"),
]


@pytest.mark.parametrize(("first_s", "cap_s"), OF_THE_MESH)
def test_a_killed_process_of_the_mesh_waits_less_than_is_promised(first_s: float, cap_s: float) -> None:
    """However often, also one that has failed by itself before, and that each kill meets in its first moments."""
    back_off = RestartBackOff(first_s, cap_s)
    for _ in range(20):
        back_off.wait_s_after(0.0, steady=False, killed=False)
    waits = [back_off.wait_s_after(0.0, steady=False, killed=True) for _ in range(200)]
    assert waits[0] == 0.0
    assert max(waits) < RECOVERED_WITHIN_S


@pytest.mark.parametrize(("first_s", "cap_s"), OF_THE_MESH)
def test_one_that_was_at_work_waits_for_nothing_however_often_it_is_killed(first_s: float, cap_s: float) -> None:
    back_off = RestartBackOff(first_s, cap_s)
    assert {back_off.wait_s_after(AT_WORK_AFTER_S, steady=False, killed=True) for _ in range(200)} == {0.0}


@pytest.mark.parametrize("role", [Role.APP, Role.SIDE, Role.MESH])
async def test_a_killed_container_waits_less_than_is_promised(role: Role) -> None:
    """Also one that has failed before, which has its back-off for that alone; a sidecar however often."""
    clock = ManualClock()
    container = Container("one", role)
    if role is not Role.MESH:
        for _ in range(20):
            container.wait_s_after(container.end(1, "", "", clock))
    waits = [
        container.wait_s_after(container.end(-9, "", "", clock))
        for _ in range(200 if role is Role.MESH else KILLS_IN_A_ROW)
    ]
    assert waits[0] == 0.0
    assert max(waits) < RECOVERED_WITHIN_S


def test_what_kills_each_function_at_its_start_finds_one_every_ten_seconds() -> None:
    kills = Kills()
    assert [kills.next_wait_s(own=False) for _ in range(9)] == [
        0.0,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        6.4,
        MAX_WAIT_S,
        MAX_WAIT_S,
    ]


def test_a_process_that_ends_by_itself_waits_as_ever_whoever_was_killed_before() -> None:
    back_off = RestartBackOff(0.1, 10.0)
    assert back_off.wait_s_after(0.0, steady=False, killed=True) == 0.0
    assert [back_off.wait_s_after(0.0, steady=False, killed=False) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert back_off.wait_s_after(60.0, steady=True, killed=False) == 0.0
    assert back_off.wait_s_after(0.0, steady=False, killed=False) == 0.1
