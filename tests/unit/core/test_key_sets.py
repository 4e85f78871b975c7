"""Key sets that are fetched: who waits for them, and what is done without them. Virtual time."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from eventmesh.model.access import AccessStep, Rbac
from eventmesh.model.cluster import Cluster, Endpoint
from tests.tokens import key_set, token
from tests.unit.core.playbook import Peer, Playbook
from tests.unit.core.test_jwt import GOOD, KEYS, PROVIDER, REMOTE, DatedPlaybook, bearing, configured, says, step


def remote(**fields: Any) -> Playbook:
    provider = dataclasses.replace(PROVIDER, keys="", remote=dataclasses.replace(REMOTE, **fields))
    config = configured(step(provider))
    issuer = Cluster("issuer", (Endpoint("10.0.0.9:80"),))
    return DatedPlaybook(dataclasses.replace(config, clusters=(*config.clusters, issuer)))


def answered(keys: str = KEYS) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(keys)}\r\n\r\n{keys}".encode()


def asks(mesh: Playbook) -> Peer:
    client = mesh.connect()
    says(client, **bearing(token(GOOD)))
    return client


def test_keys_are_fetched_once_for_all_that_wait() -> None:
    mesh = remote()
    first, second = asks(mesh), asks(mesh)
    issuer = mesh.dialled("10.0.0.9:80")
    issuer.hears(b"GET /keys?v=1 HTTP/1.1\r\nhost: issuer.test\r\nuser-agent: eventmesh/jwks\r\n\r\n")
    assert not mesh.dials and not first.heard and not second.heard
    issuer.says(answered())
    assert [mesh.dialled("10.0.0.1:80") for _ in range(2)] and not mesh.dials
    third = asks(mesh)
    assert mesh.dialled("10.0.0.1:80") and not third.heard and not issuer.heard
    rows = json.loads(mesh.engine.stats())["counters"]
    assert ["envoy_http_jwt_authn_jwks_fetch_success", {}, 1] in rows


def test_a_body_that_came_meanwhile_is_sent_on() -> None:
    mesh = remote()
    client = mesh.connect()
    text = token(GOOD)
    lines = f"Host: h\r\nContent-Length: 4\r\nauthorization: Bearer {text}\r\n\r\nab"
    client.says(f"POST / HTTP/1.1\r\n{lines}".encode())
    issuer = mesh.dialled("10.0.0.9:80")
    client.says(b"cd")
    issuer.says(answered())
    assert mesh.dialled("10.0.0.1:80").takes().endswith(b"\r\n\r\nabcd")


def test_old_keys_are_fetched_anew_before_anybody_is_judged_by_them() -> None:
    mesh = remote()
    asks(mesh)
    issuer = mesh.dialled()
    issuer.says(answered())
    mesh.dialled()
    mesh.passes(99)
    issuer.takes()
    asks(mesh)
    assert mesh.dialled("10.0.0.1:80") and not issuer.heard
    mesh.passes(2)
    client = asks(mesh)
    assert issuer.takes() and not mesh.dials
    issuer.says(answered(key_set("ES256", name="stranger")))
    assert client.takes().endswith(b"Jwt verification fails")


def test_with_background_fetches_old_keys_hold_meanwhile() -> None:
    mesh = remote(background=True)
    asks(mesh)
    issuer = mesh.dialled()
    issuer.says(answered())
    mesh.dialled()
    issuer.takes()
    mesh.passes(101)
    asks(mesh)
    assert mesh.dialled("10.0.0.1:80") and issuer.takes()
    issuer.says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    asks(mesh)
    assert mesh.dialled("10.0.0.1:80") and not issuer.heard, "nobody asks again at once"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        answered("{}"),
        answered("x"),
        answered(json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        answered(json.dumps({"keys": [{}] * 65})),
        answered(" " * 262_145),
    ],
)
def test_without_keys_nobody_is_let_through_and_the_issuer_is_spared(answer: bytes) -> None:
    mesh = remote()
    client = asks(mesh)
    issuer = mesh.dialled()
    issuer.takes()
    issuer.says(answer)
    assert client.takes().endswith(b"Jwks remote fetch is failed")
    again = asks(mesh)
    assert again.takes().endswith(b"Jwks remote fetch is failed") and not mesh.dials and not issuer.heard
    mesh.passes(1)
    later = asks(mesh)
    assert not later.heard and (mesh.dials or issuer.heard)


def test_an_issuer_that_cannot_be_reached_or_is_silent_is_a_failure() -> None:
    mesh = remote()
    refused = asks(mesh)
    mesh.dials.pop().refuses()
    assert refused.takes().endswith(b"Jwks remote fetch is failed")
    mesh.passes(2)
    silent = asks(mesh)
    mesh.dialled()
    mesh.passes(6)
    assert silent.takes().endswith(b"Jwks remote fetch is failed")
    unknown = asks(remote(cluster="nowhere"))
    assert unknown.takes().endswith(b"Jwks remote fetch is failed")


def test_a_client_that_leaves_while_keys_are_fetched_is_forgotten() -> None:
    mesh = remote()
    client = asks(mesh)
    issuer = mesh.dialled()
    client.vanishes()
    issuer.says(answered())
    assert not mesh.dials and mesh.engine.active() == 0


def test_fetched_keys_stand_over_a_new_configuration() -> None:
    mesh = remote()
    asks(mesh)
    mesh.dialled().says(answered())
    mesh.dialled()
    provider = dataclasses.replace(PROVIDER, keys="", remote=REMOTE)
    issuer = Cluster("issuer", (Endpoint("10.0.0.9:80"),))
    config = configured(step(provider), AccessStep("more", Rbac()))
    mesh.apply(dataclasses.replace(config, clusters=(*config.clusters, issuer)))
    asks(mesh)
    assert mesh.dialled("10.0.0.1:80")
