from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmesh.cluster.api.embedded import CONTROLLER_USER, EmbeddedApi
from eventmesh.cluster.api.inprocess import InProcessApi
from eventmesh.cluster.api.metadata import MAX_ANNOTATIONS_BYTES
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import CONFIG_MAP, KSERVICE, NAMESPACE, POD, SERVICE
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[EmbeddedApi]:
    async with embedded(tmp_path, ManualClock()) as running:
        yield running


@pytest.fixture
def api(cluster: EmbeddedApi) -> InProcessApi:
    return cluster.in_process()


class Stamping:
    """Marks who wrote, and refuses a spec that says so; remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bool]] = []

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        self.requests.append((request.user, request.old is not None))
        annotations = {**obj["metadata"].get("annotations", {}), "by": request.user}
        return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        return [FieldError("expected 0 <= 150 <= 100", "spec.traffic[0].percent")] if obj["spec"].get("traffic") else []


def function(**spec: Any) -> Object:
    return {"metadata": {"name": "hello"}, "spec": {"template": {}, **spec}}


async def test_admission_defaults_and_denies_in_the_words_of_knative(cluster: EmbeddedApi, api: InProcessApi) -> None:
    admission = Stamping()
    cluster.admission.register(KSERVICE, admission)
    created = await api.create(KSERVICE, function(), "default")
    assert created["metadata"]["annotations"] == {"by": CONTROLLER_USER}
    assert admission.requests == [(CONTROLLER_USER, False)]
    with pytest.raises(ApiError) as failure:
        await cluster.in_process("jane").patch(KSERVICE, "hello", {"spec": {"traffic": [{"percent": 1}]}}, "default")
    assert failure.value.message == (
        'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
        "validation failed: expected 0 <= 150 <= 100: spec.traffic[0].percent"
    )
    assert failure.value.code == 400 and admission.requests[-1] == ("jane", True)


async def test_status_is_written_without_admission(cluster: EmbeddedApi, api: InProcessApi) -> None:
    admission = Stamping()
    cluster.admission.register(KSERVICE, admission)
    created = await api.create(KSERVICE, function(), "default")
    await api.replace(KSERVICE, {**created, "status": {"url": "http://x"}}, subresource="status")
    assert len(admission.requests) == 1


async def test_writer_keeps_its_object_and_the_store_its_own(api: InProcessApi) -> None:
    mine = function()
    stored = await api.create(KSERVICE, mine, "default")
    assert "uid" not in mine["metadata"]
    mine["spec"]["template"]["metadata"] = {"name": "changed"}
    assert (await api.get(KSERVICE, "hello", "default")) == stored


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({}, "metadata.name"),
        ({"name": "UPPER"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"name": "-a"}, "metadata.name"),
        ({"name": 5}, "metadata.name"),
        ({"name": "a", "labels": {"bad key": "v"}}, "metadata.labels"),
        ({"name": "a", "labels": {"k": "v" * 64}}, "metadata.labels"),
        ({"name": "a", "labels": {"k": "bad value"}}, "metadata.labels"),
        ({"name": "a", "annotations": {"k": "v" * MAX_ANNOTATIONS_BYTES}}, "metadata.annotations"),
    ],
)
async def test_wrong_metadata_names_its_field(api: InProcessApi, metadata: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as failure:
        await api.create(CONFIG_MAP, {"metadata": metadata}, "default")
    assert failure.value.code == 422
    assert [cause["field"] for cause in failure.value.details["causes"]] == [field]


@pytest.mark.parametrize(
    "metadata",
    [{"name": "a", "labels": {"k": 1}}, {"name": "a", "finalizers": "x"}, {"name": "a", "resourceVersion": "5"}],
)
async def test_metadata_of_the_wrong_shape_is_a_bad_request(api: InProcessApi, metadata: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as failure:
        await api.create(CONFIG_MAP, {"metadata": metadata}, "default")
    assert failure.value.code == 400


async def test_generated_name_stays_a_dns_label(api: InProcessApi) -> None:
    created = await api.create(CONFIG_MAP, {"metadata": {"generateName": "a" * 100}}, "default")
    assert len(created["metadata"]["name"]) == 63


async def test_given_name_wins_over_a_generated_one(api: InProcessApi) -> None:
    both = {"metadata": {"name": "mine", "generateName": "m"}}
    assert (await api.create(CONFIG_MAP, both, "default"))["metadata"]["name"] == "mine"
    with pytest.raises(ApiError, match="already exists"):
        await api.create(CONFIG_MAP, both, "default")


async def test_names_that_become_dns_labels_have_no_dots(api: InProcessApi) -> None:
    for resource, namespace in ((NAMESPACE, None), (SERVICE, "default")):
        with pytest.raises(ApiError, match="RFC 1123 label"):
            await api.create(resource, {"metadata": {"name": "a.b"}, "spec": {}}, namespace)
        with pytest.raises(ApiError, match="63 characters"):
            await api.create(resource, {"metadata": {"name": "a" * 64}, "spec": {}}, namespace)


async def test_server_fields_cannot_be_claimed(api: InProcessApi) -> None:
    claimed = {"name": "a", "uid": "mine", "generation": 9, "creationTimestamp": "1999-01-01T00:00:00Z"}
    created = await api.create(KSERVICE, {**function(), "metadata": claimed}, "default")
    assert created["metadata"]["uid"] != "mine" and created["metadata"]["generation"] == 1
    changed = {**created, "metadata": {**created["metadata"], "generation": 7, "labels": {"a": "b"}}}
    stored = await api.replace(KSERVICE, changed)
    assert stored["metadata"]["generation"] == 1
    with pytest.raises(ApiError, match="UID in precondition"):
        await api.replace(KSERVICE, {**stored, "metadata": {**stored["metadata"], "uid": "mine"}})


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.containers"),
        ({"containers": [{"image": "i"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image"),
        ({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}, "spec.containers[1].name"),
        ({"containers": [{"name": "c", "image": "i", "command": "run"}]}, "spec.containers[0].command"),
    ],
)
async def test_pod_that_cannot_run_names_its_field(api: InProcessApi, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as failure:
        await api.create(POD, {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert [cause["field"] for cause in failure.value.details["causes"]] == [field]


@pytest.mark.parametrize("port", [0, 70_000, None])
async def test_service_port_must_be_a_port(api: InProcessApi, port: int | None) -> None:
    with pytest.raises(ApiError, match="between 1 and 65535"):
        await api.create(SERVICE, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": port}]}}, "default")


async def test_external_name_is_required_and_gets_no_address(api: InProcessApi) -> None:
    with pytest.raises(ApiError, match="spec.externalName: Required value"):
        await api.create(SERVICE, {"metadata": {"name": "s"}, "spec": {"type": "ExternalName"}}, "default")
    spec = {"type": "ExternalName", "externalName": "gateway.local"}
    stored = await api.create(SERVICE, {"metadata": {"name": "s"}, "spec": spec}, "default")
    assert "clusterIP" not in stored["spec"]


async def test_namespaced_verbs_need_a_namespace(api: InProcessApi) -> None:
    with pytest.raises(ApiError, match="needs a namespace"):
        await api.get(CONFIG_MAP, "a")
