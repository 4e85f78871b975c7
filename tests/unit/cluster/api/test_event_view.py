from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.kube.api import ApiError, EventType, Object, Resource
from eventmesh.kube.resources import EVENT
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock

NEWER = Resource("events.k8s.io", "v1", "events", "Event")
NEW: Object = {
    "metadata": {"name": "e"},
    "eventTime": "2026-01-01T00:00:00.123456Z",
    "reportingController": "robot",
    "reportingInstance": "robot-1",
    "action": "Starting",
    "reason": "Started",
    "regarding": {"kind": "Pod", "name": "p"},
    "note": "it runs",
    "type": "Normal",
}
CORE: Object = {
    "metadata": {"name": "c"},
    "involvedObject": {"kind": "Pod", "name": "q"},
    "reason": "Killed",
    "message": "it ran",
    "firstTimestamp": "2026-01-01T00:00:00Z",
    "lastTimestamp": "2026-01-01T00:00:00Z",
    "count": 3,
    "source": {"component": "kubelet"},
    "type": "Warning",
}


async def test_an_event_of_either_group_is_seen_in_both(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        created = await api.create(NEWER, NEW, "default")
        assert (created["apiVersion"], created["note"]) == ("events.k8s.io/v1", "it runs")
        await api.create(EVENT, CORE, "default")
        core = await api.get(EVENT, "e", "default")
        assert (core["apiVersion"], core["message"], core["reportingComponent"]) == ("v1", "it runs", "robot")
        assert core["involvedObject"] == NEW["regarding"]
        newer = await api.get(NEWER, "c", "default")
        assert (newer["note"], newer["deprecatedCount"], newer["deprecatedSource"]) == ("it ran", 3, CORE["source"])
        # Clients of the newer group take no Event without a time.
        assert newer["eventTime"] == "2026-01-01T00:00:00.000000Z"
        late = {**CORE, "metadata": {"name": "z"}, "firstTimestamp": "2026-01-01T02:00:00+02:00"}
        await api.create(EVENT, late, "default")
        assert (await api.get(NEWER, "z", "default"))["eventTime"] == newer["eventTime"]
        timeless = {name: value for name, value in CORE.items() if not name.endswith("Timestamp")}
        created = await api.create(EVENT, {**timeless, "metadata": {"name": "o"}}, "default")
        assert (await api.get(NEWER, "o", "default"))["eventTime"][:19] == created["metadata"]["creationTimestamp"][:19]
        listed = await api.list(NEWER, "default", field_selector="regarding.name=p")
        assert [item["metadata"]["name"] for item in listed.items] == ["e"]
        events = api.watch(NEWER, "default")
        first = await anext(events)
        assert first.type is EventType.ADDED and "note" in first.object and "message" not in first.object


async def test_an_event_is_changed_and_deleted_under_either_name(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        await api.create(NEWER, NEW, "default")
        series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
        await api.patch(NEWER, "e", {"series": series, "note": "again"}, "default")
        assert (await api.get(EVENT, "e", "default"))["message"] == "again"
        await api.patch(EVENT, "e", {"message": "once more"}, "default")
        assert (await api.get(NEWER, "e", "default"))["note"] == "once more"
        await api.delete(NEWER, "e", "default")
        with pytest.raises(ApiError, match="not found"):
            await api.get(EVENT, "e", "default")
