"""CustomResourceDefinitions: checked, accepted at once, and served from the moment they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eventmesh.cluster.api.catalog import Catalog, Column, ScalePaths, Served
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.patterns import compiled
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.cluster.api.structural import Schema
from eventmesh.cluster.api.validating import TYPES
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import annotations_of

if TYPE_CHECKING:
    from eventmesh.cluster.api.rules import Ruled

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
"""Holds a definition until its objects are gone."""

CAVEAT_ANNOTATION = "eventmesh.io/caveat"
"""On a CRD: what every writer of the kind is told, such as that nobody acts on it."""

_SHAPES: dict[str, type] = {
    **dict.fromkeys(("type", "pattern", "format"), str),
    **dict.fromkeys(("properties", "items", "not"), dict),
    **dict.fromkeys(("required", "enum", "allOf", "anyOf", "oneOf", "x-kubernetes-list-map-keys"), list),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), int),
}
"""What the rules of a schema are written as."""
_NAMES = {str: "string", dict: "object", list: "array", int: "integer"}


class DefinitionStrategy(Strategy):
    """Defaults, checks and serves CRDs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in names and conversion, and say at once that the names are accepted."""
        spec = obj.setdefault("spec", {})
        names = spec.setdefault("names", {})
        if isinstance(names.get("kind"), str):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})
        finalizers = obj["metadata"].setdefault("finalizers", [])
        if CLEANUP_FINALIZER not in finalizers and (old is None or "deletionTimestamp" not in old["metadata"]):
            finalizers.append(CLEANUP_FINALIZER)
        if not finalizers:
            del obj["metadata"]["finalizers"]
        storage = [version["name"] for version in spec.get("versions") or [] if version.get("storage")]
        stamp = obj["metadata"]["creationTimestamp"]
        obj["status"] = {
            "acceptedNames": names,
            "storedVersions": storage,
            "conditions": [
                _condition("NamesAccepted", "NoConflicts", "no conflicts found", stamp),
                _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", stamp),
            ],
        }

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require what serving the kind needs."""
        spec = obj["spec"]
        causes = [
            Cause(CauseType.REQUIRED, f"spec.{field}")
            for field in ("group", "scope", "versions")
            if not spec.get(field)
        ]
        names = spec["names"]
        causes += [
            Cause(CauseType.REQUIRED, f"spec.names.{field}") for field in ("plural", "kind") if not names.get(field)
        ]
        if causes:
            return causes
        expected = f"{names['plural']}.{spec['group']}"
        if obj["metadata"]["name"] != expected:
            detail = f'must be spec.names.plural+"."+spec.group ({expected})'
            causes.append(Cause(CauseType.INVALID, "metadata.name", detail, obj["metadata"]["name"]))
        if spec["scope"] not in ("Namespaced", "Cluster"):
            detail = 'supported values: "Cluster", "Namespaced"'
            causes.append(Cause(CauseType.NOT_SUPPORTED, "spec.scope", detail, spec["scope"]))
        if len([version for version in spec["versions"] if version.get("storage")]) != 1:
            detail = "must have exactly one version marked as storage version"
            causes.append(Cause(CauseType.INVALID, "spec.versions", detail, "versions"))
        before = [] if old is None else [version.get("schema") for version in old["spec"]["versions"]]
        for number, version in enumerate(spec["versions"]):
            schema, where = (version.get("schema") or {}).get("openAPIV3Schema"), f"spec.versions[{number}].schema"
            if schema:
                found = list(_schema_violations(schema, f"{where}.openAPIV3Schema"))
                # What is as it was is left alone: a CRD with a rule that is wrong must still be able to go.
                if not found and version["schema"] not in before:
                    found = _rule_violations(schema, f"{where}.openAPIV3Schema")
                causes += found
            else:
                causes.append(Cause(CauseType.REQUIRED, f"{where}.openAPIV3Schema", "schemas are required"))
        return causes

    def caveats(self, obj: Object) -> tuple[str, ...]:
        """Name a conversion that nobody asks for."""
        if (obj["spec"].get("conversion") or {}).get("strategy") == "Webhook":
            return ("spec.conversion: webhooks are stored, but not called in the local cluster",)
        return ()

    def stored(self, obj: Object) -> None:
        """Serve the kind in its served versions."""
        spec = obj["spec"]
        self._catalog.remove(spec["group"], spec["names"]["plural"])
        for served in served_versions(obj):
            self._catalog.add(served)

    def removed(self, obj: Object) -> None:
        """Serve the kind no more."""
        self._catalog.remove(obj["spec"]["group"], obj["spec"]["names"]["plural"])


def _schema_violations(schema: Any, path: str) -> Iterator[Cause]:
    """Yield what of a schema no object could be held against: a type that is none, a pattern that cannot be read."""
    if not isinstance(schema, dict):
        return
    said = {name: rule for name, rule in schema.items() if rule is not None}
    shapeless = [(name, shape) for name, shape in _SHAPES.items() if not isinstance(said.get(name, shape()), shape)]
    for name, shape in shapeless:
        yield Cause(CauseType.TYPE_INVALID, f"{path}.{name}", f"must be a JSON {_NAMES[shape]}", said[name])
    if shapeless:
        return
    if (type_ := said.get("type")) and type_ not in TYPES:
        accepted = ", ".join(f'"{name}"' for name in sorted(TYPES))
        yield Cause(CauseType.NOT_SUPPORTED, f"{path}.type", f"supported values: {accepted}", type_)
    if pattern := said.get("pattern"):
        try:
            compiled(pattern)
        except ValueError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield Cause(CauseType.INVALID, f"{path}.pattern", detail, pattern)
    for name, below in said.get("properties", {}).items():
        yield from _schema_violations(below, f"{path}.properties[{name}]")
    for field in ("items", "additionalProperties", "not"):
        yield from _schema_violations(said.get(field), f"{path}.{field}")
    for field in ("allOf", "anyOf", "oneOf"):
        for number, below in enumerate(said.get(field, ())):
            yield from _schema_violations(below, f"{path}.{field}[{number}]")


def _has_rules(schema: Any) -> bool:
    """Return whether there are rules in CEL in `schema`."""
    if isinstance(schema, dict):
        return bool(schema.get("x-kubernetes-validations")) or any(map(_has_rules, schema.values()))
    return isinstance(schema, list) and any(map(_has_rules, schema))


def _rule_violations(schema: Schema, path: str) -> list[Cause]:
    if not _has_rules(schema):
        return []
    from eventmesh.cluster.api import rules  # noqa: PLC0415 - a language that most meshes never speak

    return rules.violations(schema, path)


def _rules(schema: Schema) -> Ruled | None:
    if not _has_rules(schema):
        return None
    from eventmesh.cluster.api import rules  # noqa: PLC0415 - a language that most meshes never speak

    return rules.compiled(schema)


def _condition(kind: str, reason: str, message: str, stamp: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": stamp}


def served_versions(definition: Object) -> list[Served]:
    """Return what a CRD object serves, in the order of its versions."""
    spec = definition["spec"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    caveat = annotations_of(definition).get(CAVEAT_ANNOTATION, "")
    return [_served(spec, version, storage, caveat) for version in spec["versions"] if version.get("served")]


def _served(spec: Object, version: Object, storage: str, caveat: str) -> Served:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    return Served(
        resource=Resource(
            spec["group"], version["name"], names["plural"], names["kind"], spec["scope"] == "Namespaced"
        ),
        singular=names["singular"],
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        has_status="status" in subresources,
        scale=_scale(subresources.get("scale")),
        subresources=(("scale", "Scale", ("get", "patch", "update")),) if "scale" in subresources else (),
        columns=tuple(_column(column) for column in version.get("additionalPrinterColumns") or _AGE_ONLY),
        schema=version["schema"]["openAPIV3Schema"],
        rules=_rules(version["schema"]["openAPIV3Schema"]),
        storage_version=storage,
        selectable_fields=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()),
        is_custom=True,
        caveat=caveat,
    )


_AGE_ONLY: list[Object] = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def _column(column: Object) -> Column:
    path = column["jsonPath"]
    return Column(
        name=column["name"],
        path=path,
        type=column.get("type", "string"),
        priority=column.get("priority", 0),
        description=column.get("description") or f"Custom resource definition column (in JSONPath format): {path}",
    )


def _scale(scale: Any) -> ScalePaths | None:
    if not scale:
        return None
    return ScalePaths(
        spec_replicas=scale["specReplicasPath"],
        status_replicas=scale["statusReplicasPath"],
        selector=scale.get("labelSelectorPath", ""),
    )
