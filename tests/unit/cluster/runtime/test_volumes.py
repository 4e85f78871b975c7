"""Files of volumes, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.volumes import File, PodVolumes, write_payload
from eventmesh.kube.api import Object

KEPT = (Path("/home/me/images/hello"),)


class OneConfigMap:
    """ConfigMap `words`, and no Secret."""

    def config_map(self, namespace: str, name: str) -> Object | None:
        return {"data": {"hello": "servus"}} if name == "words" else None

    def secret(self, namespace: str, name: str) -> Object | None:
        return None


def mounts(tmp_path: Path, volume: Object, mount: Object) -> Any:
    pod = {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"volumes": [{"name": "v", **volume}]}}
    asked = {"volumeMounts": [{"name": "v", "mountPath": "/data", **mount}]}
    return PodVolumes(pod, "127.64.0.20", tmp_path / "volumes", OneConfigMap()).mounts(asked, KEPT)


def test_a_new_version_replaces_the_old_as_a_whole(tmp_path: Path) -> None:
    write_payload(tmp_path, {"a": File(b"1"), "deep/b": File(b"2", 0o600)})
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "deep/b").stat().st_mode & 0o777 == 0o600
    write_payload(tmp_path, {"a": File(b"3"), "c": File(b"4")})
    shown = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if not entry.name.startswith("..")}
    assert shown == {"a": b"3", "c": b"4"}
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir() and not entry.is_symlink()]) == 1


def test_volumes_are_nobody_elses(tmp_path: Path) -> None:
    (mount,) = mounts(tmp_path, {"configMap": {"name": "words"}}, {})
    assert (Path(mount.source) / "hello").read_text() == "servus" and mount.read_only
    assert (tmp_path / "volumes").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("volume", "mount", "named"),
    [
        ({"secret": {"secretName": "s"}}, {}, "volumes v: Secret shop/s does not exist"),
        ({"configMap": {"name": "words", "items": [{"key": "k", "path": "p"}]}}, {}, "has no key 'k'"),
        ({"configMap": {"name": "words", "items": [{"key": "hello", "path": "../p"}]}}, {}, "without '..'"),
        ({"configMap": {"name": "words"}}, {"subPath": "nope"}, "volume 'v' has no 'nope'"),
        ({"emptyDir": {}}, {"subPath": "../x"}, "without '..'"),
        ({"emptyDir": {}}, {"subPathExpr": "$(X)"}, "subPathExpr"),
        ({"emptyDir": {}}, {"name": "w"}, "the pod has no volume 'w'"),
        ({"emptyDir": {}}, {"mountPath": "/"}, "mountPath"),
        ({"emptyDir": {}}, {"mountPath": "data"}, "mountPath"),
        ({"emptyDir": {}}, {"mountPath": "/home/me"}, "a local process needs /home/me/images/hello"),
        ({"nfs": {"server": "x", "path": "/"}}, {}, "volumes v: nfs is not supported"),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {},
            "the API has issued none yet",
        ),
        ({"hostPath": {"path": "/no/such/path"}}, {}, "hostPath '/no/such/path' does not exist"),
    ],
)
def test_what_cannot_be_mounted_is_named(tmp_path: Path, volume: Object, mount: Object, named: str) -> None:
    with pytest.raises(ContainerConfigError) as refusal:
        mounts(tmp_path, volume, mount)
    assert named in str(refusal.value)
