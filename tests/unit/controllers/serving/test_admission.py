"""What may be written of Serving's kinds, and what is filled in."""

import copy
from typing import Any

import pytest

from eventmesh.autoscale.annotations import DOMAIN
from eventmesh.controllers.serving.admission.kinds import serving_admissions
from eventmesh.controllers.serving.names import CREATOR, LAST_MODIFIER
from eventmesh.controllers.serving.settings import Features, RevisionDefaults, ServingSettings
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import CONFIGURATION, KSERVICE, REVISION, ROUTE

CREATE = AdmissionRequest(user="alice")


def service(spec: Object | None = None, *, template: Object | None = None, **metadata: Any) -> Object:
    """A minimal Service; `spec` replaces fields of the template's spec."""
    pod: Object = {"containers": [{"image": "dev.local/hello"}], **(spec or {})}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", **metadata},
        "spec": {"template": {"spec": pod, **(template or {})}},
    }


def container(**fields: Any) -> Object:
    return {"containers": [{"image": "dev.local/hello", **fields}]}


def admit(
    obj: Object,
    request: AdmissionRequest = CREATE,
    resource: Resource = KSERVICE,
    settings: ServingSettings | None = None,
) -> tuple[Object, list[str]]:
    """Default and validate as the API server does; return the object and the complaints."""
    before = copy.deepcopy(obj)
    door = serving_admissions(lambda: settings or ServingSettings())[resource]
    defaulted = door.default(obj, request)
    assert obj == before, "admission must not change what it was given"
    return defaulted, [str(error) for error in door.validate(defaulted, request)]


def test_a_minimal_service_gets_every_default_kn_reads() -> None:
    defaulted, complaints = admit(service())
    assert complaints == []
    assert defaulted["metadata"]["annotations"] == {CREATOR: "alice", LAST_MODIFIER: "alice"}
    assert defaulted["spec"] == {
        "template": {
            "metadata": {},
            "spec": {
                "timeoutSeconds": 300,
                "containerConcurrency": 0,
                "enableServiceLinks": False,
                "containers": [
                    {
                        "image": "dev.local/hello",
                        "name": "user-container",
                        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
                        "resources": {},
                    }
                ],
            },
        },
        "traffic": [{"latestRevision": True, "percent": 100}],
    }


def test_defaulting_twice_changes_nothing() -> None:
    once, _ = admit(service())
    twice, _ = admit(once, AdmissionRequest("bob", old=once))
    assert twice == once


def test_several_containers_are_numbered_and_only_the_serving_one_is_probed() -> None:
    pod = {"containers": [{"image": "a", "ports": [{"containerPort": 80}]}, {"image": "b"}]}
    defaulted, complaints = admit(service(pod))
    first, second = defaulted["spec"]["template"]["spec"]["containers"]
    assert complaints == []
    assert (first["name"], second["name"]) == ("user-container-0", "user-container-1")
    assert "readinessProbe" in first
    assert "readinessProbe" not in second


def test_probes_with_a_period_get_thresholds_and_those_without_get_none() -> None:
    pod = container(
        readinessProbe={"httpGet": {"path": "/"}, "periodSeconds": 5},
        livenessProbe={"httpGet": {"path": "/"}},
    )
    defaulted, complaints = admit(service(pod))
    user = defaulted["spec"]["template"]["spec"]["containers"][0]
    assert complaints == []
    assert user["readinessProbe"] == {
        "httpGet": {"path": "/"}, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3, "timeoutSeconds": 1,
    }  # fmt: skip
    assert user["livenessProbe"] == {"httpGet": {"path": "/"}}


def test_mounts_are_read_only_unless_the_volume_is_meant_for_writing() -> None:
    pod = container(
        volumeMounts=[{"name": "settings", "mountPath": "/etc/app"}, {"name": "scratch", "mountPath": "/scratch"}]
    )
    pod["volumes"] = [{"name": "settings", "configMap": {"name": "c"}}, {"name": "scratch", "emptyDir": {}}]
    defaulted, complaints = admit(service(pod))
    mounts = defaulted["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert complaints == []
    assert [mount.get("readOnly") for mount in mounts] == [True, None]


def test_cluster_defaults_are_those_of_the_config_map() -> None:
    defaults = RevisionDefaults(
        timeout_s=60, response_start_timeout_s=30, idle_timeout_s=9, container_concurrency=5,
        resources={"requests": {"cpu": "1"}},
    )  # fmt: skip
    defaulted, complaints = admit(service(), settings=ServingSettings(defaults=defaults))
    pod = defaulted["spec"]["template"]["spec"]
    assert complaints == []
    assert (pod["timeoutSeconds"], pod["responseStartTimeoutSeconds"], pod["idleTimeoutSeconds"]) == (60, 30, 9)
    assert (pod["containerConcurrency"], pod["containers"][0]["resources"]) == (5, {"requests": {"cpu": "1"}})


def test_only_a_change_of_spec_moves_the_last_modifier() -> None:
    stored, _ = admit(service())
    labelled = copy.deepcopy(stored)
    labelled["metadata"]["labels"] = {"a": "b"}
    same, complaints = admit(labelled, AdmissionRequest("bob", old=stored))
    assert (same["metadata"]["annotations"][LAST_MODIFIER], complaints) == ("alice", [])
    changed = copy.deepcopy(stored)
    changed["spec"]["template"]["spec"]["timeoutSeconds"] = 5
    new, complaints = admit(changed, AdmissionRequest("bob", old=stored))
    assert (new["metadata"]["annotations"], complaints) == ({CREATOR: "alice", LAST_MODIFIER: "bob"}, [])


def test_authorship_survives_a_client_that_drops_it_and_refuses_one_that_forges_it() -> None:
    stored, _ = admit(service())
    bare = copy.deepcopy(stored)
    del bare["metadata"]["annotations"]
    assert admit(bare, AdmissionRequest("bob", old=stored)) == (stored, [])
    forged = copy.deepcopy(stored)
    forged["metadata"]["annotations"] = {CREATOR: "mallory", LAST_MODIFIER: "mallory"}
    _, complaints = admit(forged, AdmissionRequest("mallory", old=stored))
    assert complaints == [
        f"annotation value is immutable: metadata.annotations.{CREATOR}",
        f"modified without spec changes: metadata.annotations.{LAST_MODIFIER}",
    ]


POD = "spec.template.spec"
C0 = f"{POD}.containers[0]"


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


@pytest.mark.parametrize(
    ("name", "fragment"),
    [("1st", "a DNS-1035 label must"), ("Hello", "a DNS-1035 label must"), ("h" * 64, "no more than 63 characters")],
)
def test_a_service_name_is_a_dns_label(name: str, fragment: str) -> None:
    obj = service()
    obj["metadata"]["name"] = name
    (complaint,) = admit(obj)[1]
    assert complaint.startswith("invalid value: not a DNS 1035 label: [")
    assert fragment in complaint
    assert complaint.endswith(": metadata.name")


def test_a_generated_name_is_not_judged_before_it_is_generated() -> None:
    obj = service(generateName="hello-")
    del obj["metadata"]["name"]
    assert admit(obj)[1] == []


@pytest.mark.parametrize(
    ("traffic", "complaint"),
    [
        ([{"percent": 50}], "Traffic targets sum to 50, want 100: spec.traffic"),
        ([{"percent": 100}, {"percent": -1}], "expected 0 <= -1 <= 100: spec.traffic[1].percent"),
        ([{"percent": 100, "tag": "Bad"}], "invalid value: not a DNS 1035 label"),
        (
            [{"percent": 100, "tag": "a"}, {"percent": 0, "tag": "a", "revisionName": "hello-1"}],
            "Multiple definitions for a: spec.traffic[1].tag, spec.traffic[0].tag",
        ),
        ([{"percent": 100, "latestRevision": False}], "invalid value: false: spec.traffic[0].latestRevision"),
        (
            [{"percent": 100, "latestRevision": True, "revisionName": "hello-1"}],
            "invalid value: true: spec.traffic[0].latestRevision",
        ),
        ([{"percent": 100, "configurationName": "x"}], "must not set the field(s): spec.traffic[0].configurationName"),
        ([{"percent": 100, "url": "http://x"}], "must not set the field(s): spec.traffic[0].url"),
        ([{"percent": 100, "revisionName": "A_b"}], "invalid value: not a DNS 1035 label"),
        ([{"percent": "100"}], "invalid value: 100: spec.traffic[0].percent"),
    ],
)
def test_wrong_traffic_is_refused(traffic: list[Object], complaint: str) -> None:
    obj = service()
    obj["spec"]["traffic"] = traffic
    assert any(text.startswith(complaint) for text in admit(obj)[1])


def test_targets_are_completed_as_kn_expects() -> None:
    obj = service()
    obj["spec"]["traffic"] = [{"percent": 100, "revisionName": "hello-00001"}, {"tag": "next"}]
    defaulted, complaints = admit(obj)
    assert complaints == []
    assert defaulted["spec"]["traffic"] == [
        {"percent": 100, "revisionName": "hello-00001", "latestRevision": False},
        {"tag": "next", "percent": 0, "latestRevision": True},
    ]


def test_a_bare_route_needs_a_target_each() -> None:
    route: Object = {"metadata": {"name": "r", "namespace": "default"}, "spec": {"traffic": [{"percent": 100}]}}
    _, none = admit(route, resource=ROUTE)
    assert none == [
        "expected exactly one, got neither: spec.traffic[0].configurationName, spec.traffic[0].revisionName"
    ]
    route["spec"]["traffic"] = [{"percent": 100, "configurationName": "c", "revisionName": "c-1"}]
    assert admit(route, resource=ROUTE)[1][0].startswith("expected exactly one, got both")
    route["spec"]["traffic"] = [{"percent": 100, "configurationName": "c"}]
    assert admit(route, resource=ROUTE)[1] == []
    route["spec"]["traffic"] = []
    assert admit(route, resource=ROUTE)[1] == ["missing field(s): spec.traffic"]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        (
            {"annotations": {f"{DOMAIN}/min-scale": "1"}},
            f'invalid key name "{DOMAIN}/min-scale": metadata.annotations\n'
            'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
        ),
        (
            {"annotations": {"networking.knative.dev/color": "red"}},
            'invalid key name "networking.knative.dev/color": metadata.annotations',
        ),
        (
            {"annotations": {"networking.knative.dev/http-protocol": "ftp"}},
            "invalid value: ftp: metadata.annotations.networking.knative.dev/http-protocol",
        ),
        (
            {"annotations": {"serving.knative.dev/rollout-duration": "soon"}},
            "invalid value: soon: metadata.annotations.serving.knative.dev/rollout-duration",
        ),
        (
            {"labels": {"networking.knative.dev/visibility": "hidden"}},
            "invalid value: hidden: metadata.labels.networking.knative.dev/visibility",
        ),
        (
            {"labels": {"serving.knative.dev/service": "other"}},
            "missing field(s): metadata.labels.serving.knative.dev/service",
        ),
    ],
)
def test_wrong_metadata_is_refused(metadata: Object, complaint: str) -> None:
    assert admit(service(**metadata))[1] == [complaint]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"name": "other-1"}, 'invalid value: "other-1" must have prefix "hello-": spec.template.metadata.name'),
        ({"name": "Hello-1"}, "invalid value: not a DNS 1035 label"),
        (
            {"annotations": {f"{DOMAIN}/window": "5s"}},
            f"expected 6s <= 5s <= 1h0m0s: spec.template.metadata.annotations.{DOMAIN}/window",
        ),
        (
            {"annotations": {"queue.sidecar.serving.knative.dev/color": "red"}},
            'invalid key name "queue.sidecar.serving.knative.dev/color": spec.template.metadata.annotations',
        ),
        (
            {"annotations": {"serving.knative.dev/progress-deadline": "0s"}},
            "invalid value: serving.knative.dev/progress-deadline=0s must be positive",
        ),
        (
            {"annotations": {"serving.knative.dev/progress-deadline": "1.5s"}},
            "invalid value: serving.knative.dev/progress-deadline=1.5s is not at second precision",
        ),
    ],
)
def test_wrong_template_metadata_is_refused(metadata: Object, complaint: str) -> None:
    (found,) = admit(service(template={"metadata": metadata}))[1]
    assert found.startswith(complaint)


def test_a_named_revision_cannot_be_changed_under_its_name() -> None:
    stored, complaints = admit(service(template={"metadata": {"name": "hello-v1"}}))
    assert complaints == []
    changed = copy.deepcopy(stored)
    changed["spec"]["template"]["spec"]["timeoutSeconds"] = 5
    (complaint,) = admit(changed, AdmissionRequest("alice", old=stored))[1]
    assert complaint == (
        "Saw the following changes without a name change (-old +new): spec.template.metadata.name\n"
        "-spec.timeoutSeconds: 300\n+spec.timeoutSeconds: 5"
    )
    changed["spec"]["template"]["metadata"]["name"] = "hello-v2"
    assert admit(changed, AdmissionRequest("alice", old=stored))[1] == []


def test_a_revision_never_changes() -> None:
    revision: Object = {"metadata": {"name": "r-1", "namespace": "default"}, "spec": container()}
    stored, complaints = admit(revision, resource=REVISION)
    assert complaints == []
    assert stored["metadata"]["annotations"] == {}
    changed = copy.deepcopy(stored)
    changed["spec"]["containers"][0]["image"] = "dev.local/other"
    _, complaints = admit(changed, AdmissionRequest("alice", old=stored), REVISION)
    assert complaints == [
        "Immutable fields changed (-old +new): spec\n"
        '-containers[0].image: "dev.local/hello"\n+containers[0].image: "dev.local/other"'
    ]
    labelled = copy.deepcopy(stored)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert admit(labelled, AdmissionRequest("alice", old=stored), REVISION) == (labelled, [])


def test_a_configuration_is_judged_by_its_template() -> None:
    configuration = service(container(image=""))
    configuration["kind"] = "Configuration"
    assert admit(configuration, resource=CONFIGURATION)[1] == [f"missing field(s): {C0}.image"]


@pytest.mark.parametrize("spec", [{"template": "x"}, {}])
def test_an_object_of_the_wrong_shape_is_refused_not_tripped_over(spec: Object) -> None:
    assert admit({"metadata": {"name": "hello"}, "spec": spec})[1]


def test_what_is_being_deleted_may_always_lose_its_finalizers() -> None:
    obj = service(container(image=""), deletionTimestamp="2026-01-01T00:00:00Z")
    assert admit(obj)[1] == []
