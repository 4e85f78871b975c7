"""What the API refuses of a pod, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.builtin.podspec import check_pod_spec, default_pod_spec
from eventmesh.kube.api import Object

C0 = "spec.containers[0]"


def refusals(container: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    whole: Object = {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec}
    default_pod_spec(whole)
    return [str(cause) for cause in check_pod_spec(whole, "spec")]


def test_an_ordinary_pod_is_admitted() -> None:
    probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 3}
    assert refusals({"livenessProbe": probe, "readinessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}}) == []


@pytest.mark.parametrize(
    ("container", "spec", "refusal"),
    [
        ({}, {"restartPolicy": "Sometimes"}, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: '),
        ({}, {"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and"),
        ({}, {"initContainers": [{"name": "c", "image": "i"}]}, f'{C0}.name: Duplicate value: "c"'),
        ({}, {"initContainers": [{"name": "x"}]}, "spec.initContainers[0].image: Required value"),
        (
            {},
            {"initContainers": [{"name": "x", "image": "i", "restartPolicy": "Never"}]},
            'spec.initContainers[0].restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        ({"restartPolicy": "Always"}, {}, f"{C0}.restartPolicy: Forbidden: may not be set for non-init containers"),
        ({"livenessProbe": {}}, {}, f"{C0}.livenessProbe: Required value: must specify a handler type"),
        (
            {"startupProbe": {"exec": {"command": ["x"]}, "grpc": {"port": 1}}},
            {},
            f"{C0}.startupProbe.grpc: Forbidden: may not specify more than 1 handler type",
        ),
        ({"livenessProbe": {"exec": {}}}, {}, f"{C0}.livenessProbe.exec.command: Required value"),
        (
            {"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": -1}},
            {},
            f"{C0}.readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}},
            {},
            f"{C0}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}},
            {},
            f"{C0}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 0}},
            {},
            f"{C0}.livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_field(container: dict[str, Any], spec: dict[str, Any], refusal: str) -> None:
    (found,) = refusals(container, **spec)
    assert found.startswith(refusal)
