"""What only holds for custom kinds, as Kubernetes' own server of them answers (docs/embedded-api.md)."""

from __future__ import annotations

import json
from typing import Any

from eventmesh.kube.api import ApiError
from tests.component.browser import FUNCTIONS, MAPS, Answer, Browser, create_map

IDENTITY = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
SPEC = {"template": {"spec": {"containers": [{"image": "dev.local/x"}]}}}
METADATA_ALONE = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


def function(name: str, **more: Any) -> dict[str, Any]:
    return {**IDENTITY, "metadata": {"name": name, **more}, "spec": SPEC}


async def test_an_object_says_of_what_kind_it_is(http: Browser) -> None:
    answer = await http("POST", FUNCTIONS, {"metadata": {"name": "f"}, "spec": SPEC})
    assert answer.status == 400 and "Object 'apiVersion' is missing" in answer.json["message"]
    answer = await http("POST", FUNCTIONS, {**function("f"), "kind": "Route"})
    assert (answer.status, answer.json["details"]["kind"]) == (422, "Route")
    assert [cause["field"] for cause in answer.json["details"]["causes"]] == ["kind"]


async def test_a_replacement_says_the_name_that_the_path_says(http: Browser) -> None:
    answer = await http("PUT", f"{FUNCTIONS}/f", {**IDENTITY, "spec": SPEC})
    assert answer.status == 400 and "(f based on URL)" in answer.json["message"]


async def test_unknown_metadata_is_dropped_with_a_warning(http: Browser) -> None:
    answer = await http("POST", FUNCTIONS, function("f", unheard="of"))
    assert answer.status == 201 and "unheard" not in answer.json["metadata"]
    assert answer.warnings == ['299 - "unknown field \\"metadata.unheard\\""']


async def test_unknown_fields_are_told_of_in_the_order_of_their_names(http: Browser) -> None:
    answer = await http("POST", f"{FUNCTIONS}?fieldValidation=Strict", {**function("f"), "zoo": 1, "extra": 1})
    assert answer.status == 400
    assert answer.json["message"].endswith('unknown field "extra", unknown field "zoo"')


async def test_a_refusal_warns_of_unknown_fields_all_the_same(http: Browser) -> None:
    await http("POST", FUNCTIONS, function("f"))
    again = await http("POST", FUNCTIONS, function("f", unheard="of"))
    assert again.status == 409 and len(again.warnings) == 1


async def test_a_strategic_merge_is_refused_before_the_object_is_looked_for(http: Browser) -> None:
    answer = await http("PATCH", f"{FUNCTIONS}/none", {}, media="application/strategic-merge-patch+json")
    assert answer.status == 415


async def test_a_list_always_says_where_it_goes_on(http: Browser) -> None:
    assert (await http("GET", FUNCTIONS)).json["metadata"]["continue"] == ""
    assert "continue" not in (await http("GET", MAPS)).json["metadata"]


async def test_a_subresource_that_the_kind_has_not_is_an_object_not_found(http: Browser) -> None:
    answer = await http("GET", f"{FUNCTIONS}/f/scale")
    assert (answer.status, answer.json["details"]["name"]) == (404, "f")


async def test_metadata_alone_is_given_to_who_asks_for_no_more(http: Browser) -> None:
    await create_map(http, "a", key="value")
    one = (await http("GET", f"{MAPS}/a", Accept=METADATA_ALONE)).json
    assert (one["kind"], one["apiVersion"], set(one)) == (
        "PartialObjectMetadata",
        "meta.k8s.io/v1",
        {"kind", "apiVersion", "metadata"},
    )
    several = (await http("GET", MAPS, Accept=METADATA_LIST)).json
    assert several["kind"] == "PartialObjectMetadataList"
    assert [(item["kind"], item["metadata"]["name"]) for item in several["items"]] == [("PartialObjectMetadata", "a")]


async def test_a_watch_of_tables_tells_the_columns_once(http: Browser) -> None:
    await create_map(http, "a")
    await create_map(http, "b")
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with http.session.get(MAPS, params={"watch": "1"}, headers=headers) as stream:
        first, second = [await stream.content.readline() for _ in range(2)]
    assert b'"columnDefinitions":[' in first.replace(b" ", b"")
    assert b'"columnDefinitions":null' in second.replace(b" ", b"")


async def test_a_whole_number_with_a_point_is_a_whole_number(http: Browser) -> None:
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","generation":2.0},"data":{"a":"2.0"}}'
    assert (await http("POST", MAPS, body)).json["data"] == {"a": "2.0"}


APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


async def events(http: Browser, count: int, **query: str) -> list[Any]:
    """Return the first events of a watch of all ConfigMaps from the beginning."""
    async with http.session.get(MAPS, params={"watch": "1", "resourceVersion": "1", **query}) as stream:
        return [json.loads(await stream.content.readline()) for _ in range(count)]


async def test_what_leaves_a_selection_is_shown_as_it_last_was_in_it(http: Browser) -> None:
    await http("POST", MAPS, {"metadata": {"name": "a", "labels": {"in": "yes"}}, "data": {"k": "1"}})
    changed = {"metadata": {"name": "a", "labels": {"in": "no"}}, "data": {"k": "2"}}
    version = (await http("PUT", f"{MAPS}/a", changed)).json["metadata"]["resourceVersion"]
    _, left = await events(http, 2, labelSelector="in=yes")
    assert left["type"] == "DELETED" and left["object"]["data"] == {"k": "1"}
    assert left["object"]["metadata"]["resourceVersion"] == version


async def test_what_goes_at_once_was_never_on_its_way_out(http: Browser) -> None:
    await create_map(http, "a")
    await http("DELETE", f"{MAPS}/a")
    _, gone = await events(http, 2, fieldSelector="metadata.name=a")
    assert gone["type"] == "DELETED" and "deletionTimestamp" not in gone["object"]["metadata"]


async def test_a_dry_deletion_shows_what_would_be(http: Browser) -> None:
    await http("POST", MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}})
    answer = (await http("DELETE", f"{MAPS}/a?dryRun=All")).json
    assert "deletionTimestamp" in answer["metadata"]
    assert "deletionTimestamp" not in (await http("GET", f"{MAPS}/a")).json["metadata"]


async def test_a_name_that_is_being_freed_is_told_apart(http: Browser) -> None:
    await http("POST", MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}})
    await http("DELETE", f"{MAPS}/a")
    for query in ("", "?dryRun=All"):
        answer = await http("POST", f"{MAPS}{query}", {"metadata": {"name": "a"}})
        assert answer.status == 409 and answer.json["message"].startswith("object is being deleted: ")


async def test_a_patch_that_makes_an_unreadable_object_is_what_is_refused(http: Browser) -> None:
    await http("POST", FUNCTIONS, function("f", labels={"a": "b"}))
    patch = [{"op": "add", "path": "/metadata/labels/x", "value": {}}]
    answer = await http("PATCH", f"{FUNCTIONS}/f", patch, media=JSON_PATCH)
    assert (answer.status, answer.json["details"]["causes"][0]["field"]) == (422, "patch")


async def test_a_label_without_a_value_is_an_empty_one(http: Browser) -> None:
    answer = await http("POST", MAPS, {"metadata": {"name": "a", "labels": {"a": None}}})
    assert answer.json["metadata"]["labels"] == {"a": ""}


async def test_who_applies_what_is_so_already_has_changed_nothing_at_no_time(http: Browser) -> None:
    await create_map(http, "a", k="v")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    answer = await http("PATCH", f"{MAPS}/a?fieldManager=me", config, media=APPLY)
    [mine] = [entry for entry in answer.json["metadata"]["managedFields"] if entry["manager"] == "me"]
    assert "time" not in mine and mine["fieldsV1"] == {"f:data": {"f:k": {}}}


async def test_an_empty_map_that_is_applied_is_owned(http: Browser) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {}}}
    answer = await http("PATCH", f"{MAPS}/a?fieldManager=me", config, media=APPLY)
    assert answer.json["metadata"]["managedFields"][0]["fieldsV1"] == {"f:metadata": {"f:labels": {}}}


async def test_every_contradiction_of_a_list_is_named(http: Browser) -> None:
    answer = await http("GET", f"{MAPS}?resourceVersionMatch=Other")
    assert len(answer.json["details"]["causes"]) == 2


def test_a_failure_carries_no_warning_unasked() -> None:
    assert ApiError(404, "NotFound", "x").warnings == ()


async def test_a_map_that_is_owned_as_a_whole_is_not_merged(http: Browser) -> None:
    def selecting(**labels: str) -> dict[str, Any]:
        spec = {"template": {"spec": {**SPEC["template"]["spec"], "nodeSelector": labels}}}
        return {**IDENTITY, "metadata": {"name": "f"}, "spec": spec}

    path = f"{FUNCTIONS}/f?fieldManager="
    assert (await http("PATCH", f"{path}ann", selecting(disk="ssd"), media=APPLY)).status == 201
    refused = await http("PATCH", f"{path}bob", selecting(zone="a"), media=APPLY)
    assert refused.status == 409
    assert [cause["field"] for cause in refused.json["details"]["causes"]] == [".spec.template.spec.nodeSelector"]
    taken = await http("PATCH", f"{path}bob&force=true", selecting(zone="a"), media=APPLY)
    assert taken.json["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "a"}


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/widgets"
RULED = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"least": {"type": "integer"}, "most": {"type": "integer"}},
            "x-kubernetes-validations": [
                {"rule": "self.least <= self.most", "message": "least is above most", "fieldPath": ".least"},
                {"rule": "self.most >= oldSelf.most", "messageExpression": "'was ' + string(oldSelf.most)"},
            ],
        },
        "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
    },
    "x-kubernetes-validations": [{"rule": "!has(self.status) || self.status.seen <= self.spec.most"}],
}


async def define_widgets(http: Browser, schema: dict[str, Any]) -> Answer:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    return await http("POST", CRDS, {"metadata": {"name": "widgets.example.com"}, "spec": spec})


def widget(least: int, most: int) -> dict[str, Any]:
    spec = {"least": least, "most": most}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}


async def test_rules_in_cel_hold_at_create_update_patch_and_status(http: Browser) -> None:
    assert (await define_widgets(http, RULED)).status == 201
    refused = await http("POST", WIDGETS, widget(5, 3))
    assert (refused.status, refused.json["details"]["causes"]) == (
        422,
        [{"reason": "FieldValueInvalid", "message": "Invalid value: least is above most", "field": "spec.least"}],
    )
    created = await http("POST", WIDGETS, widget(1, 3))
    assert created.status == 201
    lower = {**created.json, "spec": {"least": 1, "most": 2}}
    refused = await http("PUT", f"{WIDGETS}/w", lower)
    assert refused.json["message"] == 'Widget.example.com "w" is invalid: spec: Invalid value: was 3'
    refused = await http("PATCH", f"{WIDGETS}/w", {"spec": {"most": 0}}, media=MERGE)
    assert [cause["field"] for cause in refused.json["details"]["causes"]] == ["spec.least", "spec"]
    refused = await http("PATCH", f"{WIDGETS}/w/status", {"status": {"seen": 9}}, media=MERGE)
    assert refused.json["details"]["causes"][0]["message"].startswith("Invalid value: failed rule: !has(self.status)")
    assert (await http("PATCH", f"{WIDGETS}/w/status", {"status": {"seen": 3}}, media=MERGE)).status == 200


async def test_a_definition_with_a_rule_that_does_not_compile_is_refused(http: Browser) -> None:
    refused = await define_widgets(http, {"type": "object", "x-kubernetes-validations": [{"rule": "self.none > 1"}]})
    [cause] = refused.json["details"]["causes"]
    assert (refused.status, cause["field"]) == (
        422,
        "spec.versions[0].schema.openAPIV3Schema.x-kubernetes-validations[0].rule",
    )
    assert "compilation failed: ERROR: <input>:1:5: undefined field 'none'" in cause["message"]


async def test_what_was_broken_before_the_rule_came_is_told_and_let_through(http: Browser) -> None:
    await define_widgets(http, {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    await http("POST", WIDGETS, widget(5, 3))
    crd = (await http("GET", f"{CRDS}/widgets.example.com")).json
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = RULED
    assert (await http("PUT", f"{CRDS}/widgets.example.com", crd)).status == 200
    labelled = await http("PATCH", f"{WIDGETS}/w", {"metadata": {"labels": {"a": "b"}}}, media=MERGE)
    assert labelled.status == 200
    assert labelled.warnings == ['299 - "spec.least: Invalid value: least is above most"']
