"""Tokens over the API's own port: asked for, reviewed, presented, refused, and checked by whoever fetches the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.embedded import SIGNING_KEY, EmbeddedApi
from eventmesh.cluster.api.tokens import ISSUER, MAX_SECONDS, MIN_SECONDS
from eventmesh.cluster.store.store import Store
from eventmesh.kube.account_tokens import KeySet, verify
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import POD, SECRET, SERVICE_ACCOUNT, TOKEN_REVIEW
from tests.component.browser import MAPS, Browser
from tests.component.embedded_api import embedded, http_client, served

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


@pytest.fixture(autouse=True)
async def robot(http: Browser) -> None:
    assert (await http("POST", ACCOUNTS, {"metadata": {"name": "robot"}})).status == 201


async def ask(http: Browser, **spec: Any) -> Any:
    return await http("POST", f"{ACCOUNTS}/robot/token", {"spec": spec})


async def token(http: Browser, **spec: Any) -> str:
    answer = await ask(http, **spec)
    assert answer.status == 201, answer.text
    found: str = answer.json["status"]["token"]
    return found


async def review(http: Browser, bearer: str, *audiences: str) -> Object:
    answer = await http("POST", REVIEWS, {"spec": {"token": bearer, "audiences": list(audiences)}})
    assert answer.status == 201
    status: Object = answer.json["status"]
    return status


async def test_a_token_lets_its_account_in(http: Browser) -> None:
    bearer = f"Bearer {await token(http)}"
    assert (await http("GET", MAPS, Authorization=bearer)).status == 403
    assert (await http("GET", "/api", Authorization=bearer)).status == 200
    who = await http("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, Authorization=bearer)
    info = who.json["status"]["userInfo"]
    assert info["username"] == "system:serviceaccount:default:robot"
    assert "system:serviceaccounts:default" in info["groups"]


async def test_a_token_for_another_audience_is_reviewed_there_and_lets_nobody_in(http: Browser) -> None:
    bearer = await token(http, audiences=["orders", "stock"])
    assert (await http("GET", MAPS, Authorization=f"Bearer {bearer}")).status == 401
    found = await review(http, bearer, "stock", "billing")
    assert (found["authenticated"], found["audiences"]) == (True, ["stock"])
    assert found["user"]["username"] == "system:serviceaccount:default:robot"
    refused = await review(http, bearer)
    assert not refused["authenticated"] and bearer not in refused["error"]


async def test_the_administrators_token_is_reviewed_as_such(http: Browser) -> None:
    admin = http.session.headers["Authorization"].removeprefix("Bearer ")
    assert (await review(http, admin))["user"]["username"] == "kubernetes-admin"
    assert not (await review(http, admin, "orders"))["authenticated"]


async def test_keys_are_published_to_whoever_is_shown_a_token(http: Browser) -> None:
    bearer = await token(http, audiences=["orders"], expirationSeconds=700)
    provider = await http("GET", "/.well-known/openid-configuration", Authorization="")
    assert provider.json["issuer"] == ISSUER
    keys = await http("GET", urlsplit(provider.json["jwks_uri"]).path, Authorization="")
    assert keys.type.startswith("application/jwk-set+json")
    now = SystemClock().now()
    found = verify(bearer, KeySet.of_jwks(keys.json), issuer=ISSUER, audiences=["orders"], now=now)
    assert (found.expires_at - found.issued_at).total_seconds() == 700


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"expirationSeconds": MIN_SECONDS - 1}, "spec.expirationSeconds: Invalid value: 599"),
        ({"expirationSeconds": MAX_SECONDS + 1}, "may not specify a duration larger than 2^32 seconds"),
        ({"expirationSeconds": "soon"}, "spec.expirationSeconds"),
        ({"audiences": "orders"}, "spec.audiences"),
    ],
)
async def test_a_request_out_of_bounds_is_refused_by_field(http: Browser, spec: Object, named: str) -> None:
    answer = await ask(http, **spec)
    assert answer.status == 422 and named in answer.json["message"]


async def test_a_bound_token_ends_with_what_it_is_bound_to(http: Browser) -> None:
    api = http.api.in_process()
    secret = await api.create(SECRET, {"metadata": {"name": "s"}}, "default")
    bound = {"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": secret["metadata"]["uid"]}
    bearer = await token(http, boundObjectRef=bound)
    assert (await review(http, bearer))["authenticated"]
    await api.delete(SECRET, "s", "default")
    assert "Secret s has been deleted" in (await review(http, bearer))["error"]
    assert (await ask(http, boundObjectRef=bound)).status == 404
    await api.create(SECRET, {"metadata": {"name": "s"}}, "default")
    assert (await ask(http, boundObjectRef=bound)).status == 409
    assert (await ask(http, boundObjectRef={"apiVersion": "v1", "kind": "Service", "name": "s"})).status == 400


async def test_an_account_made_anew_is_another(http: Browser) -> None:
    bearer = await token(http)
    api = http.api.in_process()
    await api.delete(SERVICE_ACCOUNT, "robot", "default")
    await api.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    assert "ServiceAccount robot has been deleted" in (await review(http, bearer))["error"]


async def test_nobody_is_bound_to_a_pod_of_another_account(http: Browser) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await http.api.in_process().create(POD, pod, "default")
    answer = await ask(http, boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "p"})
    assert answer.status == 400 and "different serviceaccount name" in answer.json["message"]


async def test_both_kinds_of_client_ask_alike(tmp_path: Path) -> None:
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"name": "robot", "namespace": "default"},
        "spec": {"audiences": ["orders"]},
    }
    async with served(tmp_path / "own") as running, http_client(running.kubeconfig) as client:
        await client.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
        for api in (running.api.in_process(), client):
            answer = await api.create(SERVICE_ACCOUNT, request, "default", subresource="token")
            question = {"spec": {"token": answer["status"]["token"], "audiences": ["orders"]}}
            assert (await api.create(TOKEN_REVIEW, question))["status"]["authenticated"]
            with pytest.raises(ApiError):
                await api.create(POD, request, "default", subresource="token")


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    request = {"metadata": {"name": "robot"}, "spec": {}}
    async with embedded(tmp_path / "own") as before:
        await before.in_process().create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
        answer = await before.in_process().create(SERVICE_ACCOUNT, request, "default", subresource="token")
    assert (tmp_path / "own" / "store" / SIGNING_KEY).stat().st_mode & 0o077 == 0
    async with embedded(tmp_path / "own") as after:
        found, _ = after.authenticator.identify(answer["status"]["token"])
        assert found.name == "system:serviceaccount:default:robot"


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    clock = SystemClock()
    store = Store(tmp_path / "other", clock)
    (tmp_path / "other" / SIGNING_KEY).write_text("no key")
    with pytest.raises(UnavailableError, match=SIGNING_KEY):
        EmbeddedApi(store, clock)
    store.close()
