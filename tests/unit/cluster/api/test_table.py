from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventmesh.cluster.api.age import UNKNOWN, age, human_duration
from eventmesh.cluster.api.builtin.kinds import _CAVEATS, BUILTIN_KINDS
from eventmesh.cluster.api.builtin.rows import ROWS
from eventmesh.cluster.api.catalog import Catalog
from eventmesh.cluster.api.table import table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CATALOG = Catalog(BUILTIN_KINDS)


def cells(plural: str, obj: dict[str, Any], group: str = "") -> list[Any]:
    served = CATALOG.find(group, "v1", plural)
    assert served is not None
    whole = {**obj, "metadata": {"name": "x", "creationTimestamp": "2025-12-31T23:59:00Z", **obj.get("metadata", {})}}
    [row] = table(served, [whole], {}, "None", NOW)["rows"]
    found: list[Any] = row["cells"]
    return found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_000, "3h20m"),
        (86_400, "24h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (8 * 86_400, "8d"),
        (730 * 86_400, "2y"),
        (731 * 86_400, "2y1d"),
        (3000 * 86_400, "8y"),
    ],
)
def test_durations_read_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize("stamp", [None, "", "yesterday", 5])
def test_age_without_a_time_is_unknown(stamp: object) -> None:
    assert age(stamp, NOW) == UNKNOWN


def test_age_reads_any_offset() -> None:
    assert age("2026-01-01T00:00:30+00:01", NOW) == "30s"
    assert age("2025-12-31T23:59:00", NOW) == "60s"
    assert age((NOW - timedelta(hours=1)).isoformat(), NOW) == "60m"


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        ({"phase": "Pending"}, {}, ["0/1", "Pending", "0"]),
        (
            {"phase": "Running", "containerStatuses": [{"ready": True, "restartCount": 2, "state": {"running": {}}}]},
            {},
            ["1/1", "Running", "2"],
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
            {},
            ["0/1", "CrashLoopBackOff", "0"],
        ),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, {}, ["0/1", "ExitCode:3", "0"]),
        (
            {"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}, {"state": {}}]},
            {},
            ["0/1", "Init:1/0", "0"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]},
            {},
            ["0/1", "Init:ErrImagePull", "0"],
        ),
        (
            {
                "phase": "Failed",
                "initContainerStatuses": [{"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
            },
            {},
            ["0/1", "Init:Error", "0"],
        ),
        (
            {
                "phase": "Succeeded",
                "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [{"state": {"terminated": {"exitCode": 143}}}],
                "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
            },
            {},
            ["0/1", "Completed", "0"],
        ),
        ({"phase": "Running"}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, ["0/1", "Terminating", "0"]),
    ],
)
def test_pod_row_tells_the_most_telling_word(
    status: dict[str, Any], metadata: dict[str, Any], expected: list[str]
) -> None:
    pod = {"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, "status": status}
    assert cells("pods", pod)[1:4] == expected


def test_service_row() -> None:
    service = {"spec": {"type": "ClusterIP", "clusterIP": "None", "ports": [{"port": 80, "protocol": "TCP"}]}}
    assert cells("services", service)[1:6] == ["ClusterIP", "None", "<none>", "80/TCP", "60s"]
    external = {"spec": {"type": "ExternalName", "externalName": "gateway.local"}}
    assert cells("services", external)[1:5] == ["ExternalName", "<none>", "gateway.local", "<none>"]


def test_endpoints_row_is_cut_short() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(5)]
    row = cells("endpoints", {"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]})
    assert row[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."


def test_event_row_begins_with_when_and_ends_with_its_name() -> None:
    event = {
        "involvedObject": {"kind": "Pod", "name": "p"},
        "lastTimestamp": "2025-12-31T23:59:30Z",
        "type": "Warning",
        "reason": "Failed",
        "message": "no such image\n",
        "count": 3,
    }
    row = cells("events", event)
    assert row[:4] == ["30s", "Warning", "Failed", "pod/p"] and row[5] == "no such image"
    assert row[-2:] == [3, "x"]


TEMPLATE = {
    "spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}], "nodeSelector": {"k": "v"}}
}
BOUND = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Bound"}}


@pytest.mark.parametrize(
    ("plural", "group", "obj", "expected"),
    [
        (
            "statefulsets",
            "apps",
            {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"readyReplicas": 2}},
            ["2/3", "60s", "a,b", "x:1,y:2"],
        ),
        (
            "daemonsets",
            "apps",
            {
                "spec": {"template": TEMPLATE, "selector": {"matchLabels": {"app": "d"}}},
                "status": {
                    "desiredNumberScheduled": 5,
                    "currentNumberScheduled": 4,
                    "numberReady": 3,
                    "updatedNumberScheduled": 2,
                    "numberAvailable": 1,
                },
            },
            [5, 4, 3, 2, 1, "k=v", "60s", "a,b", "x:1,y:2", "app=d"],
        ),
        (
            "persistentvolumes",
            "",
            {
                "spec": {
                    "capacity": {"storage": "5Gi"},
                    "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "claimRef": {"namespace": "shop", "name": "data"},
                    "storageClassName": "fast",
                    "volumeMode": "Filesystem",
                },
                "status": {"phase": "Bound", "reason": "because"},
            },
            ["5Gi", "RWO,RWX", "Retain", "Bound", "shop/data", "fast", "<unset>", "because", "60s", "Filesystem"],
        ),
        ("persistentvolumes", "", BOUND, ["0", "", "", "Terminating", "", "", "<unset>", "", "60s", "<unset>"]),
        (
            "persistentvolumeclaims",
            "",
            {
                "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
                "spec": {"volumeName": "pv", "storageClassName": "new", "volumeAttributesClassName": "gold"},
                "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOncePod"]},
            },
            ["Bound", "pv", "5Gi", "RWOP", "old", "gold", "60s", "<unset>"],
        ),
        (
            "persistentvolumeclaims",
            "",
            {
                "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}},
                "status": {"phase": "Pending"},
            },
            ["Pending", "", "", "", "", "<unset>", "60s", "<unset>"],
        ),
        (
            "resourcequotas",
            "",
            {
                "status": {
                    "hard": {"requests.cpu": "2", "limits.memory": "4Gi", "limits.cpu": "4", "pods": "10"},
                    "used": {"requests.cpu": "500m", "limits.memory": "1Gi", "pods": "3"},
                }
            },
            ["pods: 3/10, requests.cpu: 500m/2", "limits.cpu: 0/4, limits.memory: 1Gi/4Gi", "60s"],
        ),
    ],
)
def test_rows_of_workloads_and_of_what_is_set_aside(
    plural: str, group: str, obj: dict[str, Any], expected: list[Any]
) -> None:
    assert cells(plural, obj, group)[1:] == expected


def test_every_row_has_a_cell_for_every_column_whatever_the_object_lacks() -> None:
    for served in BUILTIN_KINDS:
        if served.cells is not None:
            bare = {"metadata": {"name": "x"}}
            assert len(served.cells(bare, NOW)) == len(served.columns), served.kind_key


def test_every_caveat_belongs_to_a_kind() -> None:
    warned = {served.kind_key for served in BUILTIN_KINDS if served.caveat}
    assert warned == set(_CAVEATS)


def test_every_row_belongs_to_a_kind() -> None:
    assert set(ROWS) <= {served.kind_key for served in BUILTIN_KINDS}
