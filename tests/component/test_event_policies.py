"""Who may send: real controllers, a real activator, tokens that a real API issues and reviews."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.resources import (
    BROKER,
    CHANNEL,
    CONFIG_MAP,
    EVENT_POLICY,
    JOB_SINK,
    NAMESPACE,
    REQUEST_REPLY,
    SERVICE_ACCOUNT,
    SUBSCRIPTION,
    TOKEN_REVIEW,
    TRIGGER,
)
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import Answer, World, world_in
from tests.mesh.broker_mesh import SHOP, event_headers
from tests.waiting import WAIT_S

AUDIENCE = f"eventing.knative.dev/broker/default/{SHOP}"
SENDER = "system:serviceaccount:default:sender"
JOB_SINK_HOST = "job-sink.knative-eventing.svc.cluster.local"
TO_SHOP = {"ref": {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": SHOP}}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        await authentication(made, "enabled")
        yield made


async def authentication(world: World, flag: str, mode: str = "allow-same-namespace") -> None:
    """Set the switches, and return when the activator and the controllers have heard of them."""
    api = world.mesh.bench.api
    if not any(n["metadata"]["name"] == "knative-eventing" for n in (await api.list(NAMESPACE)).items):
        await api.create(NAMESPACE, {"metadata": {"name": "knative-eventing"}})
    data = {"authentication-oidc": flag, "default-authorization-mode": mode}
    body = {"metadata": {"name": "config-features", "namespace": "knative-eventing"}, "data": data}
    try:
        await api.create(CONFIG_MAP, body, "knative-eventing")
    except ApiError:
        await api.patch(CONFIG_MAP, "config-features", {"data": data}, "knative-eventing")
    wanted = {"enabled": 401, "disabled": 202}[flag]
    await until(world, wanted)
    await world.mesh.bench.until(BROKER, SHOP, lambda broker: bool(audience(broker)) is (flag == "enabled"))


def audience(obj: Object) -> str:
    return str(((obj.get("status") or {}).get("address") or {}).get("audience") or "")


async def until(world: World, status: int, token: str = "", **attributes: str) -> Answer:
    """Return the first answer with that status: what objects say reaches the activator in its own time."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await send(world, token, **attributes)).status != status:
            await asyncio.sleep(0.01)
    return answer


async def send(world: World, token: str = "", path: str = f"/default/{SHOP}", **attributes: str) -> Answer:
    headers = event_headers("1", **attributes) | ({"authorization": f"Bearer {token}"} if token else {})
    return await world.ask(path, headers=headers)


async def token_of(world: World, account: str = "sender", audience: str = AUDIENCE, namespace: str = "default") -> str:
    api = world.mesh.bench.api
    if not any(n["metadata"]["name"] == namespace for n in (await api.list(NAMESPACE)).items):
        await api.create(NAMESPACE, {"metadata": {"name": namespace}})
    if not any(a["metadata"]["name"] == account for a in (await api.list(SERVICE_ACCOUNT, namespace)).items):
        await api.create(SERVICE_ACCOUNT, {"metadata": {"name": account}}, namespace)
    request = {"metadata": {"name": account}, "spec": {"audiences": [audience]}}
    answer = await api.create(SERVICE_ACCOUNT, request, namespace, subresource="token")
    return str(answer["status"]["token"])


async def policy(world: World, spec: Object) -> None:
    await world.mesh.bench.create(EVENT_POLICY, "only", spec)
    await world.mesh.bench.until(EVENT_POLICY, "only", is_ready)


async def subject(world: World, bearer: str, audience: str) -> str:
    review = {"metadata": {}, "spec": {"token": bearer.removeprefix("Bearer "), "audiences": [audience]}}
    status = (await world.mesh.bench.api.create(TOKEN_REVIEW, review))["status"]
    assert status["authenticated"] and status["audiences"] == [audience], status
    return str(status["user"]["username"])


async def when(world: World, resource: Resource, name: str, kind: str, status: str) -> Object:
    return await world.mesh.bench.until(resource, name, lambda o: (condition(o, kind) or {}).get("status") == status)


async def test_a_sender_shows_a_token_for_this_very_broker(world: World) -> None:
    token = await token_of(world)
    assert (await send(world, token)).status == 202
    missing = await send(world)
    assert (missing.status, missing.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in (f"{token}x", await token_of(world, audience="eventing.knative.dev/broker/default/other"), "a.b.c"):
        refused = await send(world, wrong)
        assert refused.status == 401 and wrong not in refused.text
    assert (await send(world, token, "/default/nowhere")).status == 404
    await authentication(world, "disabled")
    assert (await send(world)).status == 202


async def test_without_a_policy_the_default_decides(world: World) -> None:
    stranger = await token_of(world, namespace="elsewhere")
    refused = await send(world, stranger)
    assert (refused.status, "allow-same-namespace" in refused.text) == (403, True)
    await authentication(world, "enabled", "allow-all")
    await until(world, 202, stranger)
    await authentication(world, "enabled", "deny-all")
    await until(world, 403, await token_of(world))


async def test_a_policy_admits_whom_and_what_it_names_and_nobody_else(world: World) -> None:
    friend, other = await token_of(world), await token_of(world, "other")
    await policy(world, {"to": [TO_SHOP], "from": [{"sub": SENDER}], "filters": [{"prefix": {"type": "order."}}]})
    broker = await world.mesh.bench.until(BROKER, SHOP, lambda broker: bool(broker["status"].get("policies")))
    assert broker["status"]["policies"] == [{"apiVersion": EVENT_POLICY.api_version, "name": "only"}]
    refused = await until(world, 403, other, type="order.created")
    assert SENDER not in refused.text and "only" in refused.text
    assert (await send(world, friend, type="order.created")).status == 202
    assert (await send(world, friend, type="bill")).status == 403
    await world.mesh.bench.api.delete(EVENT_POLICY, "only", "default")
    await until(world, 202, other)


async def test_deliveries_show_a_token_of_their_trigger_to_whom_it_is_for(world: World) -> None:
    secured, plain = await world.subscriber(), await world.subscriber()
    await world.trigger("plain", plain)
    spec = {"broker": SHOP, "subscriber": {"uri": secured.url, "audience": "my-function"}, "filter": {}}
    await world.mesh.bench.create(TRIGGER, "secured", spec)
    trigger = await when(world, TRIGGER, "secured", "OIDCIdentityCreated", "True")
    account = trigger["status"]["auth"]["serviceAccountName"]
    assert (account, trigger["status"]["subscriberAudience"]) == (
        "securedoidc-eventing.knative.dev-trigger",
        "my-function",
    )
    await world.log.heard("delivering", trigger="default/secured")
    sent = await token_of(world)
    assert (await send(world, sent)).status == 202
    await secured.until(lambda: bool(secured.got))
    await plain.until(lambda: bool(plain.got))
    shown = secured.got[0].headers["authorization"]
    assert await subject(world, shown, "my-function") == f"system:serviceaccount:default:{account}"
    assert "authorization" not in plain.got[0].headers
    timeline = (await world.ask_admin("/events?broker=default%2Fshop")).text
    for secret in (sent, shown.removeprefix("Bearer ")):
        assert secret not in timeline
        assert all(secret not in f"{message} {fields}" for message, fields in world.log.lines)
        assert all(secret.encode() not in file.read_bytes() for file in world.mesh.data_dir.iterdir())


async def test_what_one_broker_hands_to_a_channel_is_judged_by_its_trigger(world: World) -> None:
    template = {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"}
    await world.mesh.bench.create(CHANNEL, "inbox", {"channelTemplate": template})
    await world.mesh.bench.until(CHANNEL, "inbox", is_ready)
    received = await world.subscriber()
    reference = {"apiVersion": CHANNEL.api_version, "kind": CHANNEL.kind, "name": "inbox"}
    await world.mesh.bench.create(SUBSCRIPTION, "s", {"channel": reference, "subscriber": {"uri": received.url}})
    await world.mesh.bench.until(SUBSCRIPTION, "s", is_ready)
    for name in ("friend", "other"):
        spec = {"broker": SHOP, "subscriber": {"ref": reference}, "filter": {"attributes": {"to": name}}}
        await world.mesh.bench.create(TRIGGER, name, {**spec, "delivery": {"retry": 0}})
        await world.mesh.bench.until(TRIGGER, name, is_ready)
        await world.log.heard("delivering", trigger=f"default/{name}")
    origin = {"ref": {"apiVersion": TRIGGER.api_version, "kind": TRIGGER.kind, "name": "friend"}}
    await policy(world, {"to": [{"ref": reference}], "from": [origin]})
    token = await token_of(world)
    channel_token = await token_of(world, audience="messaging.knative.dev/inmemorychannel/default/inbox")
    host = {"host": "inbox-kn-channel.default.svc.cluster.local", "authorization": f"Bearer {channel_token}"}
    async with asyncio.timeout(WAIT_S):
        while (await world.ask("/", headers=event_headers("0") | host)).status != 403:
            await asyncio.sleep(0.01)
    assert (await send(world, token, to="other")).status == 202
    kept = await world.log.heard("event kept as dead letter", trigger="default/other")
    assert "403" in str(kept["reason"])
    assert (await send(world, token, to="friend")).status == 202
    await received.until(lambda: "1" in received.ids())


async def test_a_job_sink_asks_for_a_token_of_its_own(world: World) -> None:
    pod = {"containers": [{"name": "c", "image": "dev.local/report"}], "restartPolicy": "Never"}
    await world.mesh.bench.create(JOB_SINK, "reports", {"job": {"spec": {"template": {"spec": pod}}}})
    sink = await world.mesh.bench.until(JOB_SINK, "reports", lambda sink: bool(audience(sink)))
    assert audience(sink) == "sinks.knative.dev/jobsink/default/reports"

    async def ask(path: str, method: str = "POST", **more: str) -> Answer:
        body: Any = b"{}" if method == "POST" else None
        return await world.ask(path, method, body, {**event_headers("1"), "host": JOB_SINK_HOST, **more})

    assert (await ask("/default/reports")).status == 401
    stranger = await token_of(world, audience=audience(sink), namespace="elsewhere")
    assert (await ask("/default/reports", authorization=f"Bearer {stranger}")).status == 403
    token = await token_of(world, audience=audience(sink))
    accepted = await ask("/default/reports", authorization=f"Bearer {token}")
    assert accepted.status == 202
    where = accepted.headers["location"]
    assert (await ask(where, "GET")).status == 401
    assert (await ask(where, "GET", authorization=f"Bearer {token}")).status == 202


async def test_who_asks_a_broker_is_admitted_by_the_request_reply_and_by_the_broker(world: World) -> None:
    reference = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": SHOP}
    await world.mesh.bench.create(REQUEST_REPLY, "ask", {"brokerRef": reference, "timeout": "PT0.01S"})
    found = await world.mesh.bench.until(REQUEST_REPLY, "ask", lambda obj: bool(audience(obj)))
    token = await token_of(world, audience=audience(found))

    async def ask(shown: str) -> int:
        headers = event_headers("1") | {"host": "request-reply.knative-eventing.svc.cluster.local"}
        more = {"authorization": f"Bearer {shown}"} if shown else {}
        return (await world.ask("/default/ask", headers=headers | more)).status

    async with asyncio.timeout(WAIT_S):
        while await ask("") != 401:
            await asyncio.sleep(0.01)
    assert await ask(await token_of(world)) == 401
    assert await ask(token) == 504
    await policy(world, {"to": [TO_SHOP], "from": [{"sub": "system:serviceaccount:default:other"}]})
    async with asyncio.timeout(WAIT_S):
        while await ask(token) != 403:
            await asyncio.sleep(0.01)


async def test_a_policy_says_what_it_waits_for_and_holds_no_longer_than_authentication(world: World) -> None:
    origin = {"ref": {"apiVersion": TRIGGER.api_version, "kind": TRIGGER.kind, "name": "later"}}
    await world.mesh.bench.create(EVENT_POLICY, "only", {"to": [TO_SHOP], "from": [origin]})
    waiting = await when(world, EVENT_POLICY, "only", "SubjectsResolved", "False")
    assert "later: not found" in (condition(waiting, "Ready") or {})["message"]
    broker = await when(world, BROKER, SHOP, "EventPoliciesReady", "False")
    assert "only are not ready" in (condition(broker, "EventPoliciesReady") or {})["message"]
    await until(world, 403, await token_of(world))
    await world.mesh.bench.create(
        TRIGGER, "later", {"broker": SHOP, "subscriber": {"uri": "http://127.0.0.1:9/"}, "filter": {}}
    )
    ready = await world.mesh.bench.until(EVENT_POLICY, "only", is_ready)
    assert ready["status"]["from"] == ["system:serviceaccount:default:lateroidc-eventing.knative.dev-trigger"]
    await authentication(world, "disabled")
    off = await when(world, EVENT_POLICY, "only", "AuthenticationEnabled", "False")
    assert (condition(off, "Ready") or {})["reason"] == "OIDCAuthenticationDisabled"
    trigger = await world.mesh.bench.until(TRIGGER, "later", lambda trigger: "auth" not in trigger["status"])
    assert (condition(trigger, "OIDCIdentityCreated") or {})["status"] == "True"
