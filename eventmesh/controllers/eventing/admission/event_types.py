"""Defaults and rules of EventType (knative/eventing: pkg/apis/eventing/v1beta2)."""

from __future__ import annotations

import copy

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.controllers.eventing.admission.fields import INVALID, MISSING, changed
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.resources import BROKER
from eventmesh.kube.schema_checks import schema_check_of


class EventTypeAdmission:
    """An EventType names a type, and stays as it was created."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the EventType with its reference: the Broker that the old field names, in its own namespace."""
        made = copy.deepcopy(obj)
        spec = made["spec"] = made.get("spec") or {}
        if not spec.get("reference") and spec.get("broker"):
            spec["reference"] = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": spec["broker"]}
        if spec.get("reference"):
            spec["reference"].setdefault("namespace", made["metadata"].get("namespace", ""))
        return made

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no type, a type or source that no event can have, a changed spec."""
        spec = obj["spec"]
        errors = [] if request.old is None else changed(request.old["spec"], spec, "spec")
        if not spec.get("type"):
            return [*errors, FieldError(MISSING, "spec.type")]
        attributes = {"id": "1", "specversion": "1.0", "type": spec["type"], "source": spec.get("source") or "/"}
        if spec.get("schema"):
            attributes["dataschema"] = spec["schema"]
        try:
            Event(attributes)
        except InvalidEvent as error:
            field = "schema" if error.attribute == "dataschema" else error.attribute
            errors.append(FieldError(f"{INVALID}: {error.problem}", f"spec.{field}"))
        try:
            schema_check_of(obj)
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        return errors
