"""Which pods wait for somebody to listen before they are ready."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.runtime.cgroups import Limits
from eventmesh.cluster.runtime.podspec import PROTOCOL, containers, limits, listens, user_port


def pod(*items: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}, *items]}}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (pod(), False),
        (pod({"name": "web", "ports": [{"containerPort": 80}]}), True),
        (pod({"name": "web", "readinessProbe": {"exec": {"command": ["true"]}}}), True),
        (pod({"name": "queue-proxy", "env": [{"name": "USER_PORT", "value": "8080"}]}), True),
        ({"metadata": {}, "spec": {"containers": [{"name": "c", "env": [{"name": "PORT", "value": "9"}]}]}}, True),
        ({"metadata": {}, "spec": {"containers": [{"name": "c", "env": [{"name": "K_SINK", "value": "x"}]}]}}, False),
    ],
)
def test_a_pod_that_names_no_port_is_ready_as_soon_as_it_runs(described: dict[str, Any], expected: bool) -> None:
    assert listens(described) is expected
    assert any(container.pushed for container in containers(described)) is expected


@pytest.mark.parametrize(
    ("name", "annotations", "spoken"),
    [
        ("http1", {}, "http1"),
        ("grpc-api", {}, "h2c"),
        ("bolt", {}, "bolt"),
        ("dubbo-orders", {}, "dubbo"),
        ("tri", {}, "h2c"),
        ("rpc", {}, "http1"),
        ("rpc", {PROTOCOL: "motan2"}, "motan2"),
    ],
)
def test_a_port_says_what_is_spoken_and_an_annotation_says_what_its_name_cannot(
    name: str, annotations: dict[str, str], spoken: str
) -> None:
    described = pod({"name": "rpc", "ports": [{"name": name, "containerPort": 7000}]})
    described["metadata"]["annotations"] = annotations
    described["spec"]["containers"] = described["spec"]["containers"][1:]
    assert (user_port(described).number, user_port(described).protocol) == (7000, spoken)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Limits()),
        ({"limits": {"memory": "64Mi", "cpu": "1500m"}}, Limits(64 * 1024 * 1024, 1500, 1500)),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "250m"}}, Limits(None, 1000, 250)),
        ({"limits": {"memory": "0", "cpu": 0}}, Limits(None, None, 0)),
        ({"limits": {"memory": "1500m", "cpu": "0.0005"}}, Limits(2, 1, 1)),
        ({"limits": {"memory": "much"}}, Limits()),
    ],
)
def test_limits_are_read_as_the_kubelet_reads_them(resources: dict[str, Any], expected: Limits) -> None:
    assert limits(pod({"name": "web", "resources": resources}), "web") == expected
