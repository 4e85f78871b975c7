"""The pods and autoscalers that are made of a Revision, field by field."""

import json
from typing import Any

import pytest

from eventmesh.controllers.children import covers
from eventmesh.controllers.serving.resources.configuration import configuration, route
from eventmesh.controllers.serving.resources.deployment import deployment, progress_deadline_s, user_port
from eventmesh.controllers.serving.resources.pod_autoscaler import pod_autoscaler
from eventmesh.controllers.serving.resources.revision import revision as build_revision
from eventmesh.controllers.serving.settings import DeploymentSettings, ServingSettings
from eventmesh.kube.api import Object

SETTINGS = ServingSettings()
PROBE = {"successThreshold": 1, "tcpSocket": {"port": 0}}


def revision(*containers: Object, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "user-container", "image": "dev.local/hello", "resources": {}, "readinessProbe": PROBE}
    return {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "uid": "r-1",
            "labels": {
                "serving.knative.dev/configuration": "hello",
                "serving.knative.dev/service": "hello",
                "serving.knative.dev/routingState": "active",
                "team": "a",
            },
            "annotations": annotations or {},
        },
        "spec": {
            "containers": list(containers) or [container],
            "timeoutSeconds": 300,
            "containerConcurrency": 0,
            **spec,
        },
    }


def pod_of(obj: Object, **digests: str) -> tuple[dict[str, Object], Object]:
    """Return the containers by name and the pod spec of a revision's Deployment."""
    spec = deployment(obj, digests, SETTINGS)["spec"]["template"]["spec"]
    return {container["name"]: container for container in spec["containers"]}, spec


def environment(container: Object) -> dict[str, Any]:
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


def test_the_deployment_rolls_without_losing_a_pod_and_selects_by_revision() -> None:
    made = deployment(revision(annotations={"serving.knative.dev/routes": "hello", "note": "n"}), {}, SETTINGS)
    assert made["metadata"]["name"] == "hello-00001-deployment"
    assert made["metadata"]["annotations"] == {"note": "n"}
    spec = made["spec"]
    assert spec["selector"] == {"matchLabels": {"serving.knative.dev/revisionUID": "r-1"}}
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    assert (spec["progressDeadlineSeconds"], spec["revisionHistoryLimit"], spec["replicas"]) == (600, 0, 1)
    assert (
        spec["template"]["metadata"]["labels"]
        == made["metadata"]["labels"]
        == {
            "app": "hello-00001",
            "serving.knative.dev/configuration": "hello",
            "serving.knative.dev/revision": "hello-00001",
            "serving.knative.dev/revisionUID": "r-1",
            "serving.knative.dev/service": "hello",
            "team": "a",
        }
    )


def test_autoscaling_annotations_do_not_reach_pods() -> None:
    annotations = {"autoscaling.knative.dev/initial-scale": "3", "note": "n"}
    spec = deployment(revision(annotations=annotations), {}, SETTINGS)["spec"]
    assert spec["template"]["metadata"]["annotations"] == {"note": "n"}
    assert spec["replicas"] == 3


def test_the_users_container_is_told_its_port_and_names_and_probed_by_the_sidecar() -> None:
    containers, spec = pod_of(revision(timeoutSeconds=120), **{"user-container": "dev.local/hello@sha256:1"})
    user = containers["user-container"]
    assert user["image"] == "dev.local/hello@sha256:1"
    assert environment(user) == {
        "PORT": "8080",
        "K_REVISION": "hello-00001",
        "K_CONFIGURATION": "hello",
        "K_SERVICE": "hello",
    }
    assert user["ports"] == [{"name": "user-port", "containerPort": 8080, "protocol": "TCP"}]
    assert "readinessProbe" not in user
    assert user["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert spec["terminationGracePeriodSeconds"] == 120
    assert not {"timeoutSeconds", "containerConcurrency"} & spec.keys()


def test_the_sidecar_gets_queue_proxys_contract() -> None:
    containers, _ = pod_of(revision(containerConcurrency=5, responseStartTimeoutSeconds=9))
    env = environment(containers["queue-proxy"])
    assert json.loads(env.pop("SERVING_READINESS_PROBE")) == {
        "successThreshold": 1,
        "tcpSocket": {"host": "127.0.0.1", "port": 8080},
    }
    assert env == {
        "CONTAINER_CONCURRENCY": "5",
        "HOST_IP": {"fieldRef": {"fieldPath": "status.hostIP"}},
        "QUEUE_SERVING_PORT": "8012",
        "QUEUE_SERVING_TLS_PORT": "8112",
        "REVISION_IDLE_TIMEOUT_SECONDS": "0",
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": "9",
        "REVISION_TIMEOUT_SECONDS": "300",
        "SERVING_CONFIGURATION": "hello",
        "SERVING_LOGGING_CONFIG": "",
        "SERVING_LOGGING_LEVEL": "",
        "SERVING_NAMESPACE": "default",
        "SERVING_POD": {"fieldRef": {"fieldPath": "metadata.name"}},
        "SERVING_POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "SERVING_REVISION": "hello-00001",
        "SERVING_SERVICE": "hello",
        "SYSTEM_NAMESPACE": "knative-serving",
        "USER_PORT": "8080",
    }


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ({"httpGet": {"path": "/up"}}, {"httpGet": {"path": "/up", "host": "127.0.0.1", "port": 9000}}),
        ({"httpGet": {"port": "http1"}}, {"httpGet": {"host": "127.0.0.1", "port": 9000}}),
        ({"tcpSocket": {"port": 9001}}, {"tcpSocket": {"host": "127.0.0.1", "port": 9001}}),
        ({"grpc": {"port": 0}}, {"grpc": {"port": 9000}}),
    ],
)
def test_a_probe_without_a_port_means_where_the_function_listens(probe: Object, told: Object) -> None:
    user = {"name": "c", "image": "i", "ports": [{"containerPort": 9000}], "readinessProbe": probe}
    containers, _ = pod_of(revision(user))
    assert json.loads(environment(containers["queue-proxy"])["SERVING_READINESS_PROBE"]) == told


def test_an_exec_probe_stays_with_the_container() -> None:
    containers, _ = pod_of(revision({"name": "c", "image": "i", "readinessProbe": {"exec": {"command": ["true"]}}}))
    assert containers["c"]["readinessProbe"] == {"exec": {"command": ["true"]}}
    assert "SERVING_READINESS_PROBE" not in environment(containers["queue-proxy"])


def test_only_the_serving_container_gets_the_port() -> None:
    serving = {"name": "a", "image": "a", "ports": [{"containerPort": 9000, "name": "h2c"}]}
    obj = revision({"name": "b", "image": "b"}, serving)
    containers, _ = pod_of(obj)
    assert user_port(obj) == 9000
    assert "PORT" not in environment(containers["b"])
    assert "ports" not in containers["b"]
    assert environment(containers["queue-proxy"])["QUEUE_SERVING_PORT"] == "8013"
    assert pod_autoscaler(obj, SETTINGS)["spec"]["protocolType"] == "h2c"


@pytest.mark.parametrize(
    ("state", "reachability"), [("active", "Reachable"), ("reserve", "Unreachable"), ("pending", ""), ("", "")]
)
def test_reachability_follows_the_routing_state(state: str, reachability: str) -> None:
    obj = revision()
    obj["metadata"]["labels"]["serving.knative.dev/routingState"] = state
    made = pod_autoscaler(obj, SETTINGS)
    assert made["spec"]["reachability"] == reachability
    assert made["metadata"]["annotations"]["autoscaling.knative.dev/class"] == "kpa.autoscaling.knative.dev"
    assert "serving.knative.dev/routingState" not in made["metadata"]["labels"]


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ("junk", 5.0), (None, 5.0)])
def test_the_progress_deadline_is_the_revisions_or_the_clusters(text: str | None, seconds: float) -> None:
    settings = ServingSettings(deployment=DeploymentSettings(progress_deadline_s=5.0))
    annotations = {} if text is None else {"serving.knative.dev/progress-deadline": text}
    assert progress_deadline_s(revision(annotations=annotations), settings) == seconds


def test_a_service_hands_down_metadata_but_not_kubectls_note() -> None:
    note = "kubectl.kubernetes.io/last-applied-configuration"
    service: Object = {
        "metadata": {
            "name": "hello",
            "namespace": "default",
            "uid": "s-1",
            "labels": {"team": "a"},
            "annotations": {note: "{}", "serving.knative.dev/rollout-duration": "10s", "x": "y"},
        },
        "spec": {
            "template": {"metadata": {"annotations": {note: "{}", "a": "b"}}, "spec": {"containers": []}},
            "traffic": [{"percent": 90, "latestRevision": True}, {"percent": 10, "revisionName": "hello-00001"}],
        },
    }
    made, road = configuration(service), route(service)
    assert made["metadata"]["annotations"] == {"x": "y"}
    assert road["metadata"]["annotations"] == {"x": "y", "serving.knative.dev/rollout-duration": "10s"}
    assert road["spec"]["traffic"] == [
        {"percent": 90, "latestRevision": True, "configurationName": "hello"},
        {"percent": 10, "revisionName": "hello-00001"},
    ]
    made["metadata"] |= {"generation": 3, "uid": "c-1"}
    stamped = build_revision(made, "2026-01-01T00:00:00Z")
    assert stamped["metadata"]["name"] == "hello-00003"
    assert stamped["metadata"]["annotations"] == {
        "a": "b",
        "serving.knative.dev/routingStateModified": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("stored", "desired", "same"),
    [
        ({"a": 1, "filled in": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([1, 2], [1], False),
        (None, {}, True),
        (None, [], True),
        (None, {"a": 1}, False),
        ("x", ["x"], False),
    ],
)
def test_what_the_server_fills_in_is_no_difference(stored: object, desired: object, same: bool) -> None:
    assert covers(stored, desired) is same
