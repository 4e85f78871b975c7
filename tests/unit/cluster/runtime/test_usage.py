"""What containers and the machine use."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eventmesh.cluster.runtime.node import Machine, node_status, read_machine
from eventmesh.cluster.runtime.usage import (
    WINDOW_S,
    Rate,
    Usage,
    UsageMeter,
    cpu_seconds,
    own_memory,
    usage_of,
    usage_quantities,
)
from eventmesh.kube.status import condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 2**30
FINE = Machine(4, 8 * GIB, 4 * GIB, 100 * GIB, 50 * GIB, 4_194_304, 500, 1000.0)


def test_processor_time_is_read_whatever_the_process_calls_itself() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    line = f"7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 {2 * ticks} {ticks} {ticks} 0 20 0 1 0 5"
    assert cpu_seconds(line) == 4.0


def test_memory_is_what_no_file_stands_behind() -> None:
    assert own_memory("100 50 20 1 0 30 0") == 30 * os.sysconf("SC_PAGE_SIZE")


def test_this_very_process_has_used_something_and_one_that_is_gone_nothing() -> None:
    own = usage_of(os.getpid())
    assert own.cpu_s > 0.0
    assert own.memory_bytes > 2**20
    assert usage_of(2**22 + 1) == Usage(0.0, 0)


def test_a_rate_needs_two_readings_of_one_process() -> None:
    meter = UsageMeter()
    meter.take(0.0, {("pod", "app", 7): Usage(1.0, 100)})
    assert meter.rate("pod", "app") is None
    meter.take(2.0, {("pod", "app", 7): Usage(2.0, 300)})
    assert meter.rate("pod", "app") == Rate(0.5, 300, 2.0)
    meter.take(4.0, {("pod", "app", 8): Usage(0.1, 50)})
    assert meter.rate("pod", "app") is None
    meter.take(6.0, {})
    meter.take(8.0, {("pod", "app", 8): Usage(0.1, 50)})
    assert meter.rate("pod", "app") is None


def test_a_rate_is_of_the_last_window_alone() -> None:
    meter = UsageMeter()
    for at in range(0, 100, 2):
        busy = 0.0 if at < 50 else (at - 50) * 1.0
        meter.take(float(at), {("pod", "app", 7): Usage(busy, 1)})
    rate = meter.rate("pod", "app")
    assert rate is not None
    assert rate.cores == 1.0
    assert WINDOW_S <= rate.window_s <= WINDOW_S + 2.0


def test_usage_is_spelled_as_the_metrics_api_does() -> None:
    assert usage_quantities(Rate(0.25, 2**20, 15.0)) == {"cpu": "250000000n", "memory": "1024Ki"}


def test_a_machine_is_read_as_it_is(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert 0 < machine.available_bytes <= machine.memory_bytes
    assert 0 < machine.free_disk_bytes <= machine.disk_bytes
    assert 0 < machine.pids < machine.max_pids


def test_a_node_tells_what_the_machine_has_and_that_it_stands_well() -> None:
    status = node_status({}, FINE, NOW)
    assert status["capacity"] == {
        "cpu": "4",
        "memory": "8388608Ki",
        "ephemeral-storage": "104857600Ki",
        "pods": "4096",
    }
    assert status["allocatable"] == status["capacity"]
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }


def test_what_runs_short_is_told_with_its_number_and_since_when() -> None:
    before = {"status": node_status({}, FINE, NOW)}
    short = dataclasses.replace(FINE, available_bytes=50 * 2**20, free_disk_bytes=GIB, pids=4_100_000)
    later = NOW + timedelta(minutes=1)
    after = {"status": node_status(before, short, later)}
    for kind, words in (("MemoryPressure", "50 MiB"), ("DiskPressure", "1024 MiB"), ("PIDPressure", "4100000 of")):
        found = condition(after, kind)
        assert found is not None
        assert (found["status"], words in found["message"]) == ("True", True)
        assert found["lastTransitionTime"] == "2026-01-01T00:01:00Z"
    ready = condition(after, "Ready")
    assert ready is not None
    assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"
