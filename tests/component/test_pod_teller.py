"""What the runtime tells of a pod is told of that pod alone, and not of its successor of the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.teller import RETRY_S, PodTeller
from eventmesh.kube.api import ApiError
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.resources import POD
from tests.component.embedded_api import embedded
from tests.component.pod_cluster import bare
from tests.manual_clock import ManualClock
from tests.small_disk import needs_root, small_disk


async def test_a_pod_deleted_by_force_leaves_its_successor_alone(tmp_path: Path) -> None:
    async with embedded(tmp_path) as running:
        api = running.in_process()
        first = await api.create(POD, bare("web", {"image": "dev.local/web"}), "default")
        teller = PodTeller(api, EventRecorder(api, "test", SystemClock()), first, SystemClock())
        await teller.publish({"phase": "Running"})
        assert (await api.get(POD, "web", "default"))["status"]["phase"] == "Running"

        await api.delete(POD, "web", "default", grace_seconds=0)
        second = await api.create(POD, bare("web", {"image": "dev.local/web"}), "default")
        await teller.publish({"phase": "Failed"})
        await teller.remove(tmp_path / "web")
        assert await api.get(POD, "web", "default") == second
        assert teller.pod["metadata"]["uid"] == first["metadata"]["uid"]


@needs_root
async def test_what_a_full_disk_keeps_from_being_told_is_told_when_there_is_room(tmp_path: Path) -> None:
    clock, tasks = ManualClock(), TaskGroup("test")
    with small_disk(tmp_path / "disk", 8) as disk:
        async with embedded(disk.directory) as running:
            api = running.in_process()
            pod = await api.create(POD, bare("web", {"image": "dev.local/web"}), "default")
            teller = PodTeller(api, EventRecorder(api, "test", SystemClock()), pod, clock)
            tasks.spawn("status", teller.catch_up())
            disk.fill()
            for size in range(100):
                # The first may still find room in the pages that are there.
                await teller.publish({"phase": "Running", "message": "x" * 200 * size})
            newest = {"phase": "Running", "message": "newest" * 2_000}
            await teller.publish(newest)
            await clock.advance(RETRY_S)
            assert (await api.get(POD, "web", "default"))["status"].get("message") != newest["message"]
            disk.make_room()
            await clock.advance(RETRY_S)
            assert (await api.get(POD, "web", "default"))["status"]["message"] == newest["message"]

            disk.fill()
            with pytest.raises(ApiError, match="full"):
                while True:
                    annotations = {
                        "at": f"{(await api.get(POD, 'web', 'default'))['metadata']['resourceVersion']:x<9000}"
                    }
                    await api.patch(POD, "web", {"metadata": {"annotations": annotations}}, "default")
            removing = tasks.spawn("removal", teller.remove(tmp_path / "nothing"))
            await clock.advance(10 * RETRY_S)
            assert (await api.list(POD, "default")).items and not removing.done()
            disk.make_room()
            await clock.advance(RETRY_S)
            await removing
            assert (await api.list(POD, "default")).items == []
            await tasks.stop()
