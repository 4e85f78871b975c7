"""Defaults and rules of the sources."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.sources import (
    DEFAULT_SCHEDULE,
    MAX_DATA_BYTES,
    ApiServerSourceAdmission,
    PingSourceAdmission,
)
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api_server_source import MAX_RESOURCES

CREATE = AdmissionRequest("ada")
SINK = {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}}


def ping(**spec: Any) -> dict[str, Any]:
    written = {"sink": SINK, "schedule": "* * * * *", **spec}
    return {"metadata": {"name": "p", "namespace": "shop"}, "spec": written}


def test_a_ping_source_sends_every_minute_and_its_sink_has_a_namespace() -> None:
    made = PingSourceAdmission().default(ping(schedule=""), CREATE)
    assert made["spec"]["schedule"] == DEFAULT_SCHEDULE
    assert made["spec"]["sink"]["ref"]["namespace"] == "shop"
    assert PingSourceAdmission().validate(made, CREATE) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"sink": None}, "spec.sink.ref, spec.sink.uri"),
        ({"sink": {"uri": "/relative"}}, "spec.sink.uri"),
        ({"schedule": "* *"}, "spec.schedule"),
        ({"schedule": "@every 1s"}, "spec.schedule"),
        ({"timezone": "Nowhere"}, "spec.timezone"),
        ({"data": "x", "dataBase64": "eA=="}, "spec.data, spec.dataBase64"),
        ({"dataBase64": "not base64!"}, "spec.dataBase64"),
        ({"data": "x", "contentType": "application/json"}, "spec.data"),
        ({"data": "[1]", "contentType": "application/json"}, "spec.data"),
        ({"dataBase64": base64.b64encode(b"{").decode(), "contentType": "application/json"}, "spec.dataBase64"),
        ({"data": "x" * (MAX_DATA_BYTES + 1)}, "spec.data"),
        ({"data": "x", "contentType": "no media type"}, "spec.contentType"),
        ({"ceOverrides": {"extensions": {"My-Name": "x"}}}, "spec.ceOverrides.extensions"),
        ({"ceOverrides": {"extensions": {"type": ""}}}, "spec.ceOverrides.extensions.type"),
    ],
)
def test_a_ping_source_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    assert [error.path for error in PingSourceAdmission().validate(ping(**spec), CREATE)] == [path]


@pytest.mark.parametrize(
    "spec",
    [
        {"data": '{"a": 1}', "contentType": "application/json"},
        {"dataBase64": "AP8=", "contentType": "application/octet-stream"},
        {"schedule": "*/10 * * * * *", "timezone": "Asia/Tokyo"},
        {"data": "x" * MAX_DATA_BYTES},
        {"ceOverrides": {"extensions": {"subject": "s", "shop": "7"}}},
    ],
)
def test_what_knative_takes_is_taken(spec: dict[str, Any]) -> None:
    assert PingSourceAdmission().validate(ping(**spec), CREATE) == []


def watching(**spec: Any) -> dict[str, Any]:
    written = {"sink": SINK, "resources": [{"apiVersion": "v1", "kind": "Pod"}], **spec}
    return {"metadata": {"name": "s", "namespace": "shop"}, "spec": written}


def test_an_api_server_source_speaks_by_reference_for_the_default_account() -> None:
    made = ApiServerSourceAdmission().default(watching(), CREATE)
    assert (made["spec"]["mode"], made["spec"]["serviceAccountName"]) == ("Reference", "default")
    assert ApiServerSourceAdmission().validate(made, CREATE) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"sink": {}}, "spec.sink.ref, spec.sink.uri"),
        ({"mode": "Everything"}, "spec.mode"),
        ({"resources": []}, "spec.resources"),
        ({"resources": [{"apiVersion": "a/b/c", "kind": "Pod"}]}, "spec.resources[0].apiVersion"),
        ({"resources": [{"apiVersion": "v1", "kind": " "}]}, "spec.resources[0].kind"),
        ({"resources": [{"apiVersion": "v1", "kind": "Pod"}] * (MAX_RESOURCES + 1)}, "spec.resources"),
        (
            {"resources": [{"apiVersion": "v1", "kind": "Pod", "selector": {"matchExpressions": [{"key": "a"}]}}]},
            "spec.resources[0].selector",
        ),
        ({"owner": {"apiVersion": "apps/v1"}}, "spec.owner.kind"),
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}, "spec.namespaceSelector"),
        ({"filters": [{"glob": {}}]}, "spec.filters[0].glob"),
    ],
)
def test_an_api_server_source_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    assert [error.path for error in ApiServerSourceAdmission().validate(watching(**spec), CREATE)] == [path]
