"""Files of a running pod's volumes, while objects change and the disk does not take them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventmesh.cluster.runtime.environment import References
from eventmesh.cluster.runtime.volume_keeper import RETRY_S, VolumeKeeper
from eventmesh.cluster.runtime.volumes import PodVolumes
from eventmesh.kube.api import Object
from tests.manual_clock import ManualClock
from tests.small_disk import needs_root, small_disk


class Words(References):
    """One ConfigMap, which changes."""

    text = "first"

    def config_map(self, namespace: str, name: str) -> Object | None:
        return {"data": {"words": self.text}}

    def secret(self, namespace: str, name: str) -> Object | None:
        return None


def mounted(directory: Path, words: Words) -> tuple[PodVolumes, Path]:
    volume = {"name": "v", "configMap": {"name": "words"}}
    volumes = PodVolumes(
        {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"volumes": [volume]}}, "127.64.0.20", directory, words
    )
    (mount,) = volumes.mounts({"volumeMounts": [{"name": "v", "mountPath": "/data"}]}, ())
    return volumes, Path(mount.source) / "words"


@needs_root
async def test_files_that_found_no_room_are_written_once_there_is_however_often_objects_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, words = ManualClock(), Words()
    with small_disk(tmp_path / "disk", 1) as disk:
        volumes, file = mounted(disk.directory, words)
        keeper = VolumeKeeper("p", volumes, clock)
        disk.fill()
        before = len(asyncio.all_tasks())
        for number in range(5):
            words.text = f"{number}" * 5_000
            keeper.refresh()
        await clock.advance(3 * RETRY_S)
        assert file.read_text() == "first"
        assert len(asyncio.all_tasks()) == before + 1, "one attempt serves them all"
        disk.make_room()
        await clock.advance(RETRY_S)
        assert file.read_text() == "4" * 5_000
        assert len(asyncio.all_tasks()) == before
        assert [record.message for record in caplog.records] == ["volumes are behind"]


class Two(References):
    """Two ConfigMaps, of which one may go."""

    def __init__(self) -> None:
        self.text: dict[str, str] = {"a": "first", "b": "first"}

    def config_map(self, namespace: str, name: str) -> Object | None:
        return {"data": {"words": self.text[name]}} if name in self.text else None

    def secret(self, namespace: str, name: str) -> Object | None:
        return None


@pytest.mark.parametrize("missing", ["a", "b"])
def test_volumes_are_kept_up_to_date_beside_one_whose_object_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    two = Two()
    spec = {"volumes": [{"name": name, "configMap": {"name": name}} for name in "ab"]}
    pod = {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}
    volumes = PodVolumes(pod, "127.64.0.20", tmp_path, two)
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in "ab"]
    files = {m.target[1:]: Path(m.source) / "words" for m in volumes.mounts({"volumeMounts": mounts}, ())}
    keeper = VolumeKeeper("p", volumes, ManualClock())
    two.text = {name: "second" for name in "ab" if name != missing}
    keeper.refresh()
    assert {name: file.read_text() for name, file in files.items()} == {"a": "second", "b": "second", missing: "first"}
    assert [record.message for record in caplog.records] == ["a volume keeps its last content"]


async def test_nothing_is_written_of_a_pod_that_has_gone(tmp_path: Path) -> None:
    words = Words()
    volumes, file = mounted(tmp_path / "volumes", words)
    keeper = VolumeKeeper("p", volumes, ManualClock())
    await keeper.stop()
    words.text = "secret"
    keeper.refresh()
    assert file.read_text() == "first"
