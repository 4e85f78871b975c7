"""What the runtime tells of a pod is told of that pod alone, and not of its successor of the same name."""

from __future__ import annotations

from pathlib import Path

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.runtime.teller import PodTeller
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.resources import POD
from tests.component.embedded_api import embedded
from tests.component.pod_cluster import bare


async def test_a_pod_deleted_by_force_leaves_its_successor_alone(tmp_path: Path) -> None:
    async with embedded(tmp_path) as running:
        api = running.in_process()
        first = await api.create(POD, bare("web", {"image": "dev.local/web"}), "default")
        teller = PodTeller(api, EventRecorder(api, "test", SystemClock()), first)
        await teller.publish({"phase": "Running"})
        assert (await api.get(POD, "web", "default"))["status"]["phase"] == "Running"

        await api.delete(POD, "web", "default", grace_seconds=0)
        second = await api.create(POD, bare("web", {"image": "dev.local/web"}), "default")
        await teller.publish({"phase": "Failed"})
        await teller.remove(tmp_path / "web")
        assert await api.get(POD, "web", "default") == second
        assert teller.pod["metadata"]["uid"] == first["metadata"]["uid"]
