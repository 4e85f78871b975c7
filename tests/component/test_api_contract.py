"""What every `Api` promises: the same tests against the registry in this process and over a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmesh.kube.api import Api, ApiError, EventType, Object, PatchType, Propagation, Resource, WatchEvent
from eventmesh.kube.resources import CONFIG_MAP, CRD, DEPLOYMENT, KSERVICE, NAMESPACE, POD, SECRET, SERVICE_ACCOUNT
from tests.component.embedded_api import embedded, http_client, served
from tests.waiting import WAIT_S


@pytest.fixture(params=["in process", "http"])
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    if request.param == "in process":
        async with embedded(tmp_path) as cluster:
            yield cluster.in_process()
    else:
        async with served(tmp_path) as running, http_client(running.kubeconfig) as client:
            yield client


def config_map(name: str = "settings", **data: str) -> Object:
    return {"metadata": {"name": name}, "data": data}


def pod(name: str, **metadata: Any) -> Object:
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"name": "main", "image": "dev.local/x"}]},
    }


def function(name: str = "hello") -> Object:
    return {"metadata": {"name": name}, "spec": {"template": {"spec": {"containers": [{"image": "dev.local/x"}]}}}}


def deployment(name: str, replicas: int = 1) -> Object:
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(name)["spec"]},
        },
    }


def owned_by(owner: Object, *, block: bool = False) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": block,
    }


async def next_event(watch: AsyncIterator[WatchEvent], *, bookmarks: bool = False) -> WatchEvent:
    async with asyncio.timeout(WAIT_S):
        async for event in watch:
            if bookmarks or event.type is not EventType.BOOKMARK:
                return event
    raise AssertionError("the watch ended")


async def until_gone(api: Api, resource: Any, name: str, namespace: str | None = "default") -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await api.get(resource, name, namespace)
            except ApiError as error:
                assert error.not_found
                return
            await asyncio.sleep(0.005)


async def test_created_object_has_what_only_the_server_says(api: Api) -> None:
    created = await api.create(CONFIG_MAP, config_map(a="1"), "default")
    assert (created["apiVersion"], created["kind"]) == ("v1", "ConfigMap")
    metadata = created["metadata"]
    assert metadata["namespace"] == "default"
    assert metadata["uid"] and metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0
    assert await api.get(CONFIG_MAP, "settings", "default") == created


async def test_generated_names_differ(api: Api) -> None:
    unnamed = {"metadata": {"generateName": "job-"}}
    names = {(await api.create(CONFIG_MAP, unnamed, "default"))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3 and all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_second_create_is_already_exists(api: Api) -> None:
    await api.create(CONFIG_MAP, config_map(), "default")
    with pytest.raises(ApiError, match='configmaps "settings" already exists') as failure:
        await api.create(CONFIG_MAP, config_map(), "default")
    assert failure.value.already_exists and failure.value.code == 409


async def test_missing_object_is_named_with_its_group(api: Api) -> None:
    with pytest.raises(ApiError, match='services.serving.knative.dev "x" not found') as failure:
        await api.get(KSERVICE, "x", "default")
    assert failure.value.not_found
    assert failure.value.details == {"name": "x", "kind": "services", "group": "serving.knative.dev"}


async def test_missing_namespace_is_named(api: Api) -> None:
    with pytest.raises(ApiError, match='namespaces "nowhere" not found'):
        await api.create(CONFIG_MAP, config_map(), "nowhere")


async def test_wrong_name_is_invalid_and_names_the_field(api: Api) -> None:
    with pytest.raises(ApiError) as failure:
        await api.create(CONFIG_MAP, config_map("Not_A_Name"), "default")
    assert (failure.value.code, failure.value.reason) == (422, "Invalid")
    assert failure.value.details["causes"][0]["field"] == "metadata.name"


async def test_stale_replace_is_a_conflict_and_changes_nothing(api: Api) -> None:
    first = await api.create(CONFIG_MAP, config_map(a="1"), "default")
    second = await api.replace(CONFIG_MAP, {**first, "data": {"a": "2"}})
    with pytest.raises(ApiError, match="please apply your changes to the latest version") as failure:
        await api.replace(CONFIG_MAP, {**first, "data": {"a": "3"}})
    assert failure.value.conflict
    assert await api.get(CONFIG_MAP, "settings", "default") == second


async def test_replace_that_changes_nothing_keeps_the_version(api: Api) -> None:
    first = await api.create(CONFIG_MAP, config_map(a="1"), "default")
    assert await api.replace(CONFIG_MAP, first) == first


async def test_custom_object_is_not_replaced_without_a_version(api: Api) -> None:
    created = await api.create(KSERVICE, function(), "default")
    metadata = {key: value for key, value in created["metadata"].items() if key != "resourceVersion"}
    with pytest.raises(ApiError, match="must be specified for an update") as failure:
        await api.replace(KSERVICE, {**created, "metadata": metadata})
    assert failure.value.code == 422


async def test_generation_counts_changes_of_the_spec_alone(api: Api) -> None:
    created = await api.create(KSERVICE, function(), "default")
    assert created["metadata"]["generation"] == 1
    labelled = await api.patch(KSERVICE, "hello", {"metadata": {"labels": {"a": "b"}}}, "default")
    assert labelled["metadata"]["generation"] == 1
    changed = await api.patch(KSERVICE, "hello", {"spec": {"template": {"metadata": {"name": "n"}}}}, "default")
    assert changed["metadata"]["generation"] == 2


async def test_status_and_spec_are_written_apart(api: Api) -> None:
    created = await api.create(KSERVICE, {**function(), "status": {"url": "http://early"}}, "default")
    assert "status" not in created
    wanted = {**created, "spec": {"traffic": []}, "status": {"url": "http://hello"}}
    stored = await api.replace(KSERVICE, wanted, subresource="status")
    assert stored["status"] == {"url": "http://hello"}
    assert stored["spec"] == created["spec"] and stored["metadata"]["generation"] == 1
    changed = await api.patch(KSERVICE, "hello", {"status": {"url": "http://no"}, "spec": {"traffic": []}}, "default")
    assert changed["status"] == {"url": "http://hello"} and changed["spec"]["traffic"] == []


@pytest.mark.parametrize(
    ("patch_type", "patch", "expected"),
    [
        (PatchType.MERGE, {"data": {"b": None, "c": "3"}}, {"a": "1", "c": "3"}),
        (PatchType.STRATEGIC, {"data": {"$retainKeys": ["a"], "a": "9"}}, {"a": "9"}),
        (PatchType.JSON, [{"op": "move", "from": "/data/a", "path": "/data/z"}], {"b": "2", "z": "1"}),
    ],
)
async def test_patch_types(api: Api, patch_type: PatchType, patch: object, expected: dict[str, str]) -> None:
    await api.create(CONFIG_MAP, config_map(a="1", b="2"), "default")
    patched = await api.patch(CONFIG_MAP, "settings", patch, "default", patch_type=patch_type)
    assert patched["data"] == expected


async def test_strategic_patch_of_a_custom_object_is_refused(api: Api) -> None:
    await api.create(KSERVICE, function(), "default")
    with pytest.raises(ApiError, match="accepted media types include: application/json-patch") as failure:
        await api.patch(KSERVICE, "hello", {}, "default", patch_type=PatchType.STRATEGIC)
    assert failure.value.code == 415


async def test_json_patch_whose_test_fails_changes_nothing(api: Api) -> None:
    created = await api.create(CONFIG_MAP, config_map(a="1"), "default")
    patch = [{"op": "replace", "path": "/data/a", "value": "2"}, {"op": "test", "path": "/data/a", "value": "9"}]
    with pytest.raises(ApiError) as failure:
        await api.patch(CONFIG_MAP, "settings", patch, "default", patch_type=PatchType.JSON)
    assert failure.value.code == 422
    assert await api.get(CONFIG_MAP, "settings", "default") == created


async def test_scale_is_patched_apart(api: Api) -> None:
    await api.create(DEPLOYMENT, deployment("web"), "default")
    scale = await api.patch(DEPLOYMENT, "web", {"spec": {"replicas": 3}}, "default", subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 3}, "app=web")
    stored = await api.get(DEPLOYMENT, "web", "default")
    assert stored["spec"]["replicas"] == 3 and stored["metadata"]["generation"] == 2


async def test_scale_below_zero_is_invalid(api: Api) -> None:
    await api.create(DEPLOYMENT, deployment("web"), "default")
    with pytest.raises(ApiError, match="greater than or equal to 0"):
        await api.patch(DEPLOYMENT, "web", {"spec": {"replicas": -1}}, "default", subresource="scale")


async def test_selectors_choose(api: Api) -> None:
    for name, tier in (("a", "web"), ("b", "db")):
        await api.create(CONFIG_MAP, {"metadata": {"name": name, "labels": {"tier": tier}}}, "default")
    by_label = await api.list(CONFIG_MAP, "default", label_selector="tier=web")
    by_field = await api.list(CONFIG_MAP, "default", field_selector="metadata.name!=a")
    assert [obj["metadata"]["name"] for obj in by_label.items] == ["a"]
    assert [obj["metadata"]["name"] for obj in by_field.items] == ["b"]


async def test_unsupported_field_selector_is_named(api: Api) -> None:
    with pytest.raises(ApiError, match="field label not supported: spec.nothing") as failure:
        await api.list(CONFIG_MAP, "default", field_selector="spec.nothing=1")
    assert failure.value.code == 400


async def test_watch_from_a_list_misses_nothing(api: Api) -> None:
    await api.create(CONFIG_MAP, config_map("before"), "default")
    listing = await api.list(CONFIG_MAP, "default")
    created = await api.create(CONFIG_MAP, config_map("after"), "default")
    await api.delete(CONFIG_MAP, "before", "default")
    watch = api.watch(CONFIG_MAP, "default", resource_version=listing.resource_version)
    assert await next_event(watch) == WatchEvent(EventType.ADDED, created)
    deleted = await next_event(watch)
    assert deleted.type is EventType.DELETED
    assert int(deleted.object["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])


async def test_open_watch_is_told_at_once(api: Api) -> None:
    listing = await api.list(CONFIG_MAP, "default")
    watch = api.watch(CONFIG_MAP, "default", resource_version=listing.resource_version)
    waiting = asyncio.get_running_loop().create_task(next_event(watch))
    await asyncio.sleep(0.01)
    created = await api.create(CONFIG_MAP, config_map(), "default")
    assert (await waiting).object == created


async def test_object_that_leaves_a_selector_is_deleted_for_its_watcher(api: Api) -> None:
    labelled = {"metadata": {"name": "a", "labels": {"on": "yes"}}}
    created = await api.create(CONFIG_MAP, labelled, "default")
    version = created["metadata"]["resourceVersion"]
    await api.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"on": None}}}, "default")
    await api.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"on": "yes"}}}, "default")
    watch = api.watch(CONFIG_MAP, "default", resource_version=version, label_selector="on=yes")
    assert [(await next_event(watch)).type for _ in range(2)] == [EventType.DELETED, EventType.ADDED]


async def test_watch_without_a_version_begins_with_what_exists(api: Api) -> None:
    created = await api.create(CONFIG_MAP, config_map(), "kube-public")
    assert await next_event(api.watch(CONFIG_MAP, "kube-public")) == WatchEvent(EventType.ADDED, created)


async def test_unserved_kind_is_not_a_missing_object(api: Api) -> None:
    with pytest.raises(ApiError) as failure:
        await api.list(Resource("nothing.example.com", "v1", "things", "Thing"))
    assert failure.value.code == 404


async def test_finalizer_holds_a_deleted_object(api: Api) -> None:
    await api.create(CONFIG_MAP, {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}, "default")
    await api.delete(CONFIG_MAP, "held", "default")
    held = await api.get(CONFIG_MAP, "held", "default")
    assert held["metadata"]["deletionTimestamp"]
    await api.patch(CONFIG_MAP, "held", {"metadata": {"finalizers": None}}, "default")
    with pytest.raises(ApiError, match="not found"):
        await api.get(CONFIG_MAP, "held", "default")


async def test_delete_spares_another_incarnation(api: Api) -> None:
    created = await api.create(CONFIG_MAP, config_map(), "default")
    with pytest.raises(ApiError, match="the UID in the precondition") as failure:
        await api.delete(CONFIG_MAP, "settings", "default", uid="another")
    assert failure.value.conflict
    await api.delete(CONFIG_MAP, "settings", "default", uid=created["metadata"]["uid"])


async def test_placed_pod_stays_until_its_processes_have_ended(api: Api) -> None:
    await api.create(POD, pod("p"), "default")
    await api.delete(POD, "p", "default")
    assert (await api.get(POD, "p", "default"))["metadata"]["deletionGracePeriodSeconds"] == 30
    await api.delete(POD, "p", "default", grace_seconds=0)
    with pytest.raises(ApiError, match="not found"):
        await api.get(POD, "p", "default")


async def test_pod_that_has_ended_goes_at_once(api: Api) -> None:
    created = await api.create(POD, pod("p"), "default")
    await api.replace(POD, {**created, "status": {"phase": "Succeeded"}}, subresource="status")
    await api.delete(POD, "p", "default")
    with pytest.raises(ApiError, match="not found"):
        await api.get(POD, "p", "default")


async def test_dependents_follow_their_owner(api: Api) -> None:
    owner = await api.create(DEPLOYMENT, deployment("web"), "default")
    middle = {"metadata": {"name": "s", "ownerReferences": [owned_by(owner)]}}
    child = await api.create(SECRET, middle, "default")
    await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [owned_by(child)]}}, "default")
    await api.delete(DEPLOYMENT, "web", "default")
    await until_gone(api, SECRET, "s")
    await until_gone(api, CONFIG_MAP, "c")


async def test_dependent_of_an_owner_that_never_was_is_collected(api: Api) -> None:
    ghost = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ghost", "uid": "gone"}}
    await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [owned_by(ghost)]}}, "default")
    await until_gone(api, CONFIG_MAP, "c")


async def test_foreground_owner_waits_for_dependents_that_block(api: Api) -> None:
    owner = await api.create(DEPLOYMENT, deployment("web"), "default")
    await api.create(
        CONFIG_MAP,
        {
            "metadata": {
                "name": "c",
                "finalizers": ["example.com/hold"],
                "ownerReferences": [owned_by(owner, block=True)],
            }
        },
        "default",
    )
    await api.delete(DEPLOYMENT, "web", "default", propagation=Propagation.FOREGROUND)
    waiting = await api.get(DEPLOYMENT, "web", "default")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    async with asyncio.timeout(WAIT_S):
        while "deletionTimestamp" not in (await api.get(CONFIG_MAP, "c", "default"))["metadata"]:
            await asyncio.sleep(0.005)
    await api.patch(CONFIG_MAP, "c", {"metadata": {"finalizers": None}}, "default")
    await until_gone(api, DEPLOYMENT, "web")


async def test_orphans_lose_their_owner_and_stay(api: Api) -> None:
    owner = await api.create(DEPLOYMENT, deployment("web"), "default")
    await api.create(CONFIG_MAP, {"metadata": {"name": "c", "ownerReferences": [owned_by(owner)]}}, "default")
    await asyncio.sleep(0)
    await api.delete(DEPLOYMENT, "web", "default", propagation=Propagation.ORPHAN)
    await until_gone(api, DEPLOYMENT, "web")
    assert "ownerReferences" not in (await api.get(CONFIG_MAP, "c", "default"))["metadata"]


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_a_namespace_that_every_cluster_needs_may_not_be_deleted(api: Api, name: str) -> None:
    with pytest.raises(ApiError, match=f'namespaces "{name}" is forbidden') as refusal:
        await api.delete(NAMESPACE, name)
    assert refusal.value.code == 403
    assert (await api.get(NAMESPACE, name))["status"]["phase"] == "Active"


async def test_namespace_begins_with_an_account_and_ends_with_its_contents(api: Api) -> None:
    await api.create(NAMESPACE, {"metadata": {"name": "shop"}})
    async with asyncio.timeout(WAIT_S):
        while not (await api.list(SERVICE_ACCOUNT, "shop")).items:
            await asyncio.sleep(0.005)
    await api.create(CONFIG_MAP, {"metadata": {"name": "c", "finalizers": ["example.com/hold"]}}, "shop")
    await api.delete(NAMESPACE, "shop")
    assert (await api.get(NAMESPACE, "shop"))["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError, match="because it is being terminated") as failure:
        await api.create(CONFIG_MAP, config_map(), "shop")
    assert failure.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await api.patch(CONFIG_MAP, "c", {"metadata": {"finalizers": None}}, "shop")
    await until_gone(api, NAMESPACE, "shop", None)


async def test_secret_text_becomes_data(api: Api) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"user": "me"}}
    stored = await api.create(SECRET, secret, "default")
    assert (stored["data"], stored["type"]) == ({"user": "bWU="}, "Opaque")
    assert "stringData" not in stored


async def test_tls_secret_without_its_keys_is_invalid(api: Api) -> None:
    secret = {"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.cert": ""}}
    with pytest.raises(ApiError) as failure:
        await api.create(SECRET, secret, "default")
    assert [cause["field"] for cause in failure.value.details["causes"]] == ["data[tls.crt]", "data[tls.key]"]


async def test_selector_of_a_deployment_must_match_and_never_changes(api: Api) -> None:
    wrong = deployment("web")
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(ApiError, match="does not match template `labels`"):
        await api.create(DEPLOYMENT, wrong, "default")
    await api.create(DEPLOYMENT, deployment("web"), "default")
    labels = {"app": "new"}
    change = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
    with pytest.raises(ApiError, match="field is immutable"):
        await api.patch(DEPLOYMENT, "web", change, "default")


async def test_unknown_fields_are_dropped(api: Api) -> None:
    stored = await api.create(KSERVICE, {**function(), "bogus": 1}, "default")
    assert "bogus" not in stored


async def test_wrong_type_is_invalid_and_names_the_field(api: Api) -> None:
    with pytest.raises(ApiError, match="spec.traffic") as failure:
        await api.create(KSERVICE, {**function(), "spec": {"traffic": "all"}}, "default")
    assert failure.value.details["causes"][0]["reason"] == "FieldValueTypeInvalid"


async def test_new_kind_is_served_at_once_and_goes_with_its_definition(api: Api) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    widgets = Resource("example.com", "v1", "widgets", "Widget")
    stored = await api.create(CRD, definition)
    established = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
    assert established["Established"] == "True"
    created = await api.create(widgets, {"metadata": {"name": "w"}, "spec": {"size": 3}}, "default")
    assert created["spec"] == {"size": 3}
    await api.delete(CRD, "widgets.example.com")
    await until_gone(api, CRD, "widgets.example.com", None)
    with pytest.raises(ApiError) as failure:
        await api.get(widgets, "w", "default")
    assert failure.value.code == 404


async def test_object_beyond_the_size_limit_is_refused(api: Api) -> None:
    with pytest.raises(ApiError, match="too large") as failure:
        await api.create(CONFIG_MAP, config_map(a="x" * 1_600_000), "default")
    assert failure.value.code == 413
