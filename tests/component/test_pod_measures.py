"""What real pods use, and the end of one that takes too much."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventmesh.cluster.api.builtin.metrics import metrics_kinds
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import NODE, NODE_METRICS, POD, POD_METRICS
from tests.component.pod_cluster import bare, running
from tests.waiting import WAIT_S


async def test_pods_are_measured_and_one_above_its_memory_limit_is_ended(tmp_path: Path) -> None:
    # The kernel keeps limits where control groups can be had; where they cannot, measuring does.
    async with running(tmp_path / "data", ControlGroups({}, "none in this test")) as cluster:
        for kind in metrics_kinds(cluster.agent.measuring.pod_metrics, cluster.agent.node.metrics):
            cluster.embedded.catalog.add(kind)
        cluster.image(tmp_path / "busy", "busy", "while True: pass")
        cluster.image(tmp_path / "hog", "hog", "import time; x = bytearray(60_000_000); time.sleep(600)")
        await cluster.api.create(POD, bare("busy", {"image": "dev.local/busy"}), "default")
        limits = {"limits": {"memory": "30Mi"}}
        hog = bare("hog", {"image": "dev.local/hog", "resources": limits}, restartPolicy="Never")
        await cluster.api.create(POD, hog, "default")
        async with asyncio.timeout(WAIT_S):
            pods = await cluster.until(
                POD, lambda pods: any((pod.get("status") or {}).get("phase") == "Failed" for pod in pods)
            )
            (ended,) = [pod for pod in pods if pod["metadata"]["name"] == "hog"]
            while not (metrics := (await cluster.api.list(POD_METRICS, "default")).items):
                await asyncio.sleep(0.05)
        state = ended["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)
        (measured,) = metrics
        assert measured["metadata"]["name"] == "busy"
        assert int(measured["containers"][0]["usage"]["cpu"].removesuffix("n")) > 0
        assert await cluster.api.get(POD_METRICS, "busy", "default")
        with pytest.raises(ApiError) as missing:
            await cluster.api.get(POD_METRICS, "nobody", "default")
        assert missing.value.not_found
        assert (await cluster.api.list(NODE_METRICS)).items == cluster.agent.node.metrics()
        async with asyncio.timeout(WAIT_S):
            while "status" not in (node := await cluster.api.get(NODE, "local")):
                await asyncio.sleep(0.05)
        assert node["status"]["capacity"]["pods"] == "4096"
