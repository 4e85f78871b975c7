"""A function that is forked from a prepared interpreter is what the same function is that starts one of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.cluster.runtime.network import free_port
from eventmesh.kube.api import Object
from eventmesh.kube.resources import EVENT, POD
from eventmesh.kube.warm_start import WARM_START
from tests.component.pod_cluster import Cluster, bare, running
from tests.component.warm_stock import fill
from tests.waiting import WAIT_S

PROGRAM = """
import ctypes, gc, json, os, random, resource, signal, sys, threading, time
libc = ctypes.CDLL(None)
death, told = ctypes.c_int(), ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
    "Seccomp", "SigBlk", "SigIgn", "SigCgt", "Umask", "Threads", "Name")
libc.prctl(2, ctypes.byref(death), 0, 0, 0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limits = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]
facts = {
    "status": {name: status[name].split() for name in told},
    "limits": [resource.getrlimit(limit) for limit in limits],
    "dies with": death.value,
    "inspectable": libc.prctl(3, 0, 0, 0, 0),
    "groups": sorted(open("/proc/self/cgroup").read().split()),
    "mounts": sorted(line.split()[4] for line in open("/proc/self/mountinfo")),
    "network": len(os.listdir("/sys/class/net")),
    "environment": dict(os.environ),
    "zone": time.tzname,
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "input": sys.stdin.read(),
    "streams": [(one.encoding, one.errors, one.line_buffering, one.write_through) for one in (sys.stdout, sys.stderr)],
    "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
    "directory": os.getcwd(),
    "arguments": [sys.argv, sys.orig_argv, sys.path[:2], str(sys.flags)],
    "main": [__name__, __file__, sys.modules["__main__"].__dict__ is globals()],
    "handlers": [str(signal.getsignal(number)) for number in (2, 13, 15, 17)],
    "collector": [gc.isenabled(), gc.get_threshold()],
    "nice": os.nice(0),
}
own = {"fork": "eventmesh.functions.app" in sys.modules, "random": random.random(), "seed": hash("seed"),
    "ticks": time.process_time()}
print(json.dumps([facts, own]))
"""


@pytest_asyncio.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for functions")
    with tempfile.TemporaryDirectory(prefix="warm-") as directory:
        # Functions of other users read what is in it.
        Path(directory).chmod(0o755)
        async with running(Path(directory)) as cluster:
            yield cluster


async def outcome(cluster: Cluster, name: str, container: Object, warm: str) -> tuple[Object, str]:
    """Return the pod once its only run is over, and what it has written; it has been removed by then."""
    pod = bare(name, container, restartPolicy="Never")
    pod["metadata"]["annotations"][WARM_START] = warm
    await cluster.api.create(POD, pod, "default")
    (ended,) = await cluster.until(POD, lambda pods: any("terminated" in str(one.get("status")) for one in pods))
    text = await cluster.log(ended)
    await cluster.api.delete(POD, name, "default", grace_seconds=1)
    await cluster.until(POD, lambda pods: not pods)
    return ended, text


async def looked(cluster: Cluster, container: Object, warm: str) -> tuple[Object, Object]:
    """Return what the program finds, its pod's own names and numbers left out, and what differs at each start."""
    pod, text = await outcome(cluster, "facts", {"image": "dev.local/look", **container}, warm)
    if pod["status"]["phase"] == "Failed":
        # Not every interpreter is every user's to execute: then it is no fork's either.
        return dict(pod["status"]["containerStatuses"][0]["state"]["terminated"], finishedAt="", startedAt=""), {}
    for name, found in (("UID", pod["metadata"]["uid"]), ("IP", pod["status"]["podIP"])):
        text = text.replace(found, name)
    # A group that was kept in stock has a name of its own.
    facts, own = json.loads(re.sub("/ready-[0-9a-f]{8}", "/UID.app", text))
    return facts, own


LIMITED = {"resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}}
NOBODY = {"securityContext": {"runAsUser": 65534, "capabilities": {"drop": ["ALL"]}}}
ROOT = {"securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}}
LAX = {"securityContext": {"allowPrivilegeEscalation": True}}
VARIABLES = {"env": [{"name": "TZ", "value": "Asia/Tokyo"}, {"name": "TOKEN", "value": "told"}]}


def images(cluster: Cluster, directory: Path) -> None:
    """Have the program run as a script, and as a module."""
    cluster.image(directory / "look", "look", PROGRAM)
    module = directory / "module"
    module.mkdir()
    (module / "looking.py").write_text(PROGRAM)
    (module / "image.json").write_text(json.dumps({"command": ["python", "-m", "looking"], "args": ["quietly"]}))
    cluster.images.add("module", module)


async def test_a_fork_has_all_that_an_ordinary_start_has_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    images(cluster, tmp_path)
    cases: list[Object] = [{}, {"image": "dev.local/module"}, LAX, VARIABLES, {"args": ["--loud", "a b"]}]
    if os.geteuid() == 0:
        cases += [NOBODY, ROOT, LIMITED]
    for case in cases:
        usual, own = await looked(cluster, case, "false")
        assert not own.get("fork")
        await fill(cluster.launcher)
        warm, own = await looked(cluster, case, "true")
        assert own == {} or own["fork"], case
        assert warm == usual, case


async def test_forks_draw_numbers_of_their_own_but_share_the_seed_of_hashes(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "look", "look", PROGRAM)
    await fill(cluster.launcher)
    found = [(await looked(cluster, {}, "true"))[1] for _ in range(2)]
    assert all(own["fork"] for own in found)
    assert found[0]["random"] != found[1]["random"]
    assert found[0]["seed"] == found[1]["seed"]


async def test_what_one_function_was_given_is_not_in_the_memory_of_the_next(cluster: Cluster, tmp_path: Path) -> None:
    search = r"""
import re, sys
found = 0
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps"):
        span, mode = line.split()[:2]
        if mode.startswith("rw"):
            low, high = (int(end, 16) for end in span.split("-"))
            memory.seek(low)
            found += len(re.findall(rb"not-for-[o]thers", memory.read(high - low)))
print(found, "eventmesh.functions.app" in sys.modules)
"""
    cluster.image(tmp_path / "search", "search", search)
    await fill(cluster.launcher)
    secret = [{"name": "TOKEN", "value": "not-for-others"}]
    _, told = await outcome(cluster, "one", {"image": "dev.local/search", "env": secret}, "true")
    assert int(told.split()[0]) > 0 and told.split()[1] == "True"
    _, told = await outcome(cluster, "two", {"image": "dev.local/search"}, "true")
    assert told.split() == ["0", "True"]


async def test_an_end_is_as_ever(cluster: Cluster, tmp_path: Path) -> None:
    program = """
import atexit, os, sys, threading
atexit.register(print, "at exit")
opened = [open(os.devnull) for _ in range(64)]
def outlive():
    threading.main_thread().join()
    print("thread", {os.fstat(file.fileno()).st_rdev for file in opened} == {os.stat(os.devnull).st_rdev})
threading.Thread(target=outlive).start()
if len(sys.argv) > 1:
    raise ValueError("the reason")
sys.exit(7)
"""
    cluster.image(tmp_path / "end", "end", program)
    await fill(cluster.launcher)
    pod, text = await outcome(cluster, "end", {"image": "dev.local/end"}, "true")
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 7
    assert text.splitlines() == ["thread True", "at exit"]
    pod, text = await outcome(cluster, "end", {"image": "dev.local/end", "args": ["raise"]}, "true")
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 1
    assert "ValueError: the reason" in text


@pytest.mark.parametrize(
    ("container", "warm", "why"),
    [
        ({"command": ["sh", "-c", "true"]}, "true", "it runs 'sh'"),
        ({"env": [{"name": "PYTHONHASHSEED", "value": "1"}]}, "true", "PYTHONHASHSEED is read only when an"),
        ({}, "yes", f"{WARM_START}: 'yes' is neither of true, false"),
    ],
)
async def test_who_cannot_be_a_fork_starts_as_usual_and_an_event_says_why(
    cluster: Cluster, tmp_path: Path, container: Object, warm: str, why: str
) -> None:
    cluster.image(tmp_path / "well", "well", "print('well')")
    pod, _ = await outcome(cluster, "well", {"image": "dev.local/well", **container}, warm)
    assert pod["status"]["phase"] == "Succeeded"
    told = await cluster.until(EVENT, lambda events: any(one["reason"] == "NotStartedWarm" for one in events))
    (message,) = (one["message"] for one in told if one["reason"] == "NotStartedWarm")
    assert why in message


async def answer(url: str) -> str:
    """Return what is answered at `url`, once somebody listens there."""
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    return await response.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


async def test_a_served_function_answers_as_a_fork(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    code = "from eventmesh.functions import http_function\n@http_function\ndef who(request):\n    import os\n"
    (tmp_path / "served" / "function.py").write_text(code + "    return str(os.getpid())\n")
    cluster.images.add("served", tmp_path / "served")
    forks = await fill(cluster.launcher)
    port = free_port()
    pod = bare("served", {"image": "dev.local/served", "ports": [{"containerPort": port}]})
    pod["metadata"]["annotations"][WARM_START] = "true"
    await cluster.api.create(POD, pod, "default")
    assert int(await answer(f"http://127.0.0.1:{port}/")) in forks
    await cluster.api.delete(POD, "served", "default", grace_seconds=2)
    await cluster.until(POD, lambda pods: not pods)
