"""SinkBindings and ContainerSources over the embedded API: what becomes of the templates they are about."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.resources import (
    BROKER,
    CONFIG_MAP,
    CONTAINER_SOURCE,
    DEPLOYMENT,
    EVENT,
    JOB,
    KSERVICE,
    SECRET,
    SINK_BINDING,
)
from eventmesh.kube.status import condition
from tests.component.eventing_world import World, world_in
from tests.component.https_sinks import SinkAuthority
from tests.waiting import WAIT_S

SHOP = "http://broker-ingress.knative-eventing.svc.cluster.local/default/shop"
SINK = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "shop"}}
OVERRIDES = {"extensions": {"team": "x"}}
BOUND = {"K_SINK": SHOP, "K_CE_OVERRIDES": '{"extensions":{"team":"x"}}', "OWN": "1"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def deployment(labels: dict[str, str]) -> dict[str, Any]:
    container = {"name": "c", "image": "dev.local/c", "env": [{"name": "OWN", "value": "1"}]}
    first = {**container, "name": "first"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "initContainers": [first]}}
    return {"selector": {"matchLabels": labels}, "template": template}


def environment(obj: Object, containers: str = "containers") -> dict[str, str]:
    (container,) = obj["spec"]["template"]["spec"][containers]
    return {entry["name"]: entry["value"] for entry in container.get("env") or []}


def subject(name: str, resource: Resource = DEPLOYMENT) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "name": name}


async def bind(world: World, about: dict[str, Any]) -> None:
    await world.create(SINK_BINDING, "b", {"subject": about, "sink": SINK, "ceOverrides": OVERRIDES})


async def test_a_subject_is_told_its_sink_and_told_no_more_when_the_binding_goes(world: World) -> None:
    await world.create(BROKER, "shop", {})
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    binding = await world.until(SINK_BINDING, "b", "Ready", "True")
    assert binding["status"]["sinkUri"] == SHOP
    made = await world.api.get(DEPLOYMENT, "sender", "default")
    assert (environment(made), environment(made, "initContainers")) == (BOUND, BOUND)
    assert made["metadata"]["generation"] == 2
    await world.api.delete(SINK_BINDING, "b", "default")
    free = await world.when(DEPLOYMENT, "sender", lambda obj: "K_SINK" not in environment(obj))
    assert environment(free) == {"OWN": "1"}


async def test_what_is_written_after_its_binding_has_its_variables_from_the_first_moment(world: World) -> None:
    await world.create(BROKER, "shop", {})
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "selector": {"matchLabels": {"team": "x"}}}
    await bind(world, about)
    await world.until(SINK_BINDING, "b", "Ready", "True")
    created = await world.create(DEPLOYMENT, "late", deployment({"app": "late"}), labels={"team": "x"})
    assert environment(created) == BOUND
    replaced = await world.api.replace(DEPLOYMENT, {**created, "spec": deployment({"app": "late"})})
    assert environment(replaced) == BOUND
    other = await world.create(DEPLOYMENT, "other", deployment({"app": "other"}))
    assert environment(other) == {"OWN": "1"}


async def test_a_service_is_bound_by_a_new_template(world: World) -> None:
    await world.create(BROKER, "shop", {})
    container = {"image": "dev.local/c", "env": [{"name": "OWN", "value": "1"}]}
    await world.create(KSERVICE, "web", {"template": {"spec": {"containers": [container]}}})
    await bind(world, subject("web", KSERVICE))
    await world.until(SINK_BINDING, "b", "Ready", "True")
    assert environment(await world.api.get(KSERVICE, "web", "default")) == BOUND


async def test_a_job_is_bound_when_it_is_made_and_never_after(world: World) -> None:
    await world.create(BROKER, "shop", {})
    pod = {"containers": [{"name": "c", "image": "dev.local/c"}], "restartPolicy": "Never"}
    await world.create(JOB, "early", {"template": {"spec": pod}}, labels={"team": "x"})
    await bind(world, {"apiVersion": "batch/v1", "kind": "Job", "selector": {"matchLabels": {"team": "x"}}})
    await world.until(SINK_BINDING, "b", "Ready", "True")
    made = await world.create(JOB, "late", {"template": {"spec": pod}}, labels={"team": "x"})
    assert environment(made)["K_SINK"] == SHOP
    touched = await world.api.patch(JOB, "early", {"metadata": {"labels": {"more": "y"}}}, "default")
    assert "K_SINK" not in environment(touched)
    named = {"subject": subject("early", JOB), "sink": SINK}
    await world.create(SINK_BINDING, "named", named)
    late = await world.until(SINK_BINDING, "named", "SinkBindingAvailable", "False")
    assert (condition(late, "SinkBindingAvailable") or {})["reason"] == "SubjectUnavailable"
    for name in ("b", "named"):
        await world.api.delete(SINK_BINDING, name, "default")
    await world.gone(SINK_BINDING)
    assert environment(await world.api.get(JOB, "late", "default"))["K_SINK"] == SHOP


async def test_a_moved_sink_rolls_out(world: World) -> None:
    await world.create(BROKER, "shop", {})
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    binding = await world.until(SINK_BINDING, "b", "Ready", "True")
    elsewhere = {**binding["spec"], "sink": {"uri": "http://elsewhere/"}}
    await world.api.replace(SINK_BINDING, {**binding, "spec": elsewhere})
    await world.when(DEPLOYMENT, "sender", lambda obj: environment(obj)["K_SINK"] == "http://elsewhere/")


async def test_a_binding_says_what_it_waits_for(world: World) -> None:
    await bind(world, subject("sender"))
    waiting = await world.until(SINK_BINDING, "b", "SinkProvided", "False")
    assert (condition(waiting, "Ready") or {})["message"] == 'brokers.eventing.knative.dev "shop" not found'
    await world.create(BROKER, "shop", {})
    missing = await world.until(SINK_BINDING, "b", "SinkBindingAvailable", "False")
    assert (condition(missing, "SinkBindingAvailable") or {})["reason"] == "SubjectMissing"
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await world.until(SINK_BINDING, "b", "Ready", "True")


async def test_a_subject_that_cannot_be_bound_is_named(world: World) -> None:
    await world.create(BROKER, "shop", {})
    await bind(world, {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"})
    failed = await world.until(SINK_BINDING, "b", "SinkBindingAvailable", "False")
    said = condition(failed, "SinkBindingAvailable") or {}
    assert said["reason"] == "SubjectNotSupported" and "Widget (example.com/v1)" in said["message"]


async def test_a_container_source_runs_its_template_with_its_sink_and_follows_changes(world: World) -> None:
    container = {"image": "dev.local/ticker", "env": [{"name": "OWN", "value": "1"}]}
    spec = {"template": {"spec": {"containers": [container]}}, "sink": SINK, "ceOverrides": OVERRIDES}
    source = await world.create(CONTAINER_SOURCE, "ticker", spec)
    assert source["spec"]["template"]["spec"]["containers"][0]["name"] == "ticker-0"
    waiting = await world.until(CONTAINER_SOURCE, "ticker", "SinkBindingReady", "False")
    assert "sinkUri" not in waiting["status"]
    assert (await world.api.list(DEPLOYMENT, "default")).items == []
    await world.create(BROKER, "shop", {})
    made = await world.when(DEPLOYMENT, "ticker-deployment", lambda obj: True)
    assert (environment(made), made["metadata"]["generation"]) == (BOUND, 1)
    available = {"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await world.api.patch(
        DEPLOYMENT, "ticker-deployment", {"status": {"conditions": [available]}}, "default", subresource="status"
    )
    ready = await world.until(CONTAINER_SOURCE, "ticker", "Ready", "True")
    assert ready["status"]["sinkUri"] == SHOP
    changed = json.loads(json.dumps(ready["spec"]))
    changed["template"]["spec"]["containers"][0]["image"] = "dev.local/other"
    await world.api.replace(CONTAINER_SOURCE, {**ready, "spec": changed})
    rolled = await world.when(DEPLOYMENT, "ticker-deployment", lambda obj: obj["metadata"]["generation"] == 2)
    assert rolled["spec"]["template"]["spec"]["containers"][0]["image"] == "dev.local/other"
    assert environment(rolled) == BOUND


@pytest.mark.parametrize(
    ("resource", "spec", "path"),
    [
        (CONTAINER_SOURCE, {"sink": SINK, "template": {"spec": {}}}, "spec.containers"),
        (CONTAINER_SOURCE, {"sink": SINK, "template": {"spec": {"containers": [{}]}}}, r"containers\[0\].image"),
        (CONTAINER_SOURCE, {"template": {"spec": {"containers": [{"image": "x"}]}}}, "spec.sink.ref, spec.sink.uri"),
        (SINK_BINDING, {"sink": SINK}, "spec.subject.apiVersion"),
        (SINK_BINDING, {"sink": SINK, "subject": {"apiVersion": "v1", "kind": "X"}}, "got neither: spec.subject.name"),
        (SINK_BINDING, {"sink": SINK, "subject": {**subject("a"), "namespace": "other"}}, "spec.subject.namespace"),
        (SINK_BINDING, {"sink": SINK, "subject": {**subject("a"), "selector": {}}}, None),
        (SINK_BINDING, {"sink": SINK, "subject": {**subject("a"), "selector": {"matchLabels": {"a": "b"}}}}, "both"),
    ],
)
async def test_what_cannot_work_is_refused_by_its_field(
    world: World, resource: Resource, spec: dict[str, Any], path: str | None
) -> None:
    if path is None:
        await world.create(resource, "x", spec)
        return
    with pytest.raises(ApiError, match=path):
        await world.create(resource, "x", spec)


async def authentication(world: World, flag: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-features"}}
    data = {"authentication-oidc": flag}
    try:
        await world.api.create(CONFIG_MAP, {**body, "data": data}, "knative-eventing")
    except ApiError as error:
        assert error.already_exists
        await world.api.patch(CONFIG_MAP, "config-features", {"data": data}, "knative-eventing")


def mounted(obj: Object) -> tuple[list[str], list[str]]:
    """Return the Secrets that a template projects under the token's volume, and where it is mounted."""
    pod = obj["spec"]["template"]["spec"]
    projected = [
        volume["projected"]["sources"] for volume in pod.get("volumes") or [] if volume["name"] == "oidc-token"
    ]
    containers = [*pod["containers"], *pod.get("initContainers", ())]
    mounts = [mount["mountPath"] for container in containers for mount in container.get("volumeMounts") or ()]
    return [source["secret"]["name"] for sources in projected for source in sources], mounts


async def test_what_is_bound_is_given_a_token_of_the_binding_while_authentication_is_on(world: World) -> None:
    await authentication(world, "enabled")
    await world.create(BROKER, "shop", {})
    await world.until(BROKER, "shop", "Ready", "True")
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    binding = await world.until(SINK_BINDING, "b", "Ready", "True")
    name, account = binding["status"]["oidcTokenSecretName"], binding["status"]["auth"]["serviceAccountName"]
    assert binding["status"]["sinkAudience"]
    secret = await world.api.get(SECRET, name, "default")
    payload = base64.b64decode(secret["data"]["token"]).split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=="))
    assert (claims["sub"], claims["aud"]) == (
        f"system:serviceaccount:default:{account}",
        [binding["status"]["sinkAudience"]],
    )
    made = await world.api.get(DEPLOYMENT, "sender", "default")
    assert mounted(made) == ([name], ["/oidc", "/oidc"])
    assert made["metadata"]["generation"] == 2, "bound once"
    await world.create(DEPLOYMENT, "later", deployment({"app": "later"}))
    await authentication(world, "disabled")
    free = await world.when(DEPLOYMENT, "sender", lambda obj: mounted(obj) == ([], []))
    assert environment(free) == BOUND
    await world.gone(SECRET)


async def test_a_token_whose_time_is_over_or_that_is_gone_is_replaced(world: World) -> None:
    await authentication(world, "enabled")
    await world.create(BROKER, "shop", {})
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    binding = await world.until(SINK_BINDING, "b", "Ready", "True")
    name = binding["status"]["oidcTokenSecretName"]
    over = {"metadata": {"annotations": {"eventmesh.io/ends": "2020-01-01T00:00:00+00:00"}}, "data": {"token": "b2xk"}}
    await world.api.patch(SECRET, name, over, "default")
    renewed = await world.when(SECRET, name, lambda obj: obj["data"]["token"] != "b2xk")
    await world.api.delete(SECRET, name, "default")
    again = await world.when(SECRET, name, lambda obj: obj["metadata"]["uid"] != renewed["metadata"]["uid"])
    assert again["data"]["token"]


async def test_a_secret_of_somebody_else_is_left_alone_and_named(world: World) -> None:
    await authentication(world, "enabled")
    await world.create(BROKER, "shop", {})
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b-oidc-token"}, "data": {"token": "b3Ro"}}
    await world.api.create(SECRET, body, "default")
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    await world.until(SINK_BINDING, "b", "OIDCTokenSecretCreated", "False")
    assert (await world.api.get(SECRET, "b-oidc-token", "default"))["data"] == {"token": "b3Ro"}
    assert "K_SINK" not in environment(await world.api.get(DEPLOYMENT, "sender", "default"))


async def test_a_container_source_sends_under_the_identity_of_its_binding(world: World) -> None:
    await authentication(world, "enabled")
    await world.create(BROKER, "shop", {})
    template = {"spec": {"containers": [{"name": "c", "image": "dev.local/c"}]}}
    await world.create(CONTAINER_SOURCE, "source", {"sink": SINK, "template": template})
    source = await world.when(CONTAINER_SOURCE, "source", lambda obj: "auth" in (obj.get("status") or {}))
    assert source["status"]["sinkAudience"]
    made = await world.when(DEPLOYMENT, "source-deployment", lambda obj: True)
    assert mounted(made)[1] == ["/oidc"]


async def test_what_is_bound_finds_the_trust_bundles_and_who_wrote_a_wrong_one_is_told(world: World) -> None:
    authority = SinkAuthority().pem
    labels = {"networking.knative.dev/trust-bundle": "true"}
    bundle = {"metadata": {"name": "company", "labels": labels}, "data": {"ca.crt": authority, "wrong": "none"}}
    await world.api.create(CONFIG_MAP, bundle, "knative-eventing")
    await world.create(BROKER, "shop", {})
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))
    copy = await world.when(CONFIG_MAP, "companykne-bundle", lambda _: True)
    assert copy["data"] == bundle["data"]

    def mounts(obj: Object, containers: str = "containers") -> list[str]:
        (container,) = obj["spec"]["template"]["spec"][containers]
        return [each["mountPath"] for each in container.get("volumeMounts") or []]

    made = await world.when(DEPLOYMENT, "sender", lambda obj: bool(mounts(obj)))
    assert mounts(made) == mounts(made, "initContainers") == ["/knative-custom-certs"]
    (volume,) = made["spec"]["template"]["spec"]["volumes"]
    assert volume["projected"]["sources"] == [{"configMap": {"name": "companykne-bundle", "optional": True}}]
    events = world.informers.of(EVENT)
    await events.synced()
    async with asyncio.timeout(WAIT_S):
        while not (told := [each for each in events if each["reason"] == "TrustBundleInvalid"]):
            await asyncio.sleep(0.01)
    assert told[0]["involvedObject"]["name"] == "company" and told[0]["message"].endswith("left out: wrong")

    stored = await world.api.get(CONFIG_MAP, "company", "knative-eventing")
    await world.api.replace(CONFIG_MAP, {**stored, "data": {"ca.crt": authority}})
    await world.when(CONFIG_MAP, "companykne-bundle", lambda obj: obj["data"] == {"ca.crt": authority})
    await world.api.delete(CONFIG_MAP, "company", "knative-eventing")
    await world.when(DEPLOYMENT, "sender", lambda obj: not mounts(obj))
    async with asyncio.timeout(WAIT_S):
        while any(each["metadata"]["name"] == "companykne-bundle" for each in world.informers.of(CONFIG_MAP)):
            await asyncio.sleep(0.01)


async def test_a_config_map_that_has_the_name_of_a_bundles_copy_is_told_and_left_alone(world: World) -> None:
    authority = SinkAuthority().pem
    labels = {"networking.knative.dev/trust-bundle": "true"}
    bundle = {"metadata": {"name": "company", "labels": labels}, "data": {"ca.crt": authority}}
    theirs = {"metadata": {"name": "companykne-bundle"}, "data": {"mine": "yes"}}
    await world.api.create(CONFIG_MAP, theirs, "default")
    await world.api.create(CONFIG_MAP, bundle, "knative-eventing")
    await world.create(BROKER, "shop", {})
    await world.create(DEPLOYMENT, "sender", deployment({"app": "sender"}))
    await bind(world, subject("sender"))

    def told(obj: Object) -> Object:
        return condition(obj, "TrustBundlePropagated") or {}

    bound = await world.when(SINK_BINDING, "b", lambda obj: told(obj).get("status") == "False")
    assert (told(bound)["reason"], told(bound)["message"]) == (
        "NotOwned",
        'There is an existing ConfigMap "companykne-bundle" that we do not own.',
    )
    # Nor do pods believe what is in it.
    assert "eventmesh.io/trust-bundles" not in (bound["status"].get("annotations") or {})
    assert (await world.api.get(CONFIG_MAP, "companykne-bundle", "default"))["data"] == {"mine": "yes"}

    await world.api.delete(CONFIG_MAP, "companykne-bundle", "default")
    await world.when(SINK_BINDING, "b", lambda obj: told(obj).get("status") == "True")
    copy = await world.when(CONFIG_MAP, "companykne-bundle", lambda obj: "data" in obj)
    assert copy["data"] == bundle["data"]
