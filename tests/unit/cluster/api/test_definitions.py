from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from eventmesh.cluster.api.builtin.kinds import BUILTIN_KINDS
from eventmesh.cluster.api.builtin.metrics import metrics_kinds
from eventmesh.cluster.api.catalog import Catalog, version_rank
from eventmesh.cluster.api.definitions import DefinitionStrategy
from eventmesh.cluster.api.shipped import SHIPPED
from eventmesh.kube import resources
from eventmesh.kube.api import Resource
from eventmesh.kube.manifests import read_manifests


def definition(**changes: Any) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [version],
    }
    metadata = {"name": "widgets.example.com", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {**spec, **changes}}


def causes(obj: dict[str, Any]) -> list[str]:
    strategy = DefinitionStrategy(Catalog(()))
    strategy.prepare(obj, None)
    return [cause.field for cause in strategy.check(obj, None)]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"group": ""}, ["spec.group"]),
        ({"versions": []}, ["spec.versions"]),
        ({"names": {}}, ["spec.names.plural", "spec.names.kind"]),
        ({"names": {"plural": "gadgets", "kind": "Gadget"}}, ["metadata.name"]),
        ({"scope": "Galaxy"}, ["spec.scope"]),
        (
            {"versions": [{"name": "v1", "served": True, "storage": True}]},
            ["spec.versions[0].schema.openAPIV3Schema"],
        ),
        (
            {"versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]},
            ["spec.versions"],
        ),
    ],
)
def test_definition_that_cannot_be_served_names_its_field(changes: dict[str, Any], fields: list[str]) -> None:
    assert causes(definition(**changes)) == fields


@pytest.mark.parametrize(
    ("below", "field"),
    [
        ({"properties": {"a": {"type": "text"}}}, ".properties[a].type"),
        ({"type": ["string"]}, ".type"),
        ({"properties": []}, ".properties"),
        ({"anyOf": [{"required": "a"}]}, ".anyOf[0].required"),
        ({"items": {"maxLength": "9"}}, ".items.maxLength"),
        ({"items": {"pattern": "("}}, ".items.pattern"),
        ({"additionalProperties": {"pattern": r"\pL"}}, ".additionalProperties.pattern"),
        ({"oneOf": [{}, {"not": {"pattern": "["}}]}, ".oneOf[1].not.pattern"),
    ],
)
def test_schema_that_nothing_can_be_held_against_names_its_field(below: dict[str, Any], field: str) -> None:
    version = definition()["spec"]["versions"][0]
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": below}}}
    found = causes(definition(versions=[{**version, "schema": schema}]))
    assert found == [f"spec.versions[0].schema.openAPIV3Schema.properties[spec]{field}"]


def test_rules_that_are_null_are_not_said() -> None:
    version = definition()["spec"]["versions"][0]
    schema = {
        "openAPIV3Schema": {"type": "object", "required": None, "properties": None, "pattern": None, "oneOf": None}
    }
    assert causes(definition(versions=[{**version, "schema": schema}])) == []


def test_versions_are_preferred_as_kubernetes_does() -> None:
    versions = ["v1alpha1", "v1", "v1beta2", "v2", "v10", "v1beta10"]
    assert sorted(versions, key=version_rank) == ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1"]


def test_removed_definition_takes_its_kind_away() -> None:
    catalog = Catalog(())
    strategy = DefinitionStrategy(catalog)
    obj = definition()
    strategy.prepare(obj, None)
    strategy.stored(obj)
    assert catalog.by_kind("example.com/v1", "Widget") is not None
    strategy.removed(obj)
    assert catalog.by_kind("example.com/v1", "Widget") is None
    assert catalog.by_kind_key("widgets.example.com") is None
    assert catalog.group_versions() == {}


def test_every_kind_that_the_code_names_is_shipped_built_in_or_measured() -> None:
    catalog = Catalog((*BUILTIN_KINDS, *metrics_kinds(list, list)))
    strategy = DefinitionStrategy(catalog)
    for obj in read_manifests(SHIPPED / "crds"):
        obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        strategy.prepare(obj, None)
        assert strategy.check(obj, None) == []
        strategy.stored(obj)
    named = [value for value in vars(resources).values() if isinstance(value, Resource)]
    assert named
    for resource in named:
        served = catalog.of(resource)
        assert served is not None and served.resource == resource, resource


def test_labels_that_kn_selects_by_are_on_the_definitions() -> None:
    labels = {obj["metadata"]["name"]: obj["metadata"]["labels"] for obj in read_manifests(SHIPPED / "crds")}
    sources = {name for name, found in labels.items() if found.get("duck.knative.dev/source") == "true"}
    assert sources == {
        f"{plural}.sources.knative.dev"
        for plural in (
            *("apiserversources", "containersources", "pingsources", "sinkbindings"),
            *("kafkasources", "integrationsources"),
        )
    }
    channels = {name for name, found in labels.items() if found.get("messaging.knative.dev/subscribable") == "true"}
    assert channels == {"channels.messaging.knative.dev", "inmemorychannels.messaging.knative.dev"}


def test_a_kind_that_nobody_acts_on_says_so_to_whoever_writes_it() -> None:
    catalog = Catalog(())
    strategy = DefinitionStrategy(catalog)
    plain, marked = definition(), definition(names={"plural": "gadgets", "kind": "Gadget"})
    for obj in (plain, marked):
        strategy.prepare(obj, None)
    marked["metadata"]["annotations"] = {"eventmesh.io/caveat": "gadgets are stored"}
    for obj in (plain, marked):
        strategy.stored(obj)
    caveats = {served.resource.kind: served.caveat for served in catalog.in_version("example.com", "v1")}
    assert caveats == {"Widget": "", "Gadget": "gadgets are stored"}


ATOMIC = {
    "services.serving.knative.dev": "spec.template.spec.nodeSelector",
    "configurations.serving.knative.dev": "spec.template.spec.nodeSelector",
    "revisions.serving.knative.dev": "spec.nodeSelector",
    "podautoscalers.autoscaling.internal.knative.dev": "spec.scaleTargetRef",
    "serverlessservices.networking.internal.knative.dev": "spec.objectRef",
}
"""Maps that have one owner as a whole, as in the published definitions of Knative 1.15. Their other markers are on what
lies in lists, and Knative's lists are atomic themselves."""


def test_knatives_maps_are_owned_as_in_its_published_definitions() -> None:
    found = {}
    for obj in read_manifests(SHIPPED):
        if obj["kind"] == "CustomResourceDefinition" and "gateway" not in obj["metadata"]["name"]:
            [schema] = [
                version["schema"]["openAPIV3Schema"] for version in obj["spec"]["versions"] if version["storage"]
            ]
            for path in atomic_maps(schema):
                found[obj["metadata"]["name"]] = path
    assert found == ATOMIC


def atomic_maps(schema: dict[str, Any], path: str = "") -> list[str]:
    """Return where below `schema` a map is marked atomic."""
    here = [path[1:]] if schema.get("x-kubernetes-map-type") == "atomic" else []
    below = [atomic_maps(part, f"{path}.{name}") for name, part in schema.get("properties", {}).items()]
    return [*here, *(found for part in below for found in part)]


def test_a_conversion_that_nobody_asks_for_is_told() -> None:
    [conversion] = DefinitionStrategy(Catalog(())).caveats(definition(conversion={"strategy": "Webhook"}))
    assert conversion == "spec.conversion: webhooks are stored, but not called in the local cluster"
    assert DefinitionStrategy(Catalog(())).caveats(definition()) == ()


def ruled(rule: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": rule}]}
    return definition(versions=[{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}])


def test_a_rule_that_does_not_compile_is_refused_where_it_stands() -> None:
    assert causes(ruled("self.none")) == ["spec.versions[0].schema.openAPIV3Schema.x-kubernetes-validations[0].rule"]
    assert causes(ruled("true")) == []


def test_a_definition_with_a_bad_rule_that_is_stored_already_may_change_otherwise() -> None:
    strategy = DefinitionStrategy(Catalog(()))
    stored = ruled("self.none")
    strategy.prepare(stored, None)
    assert strategy.check(ruled("self.none") | {"spec": stored["spec"]}, stored) == []


def test_rules_are_not_imported_for_a_definition_without() -> None:
    program = (
        "import sys\n"
        "from eventmesh.cluster.api.catalog import Catalog\n"
        "from eventmesh.cluster.api.definitions import DefinitionStrategy\n"
        "from eventmesh.cluster.api.shipped import SHIPPED\n"
        "from eventmesh.kube.manifests import read_manifests\n"
        "for obj in read_manifests(SHIPPED):\n"
        "    if obj['kind'] == 'CustomResourceDefinition':\n"
        "        obj['metadata']['creationTimestamp'] = '2026-01-01T00:00:00Z'\n"
        "        strategy = DefinitionStrategy(Catalog(()))\n"
        "        strategy.prepare(obj, None)\n"
        "        strategy.check(obj, None)\n"
        "        strategy.stored(obj)\n"
        "print([name for name in sys.modules if 'api.rule' in name or 'api.cel' in name])\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
