"""What `lifecycle` says, and how long it may take."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.hooks import POST_START, PRE_STOP, Sleep, check_hooks, parse_hook, run_hook
from eventmesh.cluster.runtime.probe import Exec, HttpGet, Outcome, Probe, TcpSocket
from tests.manual_clock import ManualClock


def container(**hooks: Any) -> dict[str, Any]:
    return {"name": "app", "lifecycle": hooks, "ports": [{"name": "web", "containerPort": 9000}]}


@pytest.mark.parametrize(
    ("spec", "hook"),
    [
        ({"exec": {"command": ["sync"]}}, Exec(("sync",))),
        ({"httpGet": {"path": "/bye", "port": "web"}}, HttpGet(9000, "/bye")),
        ({"tcpSocket": {"port": 81}}, TcpSocket(81)),
        ({"sleep": {"seconds": 5}}, Sleep(5.0)),
        ({"httpGet": {"path": "/wait-for-drain", "port": 8022}}, None),
        (None, None),
    ],
    ids=["exec", "http", "tcp", "sleep", "drain", "none"],
)
def test_every_kind_of_hook_is_read(spec: Any, hook: object) -> None:
    assert parse_hook(container(preStop=spec), PRE_STOP, 8080) == hook


def test_a_hook_that_cannot_be_done_is_named() -> None:
    assert check_hooks(container(preStop={"exec": {"command": ["x"]}}), 8080) == ""
    wrong = check_hooks(container(postStart={"httpGet": {"port": "nobody"}}), 8080)
    assert wrong == "lifecycle.postStart.httpGet.port: the container names no port 'nobody'"
    assert "lifecycle.preStop: must have one action" in check_hooks(container(preStop={"what": {}}), 8080)


async def test_a_sleep_takes_no_longer_than_the_pod_has() -> None:
    clock = ManualClock()
    told: list[Outcome] = []

    async def ask(name: str, probe: Probe) -> Outcome:
        return Outcome(False, f"{name} was asked for {probe.timeout_s:g}s at most")

    async def wait() -> None:
        told.append(await run_hook(Sleep(60.0), "app", ask, clock, 10.0))

    tasks = TaskGroup("hooks")
    tasks.spawn("hook", wait())
    await clock.advance(9.9)
    assert not told
    await clock.advance(0.2)
    assert told == [Outcome(True)]
    refused = await run_hook(Exec(("x",)), "app", ask, clock, 10.0)
    assert refused.output == "app was asked for 10s at most"
    assert parse_hook(container(), POST_START, 8080) is None
