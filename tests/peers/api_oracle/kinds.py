"""The custom kinds that both sides serve: between them every rule a structural schema can have that the API obeys."""

from __future__ import annotations

from typing import Any

GROUP = "oracle.eventmesh.io"
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}


def _record(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _items(items: Schema, list_type: str, *keys: str) -> Schema:
    marks: Schema = {"x-kubernetes-list-type": list_type}
    if keys:
        marks["x-kubernetes-list-map-keys"] = list(keys)
    return {"type": "array", "items": items, **marks}


_SPEC: Schema = {
    **_record(
        color={**_TEXT, "enum": ["red", "green", "blue"]},
        title={**_TEXT, "minLength": 2, "maxLength": 12, "pattern": "^[A-Za-z]"},
        size={**_WHOLE, "minimum": 0, "maximum": 100, "default": 3},
        replicas={**_WHOLE, "format": "int32", "default": 1},
        ratio={"type": "number", "minimum": 0, "exclusiveMinimum": True},
        even={**_WHOLE, "multipleOf": 2},
        enabled={"type": "boolean", "default": False},
        note={**_TEXT, "nullable": True},
        remark={**_TEXT, "nullable": True, "default": "none"},
        port={"x-kubernetes-int-or-string": True},
        free={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"kept": _TEXT}},
        labels={"type": "object", "additionalProperties": _TEXT, "maxProperties": 3},
        limits={"type": "object", "additionalProperties": _record(cpu={**_WHOLE, "default": 1}, memory=_TEXT)},
        parts=_items(
            {
                **_record(name=_TEXT, weight={**_WHOLE, "default": 5}, tags=_items(_TEXT, "set")),
                "required": ["name"],
            },
            "map",
            "name",
        ),
        ports=_items(
            {
                **_record(number=_WHOLE, protocol={**_TEXT, "default": "TCP"}, name=_TEXT),
                "required": ["number"],
            },
            "map",
            "number",
            "protocol",
        ),
        tags={**_items(_TEXT, "set"), "maxItems": 4},
        steps={**_items(_TEXT, "atomic"), "minItems": 1},
        frozen={**_record(one=_TEXT, two=_WHOLE), "x-kubernetes-map-type": "atomic"},
        nested={**_record(deep=_record(value={**_WHOLE, "default": 7}, other=_TEXT)), "default": {"deep": {}}},
        when={**_TEXT, "format": "date-time"},
        choice={**_record(a=_TEXT, b=_TEXT), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ),
    "required": ["color"],
}
_CONDITION: Schema = {**_record(type=_TEXT, status=_TEXT, reason=_TEXT), "required": ["type", "status"]}
_STATUS: Schema = _record(
    phase=_TEXT, replicas=_WHOLE, selector=_TEXT, conditions=_items(_CONDITION, "map", "type"), observed=_WHOLE
)
_COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Color", "type": "string", "jsonPath": ".spec.color", "description": "What it looks like"},
    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
    {"name": "Phase", "type": "string", "priority": 1, "jsonPath": ".status.phase"},
    {"name": "Parts", "type": "string", "jsonPath": ".spec.parts[*].name"},
    {"name": "Enabled", "type": "boolean", "jsonPath": ".spec.enabled"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def _definition(plural: str, kind: str, scope: str, *versions: Schema) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": list(versions),
        },
    }


def _version(name: str, schema: Schema, *, storage: bool = True, **more: Any) -> Schema:
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}


_WIDGET = {**_record(spec=_SPEC, status=_STATUS), "required": ["spec"]}
_WIDGET_PARTS: Schema = {
    "subresources": {"status": {}, "scale": _SCALE},
    "additionalPrinterColumns": _COLUMNS,
    "selectableFields": [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}],
}
WIDGETS = _definition(
    "widgets",
    "Widget",
    "Namespaced",
    _version("v1", _WIDGET, **_WIDGET_PARTS),
    _version("v1beta1", _WIDGET, storage=False, **_WIDGET_PARTS),
)
GADGETS = _definition("gadgets", "Gadget", "Cluster", _version("v1", _record(spec=_SPEC, status=_STATUS)))
LOOSE = _definition(
    "looses", "Loose", "Namespaced", _version("v1", {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
)
DEFINITIONS = (WIDGETS, GADGETS, LOOSE)
