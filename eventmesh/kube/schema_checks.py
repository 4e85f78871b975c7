"""What an EventType asks of events beyond being a catalogue entry: that their data follows its schema.

metadata:
  annotations:
    eventmesh.io/schema-check: reject    # or divert
spec: {type: order.created, reference: {kind: Broker, ...}, schemaData: '{"type": "object", ...}'}
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.schema import DataSchema
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import Key, annotations_of, key_of
from eventmesh.kube.resources import BROKER, CHANNEL, IN_MEMORY_CHANNEL

ANNOTATION: Final = "eventmesh.io/schema-check"
FIELD: Final = f"metadata.annotations[{ANNOTATION}]"

CHECKED: Final = (BROKER, CHANNEL, IN_MEMORY_CHANNEL)
"""Kinds whose events are checked."""


class Verdict(Enum):
    """What becomes of an event whose data is not what its type promises."""

    REJECT = "reject"
    """The sender is told, with 400."""
    DIVERT = "divert"
    """It is accepted, and goes to the dead letter sink and to nobody else."""


@frozen
class SchemaCheck:
    """The check of one EventType."""

    name: Key
    resource: Resource
    target: Key
    """The broker or channel whose events are checked."""
    type: str
    source: str
    """Empty: whatever the source."""
    verdict: Verdict
    schema: DataSchema


def schema_check_of(event_type: Object) -> SchemaCheck | None:
    """Return the check that an EventType asks for; None when it asks for none.

    Raises ConfigError naming the field that is wrong.
    """
    said = annotations_of(event_type).get(ANNOTATION)
    if said is None:
        return None
    try:
        verdict = Verdict(said)
    except ValueError:
        raise ConfigError(FIELD, f"is {said!r}; must be reject or divert") from None
    key, spec = key_of(event_type), event_type.get("spec") or {}
    text = spec.get("schemaData")
    if not text:
        raise ConfigError("spec.schemaData", f"is missing: {ANNOTATION} holds events against it, as a JSON Schema")
    reference = spec.get("reference") or {}
    group = str(reference.get("apiVersion") or "").rpartition("/")[0]
    resource = next((kind for kind in CHECKED if (kind.group, kind.kind) == (group, reference.get("kind"))), None)
    if resource is None:
        raise ConfigError("spec.reference", f"{ANNOTATION} needs the Broker or Channel whose events are checked")
    target = Key(reference.get("namespace") or key.namespace, reference.get("name") or "")
    if target.namespace != key.namespace:
        # Whoever may write here must not decide what is sent elsewhere.
        raise ConfigError("spec.reference.namespace", f"{ANNOTATION} is for this namespace, {key.namespace}, only")
    schema = DataSchema(text, "spec.schemaData")
    return SchemaCheck(key, resource, target, spec.get("type") or "", spec.get("source") or "", verdict, schema)
