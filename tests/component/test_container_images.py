"""Container images as pods: what the program of an image sees, may write, and is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP, POD
from eventmesh.kube.status import condition
from tests.component.container_archives import Layer, archive, directory, file, link, shell
from tests.component.pod_cluster import Cluster

AS_ROOT = os.geteuid() == 0


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path / "data")
    await cluster.start()
    yield cluster
    await cluster.stop()


async def run(cluster: Cluster, tmp_path: Path, script: str, *, spec: Object | None = None, **config: Any) -> Object:
    """Run a script in an image with a shell; return the pod once it has ended."""
    people: Layer = [file("etc/passwd", b"web:x:54321:54321::/:\n"), directory("srv"), link("usr/bin", "../bin")]
    config = {"Entrypoint": ["sh", "-c"], "Env": ["GREETING=servus"], **config}
    cluster.images.add("shell", archive(tmp_path / "shell.tar", [shell(), people], config))
    container = {"name": "app", "image": "dev.local/shell", "args": [script], **(spec or {})}
    volumes = container.pop("volumes", [])
    metadata = {"name": "shell", "annotations": {"eventmesh.io/inject": "false"}}
    pod = {"metadata": metadata, "spec": {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}}
    await cluster.api.create(POD, pod, "default")
    (ended,) = await cluster.until(POD, lambda pods: bool(pods) and "terminated" in str(pods[0].get("status")))
    return ended


def is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


async def told(cluster: Cluster, pod: Object) -> list[str]:
    """Return what the program printed; it must have ended well."""
    text = await cluster.log(pod)
    assert pod["status"]["phase"] == "Succeeded", (text, str(pod["status"]["containerStatuses"][0]["state"]))
    return text.splitlines()


async def test_a_program_sees_the_files_of_its_image_and_no_others(cluster: Cluster, tmp_path: Path) -> None:
    script = f"ls /; ls /dev; cat {tmp_path}/data 2>&1; echo $GREETING $PATH; pwd"
    pod = await run(cluster, tmp_path, script, WorkingDir="/srv")
    lines = await told(cluster, pod)
    assert {"bin", "etc", "proc", "dev", "tmp", "srv"} <= set(lines)
    assert not {"home", "root", "opt", "sda", "vda", "mem"} & set(lines)
    assert {"null", "urandom", "fd", "shm"} <= set(lines)
    assert lines[-3].startswith("cat: ") and "No such file" in lines[-3]
    assert lines[-2:] == ["servus /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/srv"]
    image = cluster.images.find("dev.local/shell")
    assert pod["status"]["containerStatuses"][0]["imageID"] == image.reference


async def test_must_have_files_and_should_have_files(cluster: Cluster, tmp_path: Path) -> None:
    """As Serving's runtime contract lists them; what names lead to is the machine's."""
    devices = "full null ptmx random tty urandom zero stdin stdout stderr"
    script = (
        f"for f in {devices}; do test -c /dev/$f -o -p /dev/$f -o -L /dev/$f || echo no $f; done; "
        "for f in /dev/fd/ /dev/pts /proc/self/fd; do test -d $f || echo no $f; done; test -w /tmp || echo no /tmp; "
        "test -e /dev/console || echo no console; echo x > /dev/ptmx && echo terminal; "
        "test -f /etc/resolv.conf || echo no names; cat /etc/hosts; "
        "echo mine 2>/dev/null > /etc/hosts || echo refused; ls /sys"
    )
    lines = await told(cluster, await run(cluster, tmp_path, script))
    assert lines[:2] == ["no console", "terminal"]
    hosts = Path("/etc/hosts").read_text().splitlines()
    assert lines[2 : 2 + len(hosts)] == hosts and "refused" in lines
    assert "kernel" in lines


async def test_should_have_sysctl_read_only(cluster: Cluster, tmp_path: Path) -> None:
    name = "/proc/sys/kernel/core_pattern"
    script = f"cat {name}; cat {name} 2>/dev/null > {name} || echo refused"
    assert await told(cluster, await run(cluster, tmp_path, script)) == [Path(name).read_text().strip(), "refused"]


async def test_should_have_cgroup_read_only_without_limits_too(cluster: Cluster, tmp_path: Path) -> None:
    script = (
        "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do "
        "test ! -e $f || echo 0 2>/dev/null > $f || echo refused; done; echo done"
    )
    has_groups = not ControlGroups.find().note
    assert ("refused" in await told(cluster, await run(cluster, tmp_path, script))) is has_groups


async def test_cmd_args_working_dir_service_and_should_have_stdin_eof(cluster: Cluster, tmp_path: Path) -> None:
    spec = {
        "command": ["sh", "-c"],
        "args": ['echo "$0 $1"; pwd; cat; echo end', "cadabra", "do"],
        "workingDir": "/srv",
    }
    assert await told(cluster, await run(cluster, tmp_path, "", spec=spec)) == ["cadabra do", "/srv", "end"]


async def test_a_link_in_an_image_leads_nowhere_outside_it(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    people: Layer = [link("etc", str(tmp_path / "outside"))]
    cluster.images.add("shell", archive(tmp_path / "linked.tar", [shell(), people], {"Entrypoint": ["sh", "-c"]}))
    container = {"name": "app", "image": "dev.local/shell", "args": ["echo runs"]}
    metadata = {"name": "shell", "annotations": {"eventmesh.io/inject": "false"}}
    pod = {"metadata": metadata, "spec": {"containers": [container], "restartPolicy": "Never"}}
    await cluster.api.create(POD, pod, "default")
    (ended,) = await cluster.until(POD, lambda pods: bool(pods) and "terminated" in str(pods[0].get("status")))
    assert await told(cluster, ended) == ["runs"]
    assert not list((tmp_path / "outside").iterdir())


async def test_what_it_writes_stays_its_own(cluster: Cluster, tmp_path: Path) -> None:
    script = "echo x > /tmp/a && echo y > /etc/b && echo z >> /etc/passwd; cat /tmp/a /etc/b; ls /tmp"
    pod = await run(cluster, tmp_path, script)
    text = await cluster.log(pod)
    root = cluster.images.find("dev.local/shell").root
    assert root is not None
    assert not (root / "etc/b").exists() and not (root / "tmp/a").exists()
    assert (root / "etc/passwd").read_text() == "web:x:54321:54321::/:\n"
    if AS_ROOT:
        assert text.splitlines() == ["x", "y", "a"]


async def test_a_read_only_root_takes_nothing_but_in_tmp(cluster: Cluster, tmp_path: Path) -> None:
    script = "echo x > /tmp/a; cat /tmp/a; echo y 2>/dev/null > /etc/b || echo refused"
    spec = {"securityContext": {"readOnlyRootFilesystem": True}}
    assert await told(cluster, await run(cluster, tmp_path, script, spec=spec)) == ["x", "refused"]


@pytest.mark.parametrize("read_only", [True, False])
async def test_volumes_appear_where_the_image_has_nothing(cluster: Cluster, tmp_path: Path, read_only: bool) -> None:
    await cluster.api.create(CONFIG_MAP, {"metadata": {"name": "words"}, "data": {"hello": "servus"}}, "default")
    spec = {
        "volumes": [{"name": "words", "configMap": {"name": "words"}}, {"name": "room", "emptyDir": {}}],
        "volumeMounts": [
            {"name": "words", "mountPath": "/config"},
            {"name": "words", "mountPath": "/srv/deep/er"},
            {"name": "room", "mountPath": "/var/cache"},
        ],
        "securityContext": {"readOnlyRootFilesystem": read_only},
    }
    script = "cat /config/hello /srv/deep/er/hello; echo; echo 1 > /var/cache/n && cat /var/cache/n; id -u"
    lines = await told(cluster, await run(cluster, tmp_path, script, spec=spec))
    assert lines == ["servusservus", "1", "0"]


async def test_what_is_run_beside_it_sees_what_it_sees(cluster: Cluster, tmp_path: Path) -> None:
    probe = {"exec": {"command": ["sh", "-c", "cat /tmp/made"]}, "periodSeconds": 1}
    script = "echo y > /tmp/made; sleep 1000"
    cluster.images.add("shell", archive(tmp_path / "shell.tar", [shell()], {"Entrypoint": ["sh", "-c"]}))
    container = {"name": "app", "image": "dev.local/shell", "args": [script], "readinessProbe": probe}
    metadata = {"name": "shell", "annotations": {"eventmesh.io/inject": "false"}}
    pod = {"metadata": metadata, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    await cluster.api.create(POD, pod, "default")
    await cluster.until(POD, lambda pods: bool(pods) and is_true(pods[0], "Ready"))


async def test_it_runs_as_the_user_of_the_image_where_that_can_be_granted(cluster: Cluster, tmp_path: Path) -> None:
    # Without root a pod's processes are root of a namespace of their own, which has no other user.
    who = "54321" if AS_ROOT else "0"
    assert await told(cluster, await run(cluster, tmp_path, "id -u; id -g", User="web")) == [who, who]
