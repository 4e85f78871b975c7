"""The server's HTTP: negotiation, discovery, watches, and what becomes of bad requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.negotiation import MAX_BODY_BYTES
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.api.structural import MAX_DEPTH
from eventmesh.kube.api import ApiError
from eventmesh.kube.config import load_config
from eventmesh.kube.resources import CONFIG_MAP, POD
from tests.component.embedded_api import served

MAPS = "/api/v1/namespaces/default/configmaps"
FUNCTIONS = "/apis/serving.knative.dev/v1/namespaces/default/services"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    type: str
    text: str
    warnings: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """Plain HTTP with the token of the cluster's user."""

    def __init__(self, session: aiohttp.ClientSession, api: EmbeddedApi) -> None:
        self.session = session
        self.api = api

    async def __call__(
        self, method: str, path: str, body: object = None, *, media: str = "application/json", **headers: str
    ) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named["Content-Type"] = media
        payload = None if data is None else BytesIO(data)
        async with self.session.request(method, path, data=payload, headers=named) as response:
            text = await response.text()
            warnings = response.headers.getall("Warning", [])
            return Answer(response.status, response.headers.get("Content-Type", ""), text, list(warnings))


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Browser]:
    async with served(tmp_path) as running:
        config = await load_config(running.kubeconfig)
        assert config.token is not None and config.tls is not None
        headers = {"Authorization": f"Bearer {config.token()}"}
        connector = aiohttp.TCPConnector(ssl=config.tls)
        async with aiohttp.ClientSession(config.server, headers=headers, connector=connector) as session:
            yield Browser(session, running.api)


async def create_map(http: Browser, name: str, **data: str) -> Any:
    answer = await http("POST", MAPS, {"metadata": {"name": name}, "data": data})
    assert answer.status == 201
    return answer.json


# -- who is let in, and where paths lead


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
async def test_health_and_version_need_no_token(http: Browser, path: str) -> None:
    assert (await http("GET", path, Authorization="")).status == 200


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic abc"])
async def test_without_the_token_nothing_is_told(http: Browser, header: str) -> None:
    answer = await http("GET", MAPS, Authorization=header)
    assert (answer.status, answer.json["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "path", ["/apis/nothing.example.com/v1/things", "/apis/serving.knative.dev/v9/services", "/nothing", "/api/v1/x"]
)
async def test_unserved_path_is_plain_text(http: Browser, path: str) -> None:
    answer = await http("GET", path)
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.type.startswith("text/plain")


async def test_taken_port_is_named(http: Browser, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = ApiServer(http.api, ("127.0.0.1", port), tmp_path / "other")
        with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
            await server.start()
        await server.stop()


# -- discovery


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_aggregated_discovery_echoes_the_form_asked_for(http: Browser, version: str) -> None:
    media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    answer = await http("GET", "/apis", Accept=f"{media},application/json")
    assert (answer.type, answer.json["apiVersion"]) == (media, f"apidiscovery.k8s.io/{version}")
    groups = [item["metadata"]["name"] for item in answer.json["items"]]
    assert groups.index("networking.k8s.io") < groups.index("networking.internal.knative.dev")
    serving = answer.json["items"][groups.index("serving.knative.dev")]
    assert [entry["version"] for entry in serving["versions"]] == ["v1", "v1beta1"]
    service = next(entry for entry in serving["versions"][0]["resources"] if entry["resource"] == "services")
    assert service["shortNames"] == ["ksvc", "kservice"] and service["scope"] == "Namespaced"
    assert [part["subresource"] for part in service["subresources"]] == ["status"]


async def test_legacy_discovery_lists_subresources(http: Browser) -> None:
    assert (await http("GET", "/api")).json["versions"] == ["v1"]
    names = {entry["name"] for entry in (await http("GET", "/apis/apps/v1")).json["resources"]}
    assert {"deployments", "deployments/status", "deployments/scale"} <= names
    group = (await http("GET", "/apis/sources.knative.dev")).json
    assert group["preferredVersion"]["version"] == "v1" and len(group["versions"]) == 3
    scale = next(entry for entry in (await http("GET", "/apis/apps/v1")).json["resources"] if entry["kind"] == "Scale")
    assert (scale["group"], scale["version"]) == ("autoscaling", "v1")


async def test_openapi_index_names_documents_by_their_content(http: Browser) -> None:
    index = (await http("GET", "/openapi/v3")).json["paths"]
    url = index["apis/serving.knative.dev/v1"]["serverRelativeURL"]
    document = (await http("GET", url)).json
    patch = document["paths"]["/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    patches = {"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"}
    assert set(patch["requestBody"]["content"]) == patches
    schema = document["components"]["schemas"]["dev.knative.serving.v1.Service"]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "serving.knative.dev", "version": "v1", "kind": "Service"}
    ]
    assert (await http("GET", "/openapi/v3/apis/nothing/v1")).status == 404


# -- reading


async def test_table_is_given_when_asked_for_first(http: Browser) -> None:
    await create_map(http, "a", k="v")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = (await http("GET", MAPS, Accept=accept)).json
    assert (table["kind"], [column["name"] for column in table["columnDefinitions"]]) == (
        "Table",
        ["Name", "Data", "Age"],
    )
    [row] = table["rows"]
    assert row["cells"][:2] == ["a", 1] and row["object"]["kind"] == "PartialObjectMetadata"
    full = (await http("GET", f"{MAPS}/a?includeObject=Object", Accept=accept)).json
    assert full["rows"][0]["object"]["data"] == {"k": "v"}
    bare = (await http("GET", f"{MAPS}?includeObject=None", Accept=accept)).json
    assert "object" not in bare["rows"][0]
    plain = (await http("GET", MAPS, Accept=f"application/json,{accept}")).json
    assert plain["kind"] == "ConfigMapList"


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("resourceVersion=999999", 504, "Timeout"),
        ("continue=abc", 400, "BadRequest"),
        ("continue=e30", 400, "BadRequest"),
        ("continue=eyJ2IjoidjkiLCJydiI6MSwic3RhcnQiOiJhL2IifQ", 400, "BadRequest"),
        ("continue=eyJ2IjoidjkiLCJydiI6MSwic3RhcnQiOiJhL2IifQ&resourceVersion=5", 400, "BadRequest"),
        ("continue=x&resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=1&resourceVersionMatch=Roughly", 422, "Invalid"),
        ("sendInitialEvents=true", 422, "Invalid"),
        ("limit=-1", 400, "BadRequest"),
        ("resourceVersion=abc", 400, "BadRequest"),
        ("labelSelector=a=b=c", 400, "BadRequest"),
    ],
)
async def test_lists_that_cannot_be_given(http: Browser, query: str, code: int, reason: str) -> None:
    answer = await http("GET", f"{MAPS}?{query}")
    assert (answer.status, answer.json["reason"]) == (code, reason)


async def test_chunks_are_one_list_as_of_one_version(http: Browser) -> None:
    for name in "abcde":
        await create_map(http, name)
    first = (await http("GET", f"{MAPS}?limit=2")).json
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await http("DELETE", f"{MAPS}/c")
    await create_map(http, "bb")
    second = (await http("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = (await http("GET", f"{MAPS}?continue={second['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in last["items"]] == ["e"]
    assert "continue" not in last["metadata"]


async def test_token_of_a_forgotten_version_comes_with_one_that_goes_on(http: Browser) -> None:
    for name in "abc":
        await create_map(http, name)
    first = (await http("GET", f"{MAPS}?limit=1")).json
    await create_map(http, "bb")
    http.api.store.compact(http.api.store.revision)
    gone = await http("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")
    assert (gone.status, gone.json["reason"]) == (410, "Expired")
    rest = (await http("GET", f"{MAPS}?continue={gone.json['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "bb", "c"]


async def test_selected_chunks_do_not_tell_how_many_remain(http: Browser) -> None:
    for name in "abc":
        await http("POST", MAPS, {"metadata": {"name": name, "labels": {"x": "y"}}})
    part = (await http("GET", f"{MAPS}?limit=2&labelSelector=x=y")).json
    assert "continue" in part["metadata"] and "remainingItemCount" not in part["metadata"]


async def test_exact_list_shows_what_was(http: Browser) -> None:
    created = await create_map(http, "a", k="old")
    version = created["metadata"]["resourceVersion"]
    await http("PATCH", f"{MAPS}/a", {"data": {"k": "new"}}, media="application/merge-patch+json")
    past = (await http("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")).json
    assert past["items"][0]["data"] == {"k": "old"} and past["metadata"]["resourceVersion"] == version
    http.api.store.compact(http.api.store.revision)
    for query in ("resourceVersion=1&resourceVersionMatch=Exact", "resourceVersion=1&limit=1"):
        answer = await http("GET", f"{MAPS}?{query}")
        assert (answer.status, answer.json["reason"]) == (410, "Expired")
    now = (await http("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")).json
    assert now["items"][0]["data"] == {"k": "new"}


# -- watching


async def lines(http: Browser, query: str, count: int, path: str = MAPS) -> list[Any]:
    """Return the first `count` lines of a watch."""
    async with asyncio.timeout(5), http.session.get(f"{path}?watch=1&{query}") as response:
        assert response.status == 200, await response.text()
        return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_watch_list_sends_what_exists_then_a_marked_bookmark(http: Browser) -> None:
    await create_map(http, "a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    added, bookmark = await lines(http, query, 2)
    assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert bookmark["type"] == "BOOKMARK"
    metadata = bookmark["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(metadata["resourceVersion"]) >= int(added["object"]["metadata"]["resourceVersion"])


async def test_plain_watch_is_not_told_where_the_beginning_ends(http: Browser) -> None:
    await create_map(http, "a")
    added, bookmark = await lines(http, "allowWatchBookmarks=true", 2)
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert "annotations" not in bookmark["object"]["metadata"]


async def test_watch_list_of_a_version_to_come_is_refused(http: Browser) -> None:
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999"
    answer = await http("GET", f"{MAPS}?watch=1&{query}")
    assert (answer.status, answer.json["reason"]) == (504, "Timeout")


async def test_watch_without_bookmarks_gets_none(http: Browser) -> None:
    await create_map(http, "a")
    async with asyncio.timeout(5), http.session.get(f"{MAPS}?watch=1&timeoutSeconds=1") as response:
        text = await response.text()
    assert [json.loads(line)["type"] for line in text.splitlines()] == ["ADDED"]


async def test_watch_of_one_object_by_path(http: Browser) -> None:
    await create_map(http, "a")
    await create_map(http, "b")
    [event] = await lines(http, "", 1, f"{MAPS}/b")
    assert event["object"]["metadata"]["name"] == "b"


async def test_watch_in_table_form_wraps_each_event(http: Browser) -> None:
    await create_map(http, "a")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with asyncio.timeout(5), http.session.get(f"{MAPS}?watch=1", headers=accept) as response:
        event = json.loads(await response.content.readline())
    assert event["object"]["kind"] == "Table" and len(event["object"]["rows"]) == 1


async def test_watch_from_a_forgotten_version_is_gone(http: Browser) -> None:
    await create_map(http, "a")
    http.api.store.compact(http.api.store.revision)
    answer = await http("GET", f"{MAPS}?watch=1&resourceVersion=1")
    assert (answer.status, answer.json["reason"]) == (410, "Expired")


@pytest.mark.parametrize("query", ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan"])
async def test_watch_options_that_do_not_go_together(http: Browser, query: str) -> None:
    answer = await http("GET", f"{MAPS}?watch=1&{query}")
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")


async def test_watcher_that_leaves_is_forgotten(http: Browser) -> None:
    async with http.session.get(f"{MAPS}?watch=1") as response:
        assert response.status == 200
        assert len(http.api.store._watches["configmaps"]) >= 1
        before = len(http.api.store._watches["configmaps"])
        response.close()
    async with asyncio.timeout(5):
        while len(http.api.store._watches["configmaps"]) >= before:
            await asyncio.sleep(0.01)


# -- writing


async def test_yaml_body_is_understood(http: Browser) -> None:
    body = b"metadata: {name: a}\ndata: {k: v}\n"
    answer = await http("POST", MAPS, body, media="application/yaml")
    assert (answer.status, answer.json["data"]) == (201, {"k": "v"})


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"a: b: c", "application/yaml", 400),
        (b"a: &x [1]\nb: *x\n", "application/yaml", 400),
        (b"<a/>", "application/xml", 415),
        (b"k8s\x00\xff", "application/vnd.kubernetes.protobuf", 400),
        (b"no envelope", "application/vnd.kubernetes.protobuf", 400),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
    ],
)
async def test_unreadable_body_is_refused(http: Browser, body: bytes, media: str, code: int) -> None:
    answer = await http("POST", MAPS, body, media=media)
    assert answer.status == code and answer.json["kind"] == "Status"


async def test_body_beyond_the_limit_is_refused(http: Browser) -> None:
    answer = await http("POST", MAPS, b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status, answer.json["reason"]) == (413, "RequestEntityTooLarge")


async def test_levels_of_field_validation(http: Browser) -> None:
    body = {"metadata": {"name": "f"}, "spec": {"bogus": 1, "template": {}}}
    strict = await http("POST", f"{FUNCTIONS}?fieldValidation=Strict", body)
    assert strict.status == 400 and 'strict decoding error: unknown field "spec.bogus"' in strict.json["message"]
    warned = await http("POST", FUNCTIONS, body)
    assert warned.status == 201 and warned.warnings == ['299 - "unknown field \\"spec.bogus\\""']
    body["metadata"] = {"name": "g"}
    ignored = await http("POST", f"{FUNCTIONS}?fieldValidation=Ignore", body)
    assert (ignored.status, ignored.warnings) == (201, []) and "bogus" not in ignored.json["spec"]


async def test_kind_that_nobody_acts_on_is_stored_with_a_warning(http: Browser) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    answer = await http("POST", path, {"metadata": {"name": "reader"}, "rules": []})
    assert answer.status == 201
    assert answer.warnings == [
        '299 - "roles are stored, but not enforced in the local cluster: its one user may do everything"'
    ]


@pytest.mark.parametrize("query", ["dryRun=Some", "fieldValidation=Maybe"])
async def test_unknown_write_options_are_named(http: Browser, query: str) -> None:
    answer = await http("POST", f"{MAPS}?{query}", {"metadata": {"name": "a"}})
    assert answer.status == 400 and query.partition("=")[0] in answer.json["message"]


async def test_dry_run_stores_nothing(http: Browser) -> None:
    revision = http.api.store.revision
    assert (await http("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "a"}})).status == 201
    await create_map(http, "b")
    assert (await http("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "b"}})).status == 409
    assert (await http("DELETE", f"{MAPS}/b?dryRun=All")).status == 200
    assert (await http("PUT", f"{MAPS}/b?dryRun=All", {"metadata": {"name": "b"}, "data": {"k": "v"}})).status == 200
    assert http.api.store.revision == revision + 1


async def test_kind_of_the_body_must_be_that_of_the_path(http: Browser) -> None:
    answer = await http("POST", MAPS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})
    assert answer.status == 400 and "does not match the expected API version" in answer.json["message"]


async def test_namespace_of_the_body_must_be_that_of_the_path(http: Browser) -> None:
    answer = await http("POST", MAPS, {"metadata": {"name": "a", "namespace": "kube-public"}})
    assert answer.status == 400 and "(kube-public != default)" in answer.json["message"]


APPLY = "application/apply-patch+yaml"


async def test_applied_object_may_be_yaml_and_is_created_or_changed(http: Browser) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n"
    path = f"{MAPS}/a?fieldManager=me"
    assert (await http("PATCH", path, text, media=APPLY)).status == 201
    revision = http.api.store.revision
    assert (await http("PATCH", path, text, media=APPLY)).status == 200
    assert http.api.store.revision == revision


@pytest.mark.parametrize(
    ("query", "body", "status", "words"),
    [
        ("", {"metadata": {"name": "a"}}, 422, "fieldManager: Required value: is required for apply patch"),
        (f"?fieldManager={'x' * 129}", {}, 422, "may not be more than 128 bytes"),
        ("?fieldManager=a%07", {}, 422, "should only contain printable characters"),
        ("?fieldManager=me", {"metadata": {"name": "b"}}, 400, "does not match the name on the URL"),
        ("?fieldManager=me", {"kind": "Secret"}, 400, "does not match the expected API version"),
        ("?fieldManager=me", {"metadata": {"managedFields": [{}]}}, 400, "metadata.managedFields must be nil"),
        ("?fieldManager=me", {"metadata": {"resourceVersion": "9"}}, 409, "does not exist"),
        ("?fieldManager=me", {"metadata": {"uid": "u"}}, 409, "uid mismatch"),
        ("?fieldManager=me", {"metadata": []}, 400, "metadata must be an object"),
        ("?fieldManager=me", [], 400, "the request body must be one object"),
        ("?fieldManager=me", {"kind": None}, 400, "kind must be set"),
    ],
)
async def test_apply_says_what_is_wrong_with_it(
    http: Browser, query: str, body: object, status: int, words: str
) -> None:
    if isinstance(body, dict):
        body = {"apiVersion": "v1", "kind": "ConfigMap", **body}
    answer = await http("PATCH", f"{MAPS}/a{query}", body, media=APPLY)
    assert (answer.status, words in answer.json["message"]) == (status, True), answer.text


async def test_only_an_apply_may_be_forced(http: Browser) -> None:
    await create_map(http, "a", k="v")
    answer = await http("PATCH", f"{MAPS}/a?force=true", {}, media="application/merge-patch+json")
    assert answer.status == 422 and "may not be specified for non-apply patch" in answer.json["message"]


async def test_conflict_tells_manager_and_field_of_each_cause(http: Browser) -> None:
    def config(**data: str) -> object:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}

    await http("PATCH", f"{MAPS}/a?fieldManager=me", config(k="1", l="1"), media=APPLY)
    answer = await http("PATCH", f"{MAPS}/a?fieldManager=you", config(k="2", l="2"), media=APPLY)
    assert answer.status == 409 and answer.json["reason"] == "Conflict"
    assert answer.json["message"] == 'Apply failed with 2 conflicts: conflicts with "me":\n- .data.k\n- .data.l'
    assert answer.json["details"]["causes"][0] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "me"',
        "field": ".data.k",
    }


async def test_writers_without_a_name_own_by_the_name_of_their_program(http: Browser) -> None:
    stored = await http("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}, User_Agent="robot/1.0 (linux)")
    (entry,) = stored.json["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("robot", "Update")
    assert entry["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}


async def test_deleted_collection_keeps_what_is_not_selected(http: Browser) -> None:
    for name in ("a", "b"):
        await http("POST", MAPS, {"metadata": {"name": name, "labels": {"n": name}}})
    assert (await http("DELETE", f"{MAPS}?labelSelector=n%3Da")).status == 200
    names = [item["metadata"]["name"] for item in (await http("GET", MAPS)).json["items"]]
    assert names == ["b"]
    assert (await http("DELETE", "/api/v1/configmaps")).status == 405


async def test_delete_tells_what_is_gone(http: Browser) -> None:
    created = await create_map(http, "a")
    answer = (await http("DELETE", f"{MAPS}/a")).json
    assert answer["status"] == "Success"
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}


@pytest.mark.parametrize(
    "options",
    [{"gracePeriodSeconds": -1}, {"gracePeriodSeconds": "soon"}, {"propagationPolicy": "Sideways"}],
)
async def test_impossible_delete_options_are_refused(http: Browser, options: dict[str, object]) -> None:
    await create_map(http, "a")
    answer = await http("DELETE", f"{MAPS}/a", options)
    assert answer.status == 400
    assert (await http("GET", f"{MAPS}/a")).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_verbs_that_make_no_sense_are_not_allowed(http: Browser, method: str) -> None:
    path = f"{MAPS}/a" if method == "POST" else MAPS
    answer = await http(method, path, {})
    assert (answer.status, answer.json["reason"]) == (405, "MethodNotAllowed")


async def test_reviews_are_answered_and_not_stored(http: Browser) -> None:
    revision = http.api.store.revision
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await http("POST", path, {"spec": {"resourceAttributes": {"verb": "delete"}}})
    assert answer.status == 201 and answer.json["status"]["allowed"] is True
    assert http.api.store.revision == revision
    assert (await http("GET", path)).status == 405


async def test_eviction_deletes_a_pod_in_its_own_time(http: Browser) -> None:
    api = http.api.in_process()
    await api.create(POD, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default")
    path = "/api/v1/namespaces/default/pods/p"
    assert (await http("POST", f"{path}/eviction", {"metadata": {"name": "p"}})).status == 201
    assert "deletionTimestamp" in (await http("GET", path)).json["metadata"]


async def test_log_is_not_served_without_a_runtime(http: Browser) -> None:
    assert (await http("GET", "/api/v1/namespaces/default/pods/p/log")).status == 404


async def test_impersonated_user_is_the_author(http: Browser) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await http("POST", path, {}, Impersonate_User="jane")
    assert answer.json["status"]["userInfo"]["username"] == "jane"


async def test_bug_in_one_request_is_told_and_harms_no_other(http: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.api.registry, "get", lambda *_: 1 / 0)
    answer = await http("GET", f"{MAPS}/a")
    assert (answer.status, answer.json["reason"]) == (500, "InternalError")
    assert (await http("GET", MAPS)).status == 200


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        first = await running.api.in_process().create(CONFIG_MAP, {"metadata": {"name": "kept"}}, "default")
        kubeconfig = running.kubeconfig.read_text()
    async with served(tmp_path) as running:
        api = running.api.in_process()
        assert await api.get(CONFIG_MAP, "kept", "default") == first
        with pytest.raises(ApiError):
            await api.get(CONFIG_MAP, "never", "default")
        again = running.kubeconfig.read_text()
    port_aside = [line for line in kubeconfig.splitlines() if "server:" not in line]
    assert port_aside == [line for line in again.splitlines() if "server:" not in line]
