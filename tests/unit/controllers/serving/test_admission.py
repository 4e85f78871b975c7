"""What may be written of Serving's kinds, and what is filled in."""

import copy

import pytest

from eventmesh.autoscale.annotations import DOMAIN
from eventmesh.controllers.serving.names import CREATOR, LAST_MODIFIER
from eventmesh.controllers.serving.settings import RevisionDefaults, ServingSettings
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIGURATION, REVISION, ROUTE
from tests.unit.controllers.serving.admitting import C0, admit, container, service


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
            {"annotations": {"eventmesh.io/warm-start": "yes"}},
            "invalid value: yes: spec.template.metadata.annotations.eventmesh.io/warm-start",
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
