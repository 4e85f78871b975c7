"""OpenAPI v3, as much of it as kubectl reads: which fields a kind has, and that the server validates them itself.

kubectl looks for `fieldValidation` among the parameters of a kind's PATCH, for the patch types it takes, and
(`explain`) for the schema that carries the kind's name.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from eventmesh.cluster.api.builtin.types import (
    INLINE,
    find_type,
    message_types,
    patch_markers,
    scalar_schema,
    topology_markers,
)
from eventmesh.cluster.api.catalog import Catalog, Served
from eventmesh.kube.api import Object, PatchType

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_ACTIONS = {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
]


class OpenApi:
    """Documents by group and version, made when asked for and kept until the catalog changes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._documents: dict[str, tuple[str, Object]] = {}
        self._generation = -1

    def document(self, path: str) -> Object | None:
        """Return the index (empty path) or the document of `api/v1`, `apis/<group>/<version>`; None if not served."""
        self._refresh()
        if not path:
            return {
                "paths": {
                    name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
                    for name, (digest, _) in self._documents.items()
                }
            }
        found = self._documents.get(path)
        return None if found is None else found[1]

    def documents(self) -> list[Object]:
        """Return the document of every group and version, in order of preference."""
        self._refresh()
        return [document for _, document in self._documents.values()]

    def _refresh(self) -> None:
        if self._generation == self._catalog.generation:
            return
        self._documents = {}
        for group, versions in self._catalog.group_versions().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                document = _document(group, version, self._catalog.in_version(group, version))
                digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
                self._documents[path] = (digest.upper(), document)
        self._generation = self._catalog.generation


def _document(group: str, version: str, kinds: list[Served]) -> Object:
    schemas: Object = {}
    _add_message(schemas, "meta.ObjectMeta")
    paths: Object = {}
    for served in kinds:
        _add_kind(schemas, served)
        _add_paths(paths, served)
    title = f"{group or 'core'}/{version}"
    return {
        "openapi": "3.0.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _gvk(served: Served) -> dict[str, str]:
    resource = served.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema_name(served: Served) -> str:
    resource = served.resource
    found = None if served.is_custom else find_type(resource.api_version, resource.kind)
    if found is not None:
        return _message_name(found.name)
    reversed_group = ".".join(reversed((resource.group or "core").split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _add_kind(schemas: Object, served: Served) -> None:
    name = _schema_name(served)
    found = None if served.is_custom else find_type(served.resource.api_version, served.resource.kind)
    if found is not None:
        _add_message(schemas, found.name)
    else:
        schema: Object = dict(served.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
        properties = dict(schema.get("properties") or {})
        schema["properties"] = {
            **properties,
            **_TYPE_META,
            "metadata": {"allOf": [{"$ref": f"#/components/schemas/{_META}.ObjectMeta"}], "default": {}},
        }
        schemas[name] = schema
    schemas[name] = {
        **schemas[name],
        "properties": {**_TYPE_META, **schemas[name]["properties"]},
        "x-kubernetes-group-version-kind": [_gvk(served)],
    }


_TYPE_META: Object = {
    "apiVersion": {"type": "string", "description": "The group and version of the kind, as group/version."},
    "kind": {"type": "string", "description": "The kind of the object, in CamelCase."},
}


def _message_name(name: str) -> str:
    group, _, message = name.partition(".")
    short, _, version = group.partition("/")
    return f"{_META}.{message}" if short == "meta" else f"io.k8s.api.{short}.{version or 'v1'}.{message}"


def _add_message(schemas: Object, name: str) -> None:
    """Add the schema of a message and of all it refers to."""
    full = _message_name(name)
    if full in schemas:
        return
    schemas[full] = {"type": "object", "properties": {}}
    schemas[full]["properties"] = _properties(schemas, name)


def _properties(schemas: Object, name: str) -> Object:
    properties: Object = {}
    for field in message_types()[name].fields:
        if field.name == INLINE:
            properties.update(_properties(schemas, field.shape))
            continue
        value = _reference(schemas, field.shape)
        if field.is_list:
            value = {"type": "array", "items": value}
        elif field.is_map:
            value = {"type": "object", "additionalProperties": value}
        where = f"{name}.{field.name}"
        properties[field.name] = {**value, **topology_markers(where), **patch_markers(where)}
    return properties


def _reference(schemas: Object, shape: str) -> dict[str, Any]:
    scalar = scalar_schema(shape)
    if scalar is not None:
        return {"type": "string", **scalar} if "x-kubernetes-int-or-string" in scalar else dict(scalar)
    _add_message(schemas, shape)
    return {"allOf": [{"$ref": f"#/components/schemas/{_message_name(shape)}"}]}


def _add_paths(paths: Object, served: Served) -> None:
    resource = served.resource
    collection = resource.path("{namespace}" if resource.namespaced else None)
    body = {"schema": {"$ref": f"#/components/schemas/{_schema_name(served)}"}}
    operations: Object = {}
    if "create" in served.verbs:
        operations["post"] = _operation(served, "post", {"application/json": body})
    if "list" in served.verbs:
        operations["get"] = _operation(served, "list", None)
    paths[collection] = operations
    if "get" not in served.verbs:
        return
    # kubectl computes a strategic patch from the schema; where there is none, a merge patch says the same.
    has_fields = not served.is_custom and served.schema is not None
    patches = [PatchType.APPLY, PatchType.JSON, PatchType.MERGE] + ([PatchType.STRATEGIC] if has_fields else [])
    bodies: dict[str, Any] = {
        "put": {"application/json": body},
        "patch": {patch.value: {"schema": {"type": "object"}} for patch in patches},
    }
    paths[f"{collection}/{{name}}"] = {
        method: _operation(served, action, bodies.get(method)) for method, action in _ACTIONS.items()
    }


def _operation(served: Served, action: str, body: Object | None) -> Object:
    reply = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_schema_name(served)}"}}}
    operation: Object = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(served),
        "responses": {"200": {"description": "OK", "content": reply}},
    }
    if body is not None:
        operation["parameters"] = _PARAMETERS
        operation["requestBody"] = {"content": body}
    return operation
