"""CertificateSigningRequests of the embedded API: asked for, decided, signed, each by whoever may, and once."""

from __future__ import annotations

import base64
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.resources import SIGNING_REQUEST
from eventmesh.xds.identity.new_key import new_key
from tests.component.embedded_api import embedded

SIGNER = "example.com/mesh"
CERTIFICATE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n").decode()


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with embedded(tmp_path) as running:
        yield EmbeddedApi.in_process(running)


def request(name: str = "one", **spec: object) -> Object:
    _, text = new_key("spiffe://cluster.local/ns/shop/sa/cart")
    asked = {"request": base64.b64encode(text.encode()).decode(), "signerName": SIGNER, "usages": ["client auth"]}
    return {
        "apiVersion": SIGNING_REQUEST.api_version,
        "kind": SIGNING_REQUEST.kind,
        "metadata": {"name": name},
        "spec": {**asked, **spec},
    }


def decided(obj: Object, *kinds: str) -> Object:
    obj = copy.deepcopy(obj)
    conditions = [{"type": kind, "status": "True", "reason": "Test"} for kind in kinds]
    obj["status"] = {**(obj.get("status") or {}), "conditions": conditions}
    return obj


async def test_who_asks_is_written_down_whatever_the_request_says(api: Api) -> None:
    made = await api.create(SIGNING_REQUEST, request(username="somebody-else", groups=["system:masters-of-all"]))
    assert made["spec"]["username"] != "somebody-else" and made["spec"]["username"]
    assert "system:masters-of-all" not in made["spec"].get("groups", ())


async def test_what_is_asked_for_stays_as_it_was(api: Api) -> None:
    made = copy.deepcopy(await api.create(SIGNING_REQUEST, request()))
    made["spec"]["signerName"] = "example.com/other"
    assert (await api.replace(SIGNING_REQUEST, made))["spec"]["signerName"] == SIGNER


async def test_an_approver_decides_and_signs_nothing(api: Api) -> None:
    made = await api.create(SIGNING_REQUEST, request())
    asked = decided(made, "Approved")
    asked["status"]["certificate"] = CERTIFICATE
    stored = await api.replace(SIGNING_REQUEST, asked, subresource="approval")
    assert [one["type"] for one in stored["status"]["conditions"]] == ["Approved"]
    assert "certificate" not in stored["status"]


async def test_a_signer_signs_and_decides_nothing(api: Api) -> None:
    made = await api.create(SIGNING_REQUEST, request())
    asked = decided(made, "Approved", "Failed")
    asked["status"]["certificate"] = CERTIFICATE
    stored = await api.replace(SIGNING_REQUEST, asked, subresource="status")
    assert [one["type"] for one in stored["status"]["conditions"]] == ["Failed"]
    assert stored["status"]["certificate"] == CERTIFICATE


@pytest.mark.parametrize("kind", ["Approved", "Denied"])
async def test_a_decision_is_for_good(api: Api, kind: str) -> None:
    made = await api.create(SIGNING_REQUEST, request())
    stored = await api.replace(SIGNING_REQUEST, decided(made, kind), subresource="approval")
    with pytest.raises(ApiError, match=f"a {kind} condition may not be removed"):
        await api.replace(SIGNING_REQUEST, decided(stored), subresource="approval")
    with pytest.raises(ApiError, match="mutually exclusive"):
        await api.replace(SIGNING_REQUEST, decided(stored, "Approved", "Denied"), subresource="approval")


async def test_a_certificate_is_given_once_and_is_one(api: Api) -> None:
    made = await api.create(SIGNING_REQUEST, request())
    for wrong, told in (("eA==", "CERTIFICATE PEM block"), ("?", "must be of type byte")):
        with pytest.raises(ApiError, match=told):
            await api.replace(SIGNING_REQUEST, {**made, "status": {"certificate": wrong}}, subresource="status")
    given = await api.replace(SIGNING_REQUEST, {**made, "status": {"certificate": CERTIFICATE}}, subresource="status")
    other = base64.b64encode(base64.b64decode(CERTIFICATE) * 2).decode()
    with pytest.raises(ApiError, match="field is immutable"):
        await api.replace(SIGNING_REQUEST, {**given, "status": {"certificate": other}}, subresource="status")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"request": "eA=="}, "spec.request: Invalid value.*PEM block type must be CERTIFICATE REQUEST"),
        ({"request": None}, "spec.request"),
        ({"signerName": None}, "spec.signerName: Required value"),
        ({"signerName": "no-domain"}, "spec.signerName: Invalid value"),
        ({"signerName": "one-label/it"}, "spec.signerName: Invalid value"),
        ({"signerName": "example.com/two/parts"}, "spec.signerName: Invalid value"),
        ({"signerName": "a." * 500_000}, "spec.signerName: Too long: may not be more than 571 bytes"),
        ({"usages": []}, "spec.usages: Required value"),
        ({"expirationSeconds": 599}, "may not specify a duration less than 600 seconds"),
    ],
)
async def test_a_request_that_no_signer_could_use_is_refused_by_its_field(api: Api, spec: Object, told: str) -> None:
    with pytest.raises(ApiError, match=told):
        await api.create(SIGNING_REQUEST, request(**spec))


async def test_an_approval_is_no_part_of_other_kinds(api: Api) -> None:
    made = await api.create(SIGNING_REQUEST, request())
    with pytest.raises(ApiError) as caught:
        await api.replace(SIGNING_REQUEST, made, subresource="decision")
    assert caught.value.code == 404
