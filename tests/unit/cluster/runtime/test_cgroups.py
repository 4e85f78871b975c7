from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventmesh.cluster.runtime.cgroups import ControlGroups, Group, Limits
from eventmesh.cluster.runtime.pod_groups import PodGroups

BOTH = Limits(memory_bytes=64 * 1024 * 1024, cpu_millis=1500, cpu_request_millis=125)


def separate(directory: Path) -> ControlGroups:
    """Return groups of version 1 in directories that only look like hierarchies."""
    for controller in ("memory", "cpu"):
        (directory / controller).mkdir()
    return ControlGroups({controller: directory / controller for controller in ("memory", "cpu")})


def unified(directory: Path) -> ControlGroups:
    directory.mkdir(exist_ok=True)
    return ControlGroups(dict.fromkeys(("memory", "cpu"), directory))


def files(group: Group | None) -> dict[str, str]:
    assert group is not None
    return {file.name: file.read_text() for place in group.directories for file in Path(place).iterdir()}


def test_limits_are_written_as_the_kubelet_writes_them(tmp_path: Path) -> None:
    assert files(separate(tmp_path).make("g", BOTH)) == {
        "memory.limit_in_bytes": "67108864",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
        "cpu.shares": "128",
    }
    assert files(unified(tmp_path / "unified").make("g", BOTH)) == {
        "memory.max": "67108864",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "cpu.weight": "5",
    }


def test_what_is_too_little_or_too_much_for_the_kernel_is_the_least_or_the_most(tmp_path: Path) -> None:
    groups = separate(tmp_path)
    least = files(groups.make("least", Limits(cpu_millis=1, cpu_request_millis=0)))
    assert (least["cpu.cfs_quota_us"], least["cpu.shares"]) == ("1000", "2")
    most = files(groups.make("most", Limits(cpu_request_millis=1_000_000)))
    assert most == {"cpu.shares": "262144"}
    assert files(unified(tmp_path / "u").make("most", Limits(cpu_request_millis=1_000_000))) == {"cpu.weight": "10000"}


def test_a_group_without_limits_is_left_as_the_kernel_makes_it(tmp_path: Path) -> None:
    assert files(separate(tmp_path).make("g", Limits())) == {}
    assert not Limits() and Limits(cpu_request_millis=0)


def counting(directory: Path) -> ControlGroups:
    """Return groups of version 1 that count processes too."""
    for controller in ("pids", "memory", "cpu"):
        (directory / controller).mkdir(parents=True)
    return ControlGroups({controller: directory / controller for controller in ("pids", "memory", "cpu")})


def test_who_says_nothing_of_memory_and_processor_is_in_the_group_that_counts_processes_alone(tmp_path: Path) -> None:
    groups = counting(tmp_path / "counting")
    assert files(groups.make("few", Limits(pids=7), whole=False)) == {"pids.max": "7"}
    assert not (tmp_path / "counting" / "memory" / "few").exists()
    again = groups.find_again("few")
    assert again is not None and [mount.target for mount in again.mounts] == ["/sys/fs/cgroup/pids"]
    for name, limits, whole in (("limited", Limits(memory_bytes=1, pids=7), False), ("image", Limits(pids=7), True)):
        group = groups.make(name, limits, whole=whole)
        assert group is not None and len(group.directories) == 3
    assert separate(tmp_path).make("few", Limits(pids=7), whole=False) is None, "where nobody counts"


def test_a_ready_group_is_completed_as_it_is_and_belongs_to_the_run_from_then_on(tmp_path: Path) -> None:
    groups, ready = counting(tmp_path), ["ready-1"]
    made = groups.make("ready-1", Limits(pids=7), whole=False)
    assert made is not None and made.name == "ready-1"
    (tmp_path / "pids" / "ready-1" / "cgroup.procs").write_text(f"{os.getppid()}\n")
    pod = PodGroups(groups, "uid", lambda: ready.pop() if ready else "")
    pod.begin("app", Limits(pids=7, memory_bytes=1), whole=False, ready=True)
    found = pod.of("app")
    assert found is not None and found.name == "ready-1" and len(found.directories) == 3
    assert files(found)["memory.limit_in_bytes"] == "1"
    pod.begin("app", Limits(pids=7), whole=False, ready=True)
    assert pod.of("app") == groups.find_again("uid.app") is not None, "where none is ready it gets one of its own"


def test_what_an_earlier_runtime_has_left_is_ended_except_for_what_is_used(tmp_path: Path) -> None:
    groups = counting(tmp_path)
    for name in ("ready-1", "ready-2"):
        groups.make(name, Limits(pids=7), whole=False)
    groups.retain({"ready-2"})
    assert {name: (tmp_path / "pids" / name / "pids.max").read_text() for name in ("ready-1", "ready-2")} == {
        "ready-1": "0",
        "ready-2": "7",
    }


def test_a_run_that_was_refused_a_process_is_told_once_and_so_is_the_next(tmp_path: Path) -> None:
    pod = PodGroups(counting(tmp_path), "uid")
    events = tmp_path / "pids" / "uid.app" / "pids.events"
    pod.begin("app", Limits(pids=7))
    assert pod.refusals() == []
    events.write_text("max 3\n")
    (told,) = pod.refusals()
    assert (told.reason, told.warning) == ("ProcessLimitReached", True) and told.message.startswith("app has 1024 ")
    events.write_text("max 4\n")
    assert pod.refusals() == []
    pod.end("app")
    pod.begin("app", Limits(pids=7))
    assert pod.refusals() == [], "those of the run before, whose processes still end"
    events.write_text("max 5\n")
    assert pod.refusals() == [told]


def test_what_is_ended_may_start_nothing_more(tmp_path: Path) -> None:
    pod = PodGroups(counting(tmp_path), "uid")
    pod.begin("app", Limits(pids=7))
    pod.end("app")
    assert (tmp_path / "pids" / "uid.app" / "pids.max").read_text() == "0"


def test_its_own_group_is_what_a_container_sees_and_cannot_change(tmp_path: Path) -> None:
    one = separate(tmp_path).make("g", BOTH)
    two = unified(tmp_path / "u").make("g", BOTH)
    assert one is not None and two is not None
    assert {(mount.target, mount.read_only) for mount in one.mounts} == {
        ("/sys/fs/cgroup/memory", True),
        ("/sys/fs/cgroup/cpu", True),
    }
    assert [(mount.source, mount.target) for mount in two.mounts] == [(str(tmp_path / "u/g"), "/sys/fs/cgroup")]


@pytest.mark.parametrize(
    ("file", "text", "killed"),
    [
        ("memory.events", "low 0\nmax 7\noom 1\noom_kill 2\n", True),
        ("memory.events", "low 0\nmax 7\noom 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", True),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        ("memory.stat", "oom_kill 1\n", False),
    ],
)
def test_a_kill_for_memory_is_known_by_the_kernels_count(tmp_path: Path, file: str, text: str, killed: bool) -> None:
    pod = PodGroups(unified(tmp_path), "uid")
    pod.begin("app", BOTH)
    (tmp_path / "uid.app" / file).write_text(text)
    assert pod.end("app") is killed
    assert pod.of("app") is None and pod.end("app") is False


def test_a_kill_of_the_run_before_is_not_counted_twice_when_its_group_could_not_be_removed_yet(tmp_path: Path) -> None:
    pod = PodGroups(unified(tmp_path), "uid")
    events = tmp_path / "uid.app" / "memory.events"
    pod.begin("app", BOTH)
    events.write_text("oom_kill 2\n")
    assert pod.end("app") is True
    assert events.exists(), "as long as something of it ends"
    pod.begin("app", BOTH)
    assert pod.end("app") is False
    pod.begin("app", BOTH)
    events.write_text("oom_kill 3\n")
    assert pod.end("app") is True


def test_what_is_left_in_a_group_is_ended_but_never_what_this_process_cannot_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda number, signal: ended.append(number))
    group = unified(tmp_path).make("g", BOTH)
    assert group is not None
    (tmp_path / "g" / "cgroup.procs").write_text("0\n4194999\n")
    group.remove()
    assert ended == [4194999]


def process(directory: Path, groups: str, mounts: str) -> Path:
    """Return what `/proc/PID` says of a process in these groups, with these hierarchies mounted."""
    directory.mkdir()
    (directory / "cgroup").write_text(groups)
    (directory / "mountinfo").write_text(mounts)
    return directory


def test_groups_of_version_2_are_made_beside_the_meshs_own_with_their_controllers_handed_down(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "user.slice" / "shell.scope").mkdir(parents=True)
    for directory in (top / "user.slice", top / "user.slice" / "shell.scope"):
        (directory / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    (top / "user.slice" / "cgroup.subtree_control").write_text("memory pids\n")
    gone = top / "user.slice" / "eventmesh-4194999.ab"
    gone.mkdir()
    mounts = f"31 24 0:27 / {top} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    groups = ControlGroups.find(process(tmp_path / "proc", "0::/user.slice/shell.scope\n", mounts))
    assert groups.note == "" and groups.is_unified and groups.count_processes
    (made,) = (top / "user.slice").glob(f"eventmesh-{os.getpid()}.*")
    assert (top / "user.slice" / "cgroup.subtree_control").read_text() == "+cpu"
    assert (made / "cgroup.subtree_control").read_text() in ("+cpu", "+memory", "+pids")
    assert not gone.exists()


def test_groups_of_version_1_are_made_below_the_meshs_own_where_its_hierarchy_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "m" / "box").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    mounts = (
        f"41 24 0:31 /docker/x {tmp_path}/m rw - cgroup cgroup rw,memory\n"
        f"42 24 0:32 / {tmp_path}/c rw - cgroup cgroup rw,cpu,cpuacct\n"
        f"43 24 0:33 / {tmp_path}/u rw - cgroup2 cgroup2 rw\n"
    )
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "cgroup.controllers").write_text("hugetlb\n")
    own = "9:memory:/docker/x/box\n4:cpu,cpuacct:/\n0::/\n"
    groups = ControlGroups.find(process(tmp_path / "proc", own, mounts))
    assert groups.note == "" and not groups.is_unified and not groups.count_processes
    assert list((tmp_path / "m" / "box").glob("eventmesh-*")) and list((tmp_path / "c").glob("eventmesh-*"))
    groups.close()
    assert not list((tmp_path / "m" / "box").iterdir()) and not list((tmp_path / "c").iterdir())


def test_a_machine_without_the_controllers_is_told_and_makes_no_groups(tmp_path: Path) -> None:
    groups = ControlGroups.find(process(tmp_path / "proc", "0::/\n", "24 1 0:22 / /proc rw - proc proc rw\n"))
    assert groups.note == (
        "this user may make no control groups: /sys/fs/cgroup: no hierarchy has the controllers memory and cpu"
    )
    assert groups.make("g", BOTH) is None
    groups.close()


def test_the_next_runtime_of_an_owner_finds_the_groups_of_the_last(tmp_path: Path) -> None:
    mounts = f"30 25 0:26 / {tmp_path}/cg rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "cg" / "user.slice").mkdir(parents=True)
    for directory in (tmp_path / "cg", tmp_path / "cg" / "user.slice"):
        (directory / "cgroup.controllers").write_text("cpu memory\n")
    own = process(tmp_path / "proc", "0::/user.slice\n", mounts)
    first = PodGroups(ControlGroups.find(own, owner=os.getpid()), "uid")
    first.begin("app", Limits(memory_bytes=1))
    second = PodGroups(ControlGroups.find(own, owner=os.getpid()), "uid")
    for name in ("app", "other"):
        second.resume(name, f"uid.{name}")
    assert second.of("app") == first.of("app") is not None
    assert second.of("other") is None
    stranger = PodGroups(ControlGroups.find(own, owner=os.getppid()), "uid")
    stranger.resume("app", "uid.app")
    assert stranger.of("app") is None
