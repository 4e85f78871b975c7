"""Clients that prove themselves to the embedded API by a certificate, as kind's and k3s' kubeconfigs have it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.certificates import ClientCertificate, issue_client, load_or_make
from eventmesh.cluster.api.identity import holder_of
from tests.component.embedded_api import Served, served

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


def issued(directory: Path, user: str, *groups: str) -> ClientCertificate:
    """Return a certificate of the authority in `directory`."""
    key = load_pem_private_key((directory / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    return issue_client(key, authority, SystemClock(), user, groups)


async def whoami(cluster: Served, client: ClientCertificate | None, tmp_path: Path, **headers: str) -> tuple[int, Any]:
    """Ask the API who asks."""
    context = ssl.create_default_context(cadata=cluster.server.credentials.ca_pem.decode())
    if client is not None:
        pair = tmp_path / "client.pem"
        pair.write_bytes(client.key_pem + client.certificate_pem)
        context.load_cert_chain(pair)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(cluster.server.url, connector=connector) as session,
        session.post(REVIEWS, json=review, headers=headers) as reply,
    ):
        answer = await reply.json()
        return reply.status, answer.get("status", {}).get("userInfo") if reply.status == 201 else answer


ADMINISTRATOR = {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}


def of_kubeconfig(cluster: Served) -> ClientCertificate:
    [user] = yaml.safe_load(cluster.kubeconfig.read_text())["users"]
    certificate, key = (base64.b64decode(user["user"][f"client-{what}-data"]) for what in ("certificate", "key"))
    return ClientCertificate(certificate, key)


async def test_the_certificate_of_the_kubeconfig_is_the_administrators(cluster: Served, tmp_path: Path) -> None:
    assert await whoami(cluster, of_kubeconfig(cluster), tmp_path) == (201, ADMINISTRATOR)


async def test_the_certificate_of_a_former_kubeconfig_stays_good(tmp_path: Path) -> None:
    async with served(tmp_path) as first:
        former = of_kubeconfig(first)
    async with served(tmp_path) as again:
        assert former != of_kubeconfig(again)
        assert await whoami(again, former, tmp_path) == (201, ADMINISTRATOR)


async def test_other_users_and_their_groups_are_read_from_their_certificates(cluster: Served, tmp_path: Path) -> None:
    status, info = await whoami(cluster, issued(tmp_path / "tls", "ann", "devs", "ops"), tmp_path)
    assert (status, info) == (201, {"username": "ann", "groups": ["devs", "ops", "system:authenticated"]})


async def test_a_token_says_more_than_a_certificate(cluster: Served, tmp_path: Path) -> None:
    ann = issued(tmp_path / "tls", "ann")
    _, info = await whoami(cluster, ann, tmp_path, Authorization=f"Bearer {cluster.server.credentials.token}")
    assert info["username"] == "kubernetes-admin"
    assert (await whoami(cluster, ann, tmp_path, Authorization="Bearer wrong"))[0] == 401


async def test_nobody_is_let_in_without_either(cluster: Served, tmp_path: Path) -> None:
    assert (await whoami(cluster, None, tmp_path))[0] == 401
    assert holder_of({"subject": ((("organizationName", "devs"),),)}) is None


async def test_a_certificate_of_another_authority_is_refused(cluster: Served, tmp_path: Path) -> None:
    stranger = load_or_make(tmp_path / "elsewhere", SystemClock()).client
    with pytest.raises(aiohttp.ClientError):
        await whoami(cluster, stranger, tmp_path)
