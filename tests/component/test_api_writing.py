"""What is written over HTTP: bodies, options, applies, deletions, and what becomes of bad ones."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.negotiation import MAX_BODY_BYTES
from eventmesh.cluster.api.structural import MAX_DEPTH
from tests.component.browser import FUNCTIONS, MAPS, Browser, create_map


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
    identity = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    body = {**identity, "metadata": {"name": "f"}, "spec": {"bogus": 1, "template": {}}}
    strict = await http("POST", f"{FUNCTIONS}?fieldValidation=Strict", body)
    assert strict.status == 400 and 'strict decoding error: unknown field "spec.bogus"' in strict.json["message"]
    warned = await http("POST", FUNCTIONS, body)
    assert warned.status == 201 and warned.warnings == ['299 - "unknown field \\"spec.bogus\\""']
    body["metadata"] = {"name": "g"}
    ignored = await http("POST", f"{FUNCTIONS}?fieldValidation=Ignore", body)
    assert (ignored.status, ignored.warnings) == (201, []) and "bogus" not in ignored.json["spec"]


@pytest.mark.parametrize(("method", "path"), [("POST", FUNCTIONS), ("PUT", f"{FUNCTIONS}/f")])
async def test_an_unknown_field_is_told_of_when_another_is_why_it_is_refused(
    http: Browser, method: str, path: str
) -> None:
    identity = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    body = {**identity, "metadata": {"name": "f", "namespace": "elsewhere"}, "spec": {"bogus": 1, "template": {}}}
    refused = await http(method, path, body)
    assert refused.status == 400 and "(elsewhere != default)" in refused.json["message"]
    assert refused.warnings == ['299 - "unknown field \\"spec.bogus\\""']


async def test_who_lets_an_object_go_is_told_the_version_that_it_let_go(http: Browser) -> None:
    held = {"metadata": {"name": "m", "finalizers": ["example.com/hold"]}}
    assert (await http("POST", MAPS, held)).status == 201
    leaving = await http("DELETE", f"{MAPS}/m")
    media = "application/merge-patch+json"
    freed = await http("PATCH", f"{MAPS}/m", {"metadata": {"finalizers": None}}, media=media)
    assert freed.json["metadata"]["resourceVersion"] == leaving.json["metadata"]["resourceVersion"]
    assert (await http("GET", f"{MAPS}/m")).status == 404


async def test_kind_that_nobody_acts_on_is_stored_with_a_warning(http: Browser) -> None:
    answer = await http("POST", "/api/v1/namespaces/default/limitranges", {"metadata": {"name": "small"}})
    assert answer.status == 201
    assert answer.warnings == ['299 - "limitranges are stored, but nothing in the local cluster acts on them"']


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
        ("?fieldManager=me", {"metadata": {"name": "a", "resourceVersion": "9"}}, 409, "does not exist"),
        ("?fieldManager=me", {"metadata": {"name": "a", "uid": "u"}}, 409, "uid mismatch"),
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
    [{"gracePeriodSeconds": "soon"}, {"propagationPolicy": "Sideways"}],
)
async def test_impossible_delete_options_are_refused(http: Browser, options: dict[str, object]) -> None:
    await create_map(http, "a")
    answer = await http("DELETE", f"{MAPS}/a", options)
    assert answer.status in (400, 422) and next(iter(options)) in answer.json["message"]
    assert (await http("GET", f"{MAPS}/a")).status == 200
