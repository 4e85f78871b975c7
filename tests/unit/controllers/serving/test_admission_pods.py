"""Which pods may be written into a template, in Knative's words."""

from typing import Any

import pytest

from eventmesh.controllers.serving.settings import Features, ServingSettings
from eventmesh.kube.api import Object
from tests.unit.controllers.serving.admitting import C0, POD, admit, container, service


@pytest.mark.parametrize(
    ("pod", "complaint"),
    [
        ({"containers": []}, f"missing field(s): {POD}.containers"),
        ({"containers": "x"}, f"invalid value: x: {POD}.containers"),
        ({"restartPolicy": "Always"}, f"must not set the field(s): {POD}.restartPolicy"),
        ({"nodeSelector": {"a": "b"}}, f"must not set the field(s): {POD}.nodeSelector"),
        ({"containerConcurrency": 1001}, f"expected 0 <= 1001 <= 1000: {POD}.containerConcurrency"),
        ({"timeoutSeconds": 601}, f"expected 0 <= 601 <= 600: {POD}.timeoutSeconds"),
        (
            {"timeoutSeconds": 10, "responseStartTimeoutSeconds": 11},
            f"expected 0 <= 11 <= 10: {POD}.responseStartTimeoutSeconds",
        ),
        ({"timeoutSeconds": 10, "idleTimeoutSeconds": -1}, f"expected 0 <= -1 <= 10: {POD}.idleTimeoutSeconds"),
        (container(image=""), f"missing field(s): {C0}.image"),
        (container(lifecycle={}), f"must not set the field(s): {C0}.lifecycle"),
        (container(stdin=True), f"must not set the field(s): {C0}.stdin"),
        (container(tty=True), f"must not set the field(s): {C0}.tty"),
        (container(name="queue-proxy"), f'"queue-proxy" is a reserved container name: {C0}.name'),
        (container(name="No"), f"invalid value: No: {C0}.name"),
        (container(imagePullPolicy="Sometimes"), f"invalid value: Sometimes: {C0}.imagePullPolicy"),
        (
            container(env=[{"name": "PORT", "value": "1"}]),
            f'"PORT" is a reserved environment variable: {C0}.env[0].name',
        ),
        (container(env=[{"value": "1"}]), f"missing field(s): {C0}.env[0].name"),
        (container(env=[{"name": "1a"}]), f"invalid value: 1a: {C0}.env[0].name"),
        (
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]),
            f"must not set the field(s): {C0}.env[0].valueFrom.fieldRef",
        ),
        (
            container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x"}}}]),
            f"missing field(s): {C0}.env[0].valueFrom.secretKeyRef.key",
        ),
        (
            container(envFrom=[{}]),
            f"expected exactly one, got neither: {C0}.envFrom[0].configMapRef, {C0}.envFrom[0].secretRef",
        ),
        (container(envFrom=[{"secretRef": {}}]), f"missing field(s): {C0}.envFrom[0].secretRef.name"),
        (container(ports=[{"containerPort": 8012}]), f"8012 is a reserved port: {C0}.ports[0].containerPort"),
        (container(ports=[{"containerPort": 70000}]), f"expected 0 <= 70000 <= 65535: {C0}.ports[0].containerPort"),
        (container(ports=[{"name": "h2c"}]), f"missing field(s): {C0}.ports[0].containerPort"),
        (
            container(ports=[{"containerPort": 80, "hostPort": 80}]),
            f"must not set the field(s): {C0}.ports[0].hostPort",
        ),
        (container(ports=[{"containerPort": 80, "protocol": "UDP"}]), f"invalid value: UDP: {C0}.ports[0].protocol"),
        (
            container(ports=[{"containerPort": 80, "name": "web"}]),
            f"Port name web is not allowed: {C0}.ports[0].name\nName must be empty, or one of: 'h2c', 'http1'",
        ),
        (
            container(ports=[{"containerPort": 80}, {"containerPort": 81}]),
            f"More than one container port is set: {C0}.ports\nOnly a single port is allowed across all containers",
        ),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/x"}]),
            f"volumeMount has no matching volume: {C0}.volumeMounts[0].name",
        ),
        (
            container(securityContext={"privileged": True}),
            f"must not set the field(s): {C0}.securityContext.privileged",
        ),
        (
            container(securityContext={"runAsUser": -10}),
            f"expected 0 <= -10 <= 2147483647: {C0}.securityContext.runAsUser",
        ),
        (
            container(readinessProbe={"httpGet": {}, "exec": {}}),
            f"expected exactly one, got both: {C0}.readinessProbe.exec, {C0}.readinessProbe.httpGet",
        ),
        (
            container(readinessProbe={"httpGet": {}, "timeoutSeconds": 3}),
            f"timeoutSeconds is disallowed when periodSeconds is zero: {C0}.readinessProbe.timeoutSeconds",
        ),
        (
            container(livenessProbe={"httpGet": {}, "successThreshold": 2}),
            f"expected 1 <= 2 <= 1: {C0}.livenessProbe.successThreshold",
        ),
        (
            container(readinessProbe={"httpGet": {}, "periodSeconds": -1}),
            f"expected 0 <= -1 <= 2147483647: {C0}.readinessProbe.periodSeconds",
        ),
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
            f'volume with name "v" not mounted: {POD}.volumes[0].name',
        ),
    ],
)
def test_a_wrong_pod_is_refused_in_knatives_words(pod: Object, complaint: str) -> None:
    assert admit(service(pod))[1] == [complaint]


def test_an_image_that_is_no_reference_is_refused() -> None:
    _, complaints = admit(service(container(image="not an image")))
    assert complaints == [
        f'Failed to parse image reference: {C0}.image\nimage: "not an image", error: could not parse reference'
    ]


@pytest.mark.parametrize(
    "image",
    ["hello", "dev.local/hello", "gcr.io/a/b-c_d:v1.2", "localhost:5000/x/y:tag", "dev.local/x@sha256:" + "0" * 64],
)
def test_image_references_are_taken_as_registries_take_them(image: str) -> None:
    assert admit(service(container(image=image)))[1] == []


def mounting(volume: Object, **mount: Any) -> Object:
    pod = container(volumeMounts=[{"name": "v", "mountPath": "/x", **mount}])
    return {**pod, "volumes": [{"name": "v", **volume}]}


@pytest.mark.parametrize(
    ("pod", "complaint"),
    [
        (mounting({"hostPath": {"path": "/"}}), "must not set the field(s): spec.template.spec.volumes[0].hostPath"),
        (mounting({"secret": {}}), "missing field(s): spec.template.spec.volumes[0].secret.secretName"),
        (mounting({"configMap": {}}), "missing field(s): spec.template.spec.volumes[0].configMap.name"),
        (mounting({"emptyDir": {}}, mountPath="x"), f"invalid value: x: {C0}.volumeMounts[0].mountPath"),
        (mounting({"emptyDir": {}}, mountPath=""), f"missing field(s): {C0}.volumeMounts[0].mountPath"),
        (
            mounting({"emptyDir": {}}, mountPath="/tmp/"),
            f'mountPath "/tmp/" is a reserved path: {C0}.volumeMounts[0].mountPath',
        ),
        (
            mounting({"emptyDir": {}}, mountPropagation="Bidirectional"),
            f"must not set the field(s): {C0}.volumeMounts[0].mountPropagation",
        ),
    ],
)
def test_a_wrong_volume_is_refused(pod: Object, complaint: str) -> None:
    assert complaint in admit(service(pod))[1]


def test_a_volume_has_one_source() -> None:
    _, none = admit(service(mounting({})))
    _, both = admit(service(mounting({"emptyDir": {}, "secret": {"secretName": "s"}})))
    assert none[0].startswith("expected exactly one, got neither: spec.template.spec.volumes[0].configMap")
    assert both == [
        "expected exactly one, got both: spec.template.spec.volumes[0].emptyDir, spec.template.spec.volumes[0].secret"
    ]


def test_containers_share_one_port_and_no_name() -> None:
    _, none = admit(service({"containers": [{"image": "a"}, {"image": "b"}]}))
    assert none == [f"missing field(s): {POD}.containers[*].ports"]
    ports = [{"containerPort": 80}]
    _, two = admit(service({"containers": [{"image": "a", "ports": ports}, {"image": "b", "ports": ports}]}))
    assert two[0].startswith(f"More than one container port is set: {POD}.containers[*].ports")
    named = {"containers": [{"image": "a", "name": "x", "ports": ports}, {"image": "b", "name": "x"}]}
    assert admit(service(named))[1] == [f'duplicate container name "x": {POD}.containers[1].name']


def test_features_open_what_is_closed() -> None:
    pod = {"nodeSelector": {"a": "b"}, **mounting({"hostPath": {"path": "/"}})}
    opened = Features(frozenset({"kubernetes.podspec-nodeselector", "kubernetes.podspec-volumes-hostpath"}))
    assert admit(service(pod), settings=ServingSettings(features=opened))[1] == []
    two = {"containers": [{"image": "a", "ports": [{"containerPort": 80}]}, {"image": "b"}]}
    _, closed = admit(service(two), settings=ServingSettings(features=opened))
    assert closed == [f"multi-container is off, but found 2 containers: {POD}.containers"]


def test_a_service_account_must_be_a_name_and_is_told_why() -> None:
    _, complaints = admit(service({"serviceAccountName": "foo@bar.baz"}))
    head, _, rule = complaints[0].partition("\n")
    assert head == f"invalid value: foo@bar.baz: {POD}.serviceAccountName"
    assert rule.startswith("a lowercase RFC 1123 subdomain must consist of")
