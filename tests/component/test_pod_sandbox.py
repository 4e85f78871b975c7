"""What a function's process finds out that it may not, in a process image that asks for nothing special."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.cluster.runtime.sessions import Stream
from eventmesh.kube.api import Object
from eventmesh.kube.resources import POD
from tests.component.pod_cluster import Cluster, bare
from tests.waiting import WAIT_S

PROGRAM = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
descriptors = {}
for number in os.listdir("/proc/self/fd"):
    try:
        descriptors[number] = os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        pass  # that of the directory itself
here = os.path.dirname(os.path.abspath(__file__))
try:
    open(os.path.join(here, "planted"), "w")
    planted = "yes"
except OSError as error:
    planted = os.strerror(error.errno)
print(json.dumps({
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "planted": planted,
    "environment": sorted(os.environ),
    "descriptors": descriptors,
    "session": os.getsid(0) == os.getpid(),
}))
"""


@pytest_asyncio.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for functions")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cluster = Cluster(tmp_path / "data")
    await cluster.start()
    yield cluster
    await cluster.stop()


async def told(cluster: Cluster, tmp_path: Path, name: str, **context: Any) -> tuple[Object, Object]:
    """Return the pod, and what its program has found out."""
    cluster.image(tmp_path / "look", "look", PROGRAM)
    container = {"name": "app", "image": "dev.local/look", "securityContext": context}
    metadata = {"name": name, "annotations": {"eventmesh.io/inject": "false"}}
    pod = {"metadata": metadata, "spec": {"containers": [container], "restartPolicy": "Never"}}
    await cluster.api.create(POD, pod, "default")

    def has_ended(pods: list[Object]) -> bool:
        return any(one["metadata"]["name"] == name and "terminated" in str(one.get("status")) for one in pods)

    pods = await cluster.until(POD, has_ended)
    (ended,) = (one for one in pods if one["metadata"]["name"] == name)
    text = await cluster.log(ended)
    assert ended["status"]["phase"] == "Succeeded", text
    found: Object = json.loads(text)
    return ended, found


async def test_it_gains_no_privileges_unless_its_pod_says_that_it_may(cluster: Cluster, tmp_path: Path) -> None:
    _, found = await told(cluster, tmp_path, "strict")
    assert found["no_new_privileges"] == "1"
    _, found = await told(cluster, tmp_path, "lax", allowPrivilegeEscalation=True)
    assert found["no_new_privileges"] == "0"


async def test_it_cannot_change_the_code_that_others_run(cluster: Cluster, tmp_path: Path) -> None:
    _, found = await told(cluster, tmp_path, "one")
    assert found["planted"] == "Read-only file system"
    assert not (cluster.images.find("dev.local/look").directory / "planted").exists()


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])  # noqa: S108
async def test_its_temporary_files_are_its_own_and_end_with_it(cluster: Cluster, tmp_path: Path, place: str) -> None:
    # The code, the volumes and the interpreter may lie in the same place: those of this test do.
    assert tmp_path.is_relative_to("/tmp")  # noqa: S108
    mark = f"eventmesh-{tmp_path.name}"
    program = f"""
import os, time
print(os.path.exists("{place}/{mark}"), os.environ["TMPDIR"], oct(os.stat("{place}").st_mode & 0o7777), flush=True)
open("{place}/{mark}", "x").close()
time.sleep(1000)
"""
    cluster.image(tmp_path / "writer", "writer", program)
    for name in ("one", "two"):
        await cluster.api.create(POD, bare(name, {"image": "dev.local/writer"}), "default")

    def kept() -> set[str]:
        return {path.parts[-5] for path in (tmp_path / "data" / "pods").glob(f"*/.scratch/app/*/{mark}")}

    async with asyncio.timeout(WAIT_S):
        while len(kept()) < 2:
            await asyncio.sleep(0.02)
        assert not Path(place, mark).exists()
        for pod in (await cluster.api.list(POD, "default")).items:
            while (said := await cluster.log(pod)) == "":
                await asyncio.sleep(0.02)
            assert said.split() == ["False", "/tmp", "0o1777"]  # noqa: S108
        await cluster.api.delete(POD, "one", "default", grace_seconds=1)
        while len(kept()) > 1:
            await asyncio.sleep(0.02)


async def test_a_run_finds_nothing_of_the_one_before(cluster: Cluster, tmp_path: Path) -> None:
    cluster.image(tmp_path / "again", "again", "import os\nprint(os.listdir('/tmp'))\nopen('/tmp/mine', 'x')\n1 / 0")
    volume = {"name": "cache", "emptyDir": {}}
    container = {"image": "dev.local/again", "volumeMounts": [{"name": "cache", "mountPath": "/var/tmp/cache"}]}  # noqa: S108
    await cluster.api.create(POD, bare("again", container, volumes=[volume]), "default")

    def has_run_twice(pods: list[Object]) -> bool:
        return bool(pods) and "'restartCount': 1" in str(pods[0].get("status"))

    (pod,) = await cluster.until(POD, has_run_twice)
    async with asyncio.timeout(WAIT_S):
        while "ZeroDivisionError" not in (said := await cluster.log(pod)):
            await asyncio.sleep(0.02)
    assert "mine" not in said.splitlines()[0]


async def test_what_is_run_beside_it_sees_its_files(cluster: Cluster, tmp_path: Path) -> None:
    program = "import time; open('/tmp/mine', 'w').write('hello'); print('written', flush=True); time.sleep(1000)"
    cluster.image(tmp_path / "idle", "idle", program)
    await cluster.api.create(POD, bare("idle", {"image": "dev.local/idle"}), "default")
    (pod,) = await cluster.until(POD, lambda pods: bool(pods) and "running" in str(pods[0].get("status")))
    async with asyncio.timeout(WAIT_S):
        while await cluster.log(pod) != "written\n":
            await asyncio.sleep(0.02)
        argv = ("cat", "/tmp/mine")  # noqa: S108
        session = await cluster.agent.open_session("default", "idle", "", argv, stdin=False, tty=False)
        try:
            assert await session.read(Stream.STDOUT) == b"hello"
            assert await session.wait() == 0
        finally:
            await session.end()


async def test_nothing_of_the_surroundings_comes_along(cluster: Cluster, tmp_path: Path) -> None:
    _, found = await told(cluster, tmp_path, "one")
    allowed = {"HOME", "HOSTNAME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED"}
    assert set(found["environment"]) <= allowed | {"SSL_CERT_FILE", "TMPDIR", "TZ"}
    assert "AWS_SECRET_ACCESS_KEY" in os.environ
    assert set(found["descriptors"]) == {"0", "1", "2"}
    assert found["session"]


def test_python_of_an_image_is_compiled_when_it_is_added(tmp_path: Path) -> None:
    (tmp_path / "f" / "package").mkdir(parents=True)
    (tmp_path / "f" / "main.py").write_text("import package.inner")
    (tmp_path / "f" / "package" / "inner.py").write_text("x = 1")
    (tmp_path / "f" / "package" / "broken.py").write_text("x = (")
    image = ImageStore(tmp_path / "data").add("it", tmp_path / "f")
    (compiled,) = (image.directory / "package" / "__pycache__").iterdir()
    assert compiled.name.startswith("inner.")
    assert str(image.directory / "package" / "inner.py").encode() in compiled.read_bytes()
