"""The custom kinds that both sides serve: between them every rule a structural schema can have that the API obeys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GROUP = "oracle.eventmesh.io"
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_SHORT: Schema = {"type": "string", "maxLength": 9}
_WHOLE: Schema = {"type": "integer"}


def _record(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _ruled(schema: Schema, *rules: Schema) -> Schema:
    return {**schema, "x-kubernetes-validations": list(rules)}


def _items(items: Schema, list_type: str, *keys: str) -> Schema:
    marks: Schema = {"x-kubernetes-list-type": list_type}
    if keys:
        marks["x-kubernetes-list-map-keys"] = list(keys)
    return {"type": "array", "items": items, **marks}


_SPEC: Schema = {
    "x-kubernetes-validations": [
        {"rule": "!has(self.title) || self.title != 'Defgh' || self.color == 'red'", "message": "Defgh is red"},
        {
            "rule": "self.size >= self.replicas",
            "messageExpression": "self.size > 2 ? 'below replicas' : 'far below replicas'",
            "reason": "FieldValueForbidden",
            "fieldPath": ".size",
        },
        {"rule": "oldSelf.color != 'blue' || self.color != 'green'", "message": "blue never turns green"},
        {
            "rule": "oldSelf.optMap(o, o.enabled).orValue(false) == false || self.enabled || self.color == 'red'",
            "optionalOldSelf": True,
        },
        {"rule": "self.?note.orValue('') != 'n2' || self.nested.deep.value == 7", "messageExpression": "self.note"},
    ],
    **_record(
        color={**_TEXT, "enum": ["red", "green", "blue"]},
        title={**_TEXT, "minLength": 2, "maxLength": 12, "pattern": "^[A-Za-z]"},
        size={**_WHOLE, "minimum": 0, "maximum": 100, "default": 3},
        replicas={**_WHOLE, "format": "int32", "default": 1},
        ratio=_ruled({"type": "number", "minimum": 0, "exclusiveMinimum": True}, {"rule": "self < 2.2 || self > 3"}),
        even=_ruled({**_WHOLE, "multipleOf": 2}, {"rule": "self >= oldSelf", "message": "never falls"}),
        enabled={"type": "boolean", "default": False},
        note={**_TEXT, "nullable": True},
        remark={**_TEXT, "nullable": True, "default": "none"},
        port=_ruled(
            {"x-kubernetes-int-or-string": True},
            {"rule": "type(self) == int ? self < 100 : self.matches('^[a-z]+$')"},
            {"rule": "self > 7 || self != 'http'", "reason": "FieldValueForbidden"},
        ),
        free={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"kept": _TEXT}},
        labels=_ruled(
            {"type": "object", "additionalProperties": {**_TEXT, "maxLength": 9}, "maxProperties": 3},
            {"rule": "self.all(k, self[k] != '2') || 'b' in self", "fieldPath": "['a']"},
        ),
        limits={
            "type": "object",
            "maxProperties": 5,
            "additionalProperties": _ruled(
                _record(cpu={**_WHOLE, "default": 1}, memory={**_TEXT, "maxLength": 9}),
                {"rule": "self.cpu > 1 || quantity(self.memory).isLessThan(quantity('2Gi'))"},
                {"rule": "self.cpu >= oldSelf.cpu", "reason": "FieldValueDuplicate"},
            ),
        },
        parts=_items(
            {
                **_ruled(
                    _record(name=_SHORT, weight={**_WHOLE, "default": 5}, tags=_items(_TEXT, "set")),
                    {"rule": "self.weight >= oldSelf.weight || oldSelf.weight > 5", "fieldPath": ".weight"},
                    {
                        "rule": "self.name != 'r' || self.weight < 9",
                        "messageExpression": "'%s weighs %d'.format([self.name, self.weight])",
                    },
                ),
                "required": ["name"],
            },
            "map",
            "name",
        )
        | {"maxItems": 9},
        ports=_items(
            {
                **_record(number=_WHOLE, protocol={**_TEXT, "default": "TCP"}, name=_TEXT),
                "required": ["number"],
            },
            "map",
            "number",
            "protocol",
        ),
        tags=_ruled(
            {**_items(_SHORT, "set"), "maxItems": 4},
            {
                "rule": "self == ['u', 't'] || self.exists_one(t, t == 't') || self.size() == 0",
                "reason": "FieldValueRequired",
            },
        ),
        steps=_ruled(
            {**_items(_SHORT, "atomic"), "minItems": 1, "maxItems": 9},
            {"rule": "self[1] == 'two' || self.join('-').indexOf('two-one') >= 0"},
        ),
        frozen={**_record(one=_TEXT, two=_WHOLE), "x-kubernetes-map-type": "atomic"},
        nested={**_record(deep=_record(value={**_WHOLE, "default": 7}, other=_TEXT)), "default": {"deep": {}}},
        when=_ruled({**_TEXT, "format": "date-time"}, {"rule": "self < timestamp('2020-01-02T00:00:00Z')"}),
        choice={**_record(a=_TEXT, b=_TEXT), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ),
    "required": ["color"],
}
_CONDITION: Schema = {**_record(type=_TEXT, status=_TEXT, reason=_TEXT), "required": ["type", "status"]}
_STATUS: Schema = _ruled(
    _record(
        phase=_TEXT, replicas=_WHOLE, selector=_TEXT, conditions=_items(_CONDITION, "map", "type"), observed=_WHOLE
    ),
    {"rule": "self.?replicas.orValue(0) < 3 || has(self.phase)", "message": "three need a phase"},
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


_WIDGET = _ruled(
    {**_record(spec=_SPEC, status=_STATUS), "required": ["spec"]},
    {
        "rule": "self.metadata.name != 'c' || self.spec.color != 'blue' || self.kind != 'Widget'",
        "fieldPath": ".spec.color",
    },
)
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


def ruled_definition(plural: str, schema: Schema, expressions: Sequence[str]) -> Schema:
    """Return a kind in all namespaces whose `spec` has `schema` and is held against `expressions`."""
    spec = _ruled(schema, *({"rule": expression} for expression in expressions))
    return _definition(plural, plural.capitalize(), "Cluster", _version("v1", _record(spec=spec)))
