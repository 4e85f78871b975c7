"""Defaults and rules of the sources (knative/eventing: pkg/apis/sources/v1)."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.controllers.eventing.admission.fields import INVALID, MISSING, default_namespace, destination_errors
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.api_server_source import Mode, parse_api_server_source, selected_namespaces
from eventmesh.kube.ping_source import parse_ping, payload
from eventmesh.kube.selectors import LabelSelector

DEFAULT_SCHEDULE: Final = "* * * * *"

MAX_DATA_BYTES: Final = 1_048_576
"""Longest data of a PingSource: a broker takes no longer event (`activator.broker.ingress`)."""

_NO_UID: Final = "00000000-0000-0000-0000-000000000000"
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class PingSourceAdmission:
    """A PingSource without a schedule sends every minute."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the source with schedule and the sink's namespace filled in."""
        source = with_sink_namespace(obj)
        source["spec"]["schedule"] = source["spec"].get("schedule") or DEFAULT_SCHEDULE
        return source

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: a schedule or time zone nobody knows, data that is too long or not what it says."""
        spec = obj["spec"]
        errors = source_errors(spec)
        try:
            ping = parse_ping({**obj, "metadata": {"uid": _NO_UID, **obj["metadata"]}})
        except ConfigError as error:
            message = f"{INVALID}: {error.problem}" if "," not in error.path else error.problem
            fields = (f"spec.{field.strip()}" for field in error.path.split(","))
            return [*errors, FieldError(message, ", ".join(fields))]
        if not errors:
            try:
                Event(ping.attributes(_ANY_TIME), ping.data)
            except InvalidEvent as error:
                errors.append(FieldError(f"{INVALID}: {error}", _field_of(error.attribute)))
        return errors + _data_errors(spec)


class ApiServerSourceAdmission:
    """An ApiServerSource speaks by reference, for the account `default`, unless it says otherwise."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the source with mode, account and the sink's namespace filled in."""
        source = with_sink_namespace(obj)
        source["spec"]["mode"] = source["spec"].get("mode") or Mode.REFERENCE.value
        source["spec"]["serviceAccountName"] = source["spec"].get("serviceAccountName") or "default"
        return source

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: an unknown mode, resources that are none, selectors or filters nobody can read."""
        spec = obj["spec"]
        errors = source_errors(spec)
        try:
            parse_api_server_source({**obj, "metadata": {"uid": _NO_UID, **obj["metadata"]}})
            if "namespaceSelector" in spec:
                selected_namespaces(spec, "", [])
        except ConfigError as error:
            message = error.problem if error.problem == MISSING else f"{INVALID}: {error.problem}"
            errors.append(FieldError(message, f"spec.{error.path}"))
        try:
            compile_trigger_filter({"filters": spec.get("filters")})
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        return errors


class SinkBindingAdmission:
    """A SinkBinding is about subjects of its own namespace."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the binding with the namespaces of subject and sink filled in."""
        binding = with_sink_namespace(obj)
        subject = binding["spec"].get("subject")
        if isinstance(subject, dict) and not subject.get("namespace"):
            subject["namespace"] = binding["metadata"].get("namespace", "")
        return binding

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no subject, one both by name and by labels, one of another namespace."""
        spec = obj["spec"]
        subject = spec.get("subject") or {}
        errors = [
            FieldError(MISSING, f"spec.subject.{field}") for field in ("apiVersion", "kind") if not subject.get(field)
        ]
        if subject.get("name") and subject.get("selector"):
            errors.append(FieldError("expected exactly one, got both", "spec.subject.name, spec.subject.selector"))
        elif not subject.get("name") and not subject.get("selector"):
            errors.append(FieldError("expected exactly one, got neither", "spec.subject.name, spec.subject.selector"))
        else:
            errors += _selector_errors(subject.get("selector"))
        if subject.get("namespace", obj["metadata"].get("namespace")) != obj["metadata"].get("namespace"):
            errors.append(FieldError(f"{INVALID}: {subject['namespace']}", "spec.subject.namespace"))
        return errors + source_errors(spec)


class ContainerSourceAdmission:
    """The containers of a ContainerSource are named after it, unless they have names."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the source with names of containers and the sink's namespace filled in."""
        source = with_sink_namespace(obj)
        for number, container in enumerate(_containers(source["spec"])):
            container["name"] = container.get("name") or f"{source['metadata'].get('name', '')}-{number}"
        return source

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no containers, or one without an image."""
        spec = obj["spec"]
        errors = source_errors(spec)
        if not _containers(spec):
            return [*errors, FieldError(MISSING, "spec.containers")]
        for number, container in enumerate(_containers(spec)):
            errors += [
                FieldError(MISSING, f"spec.containers[{number}].{field}")
                for field in ("name", "image")
                if not container.get(field)
            ]
        return errors


def with_sink_namespace(obj: Object) -> Object:
    """Return a copy whose sink names its namespace."""
    source = copy.deepcopy(obj)
    source["spec"] = source.get("spec") or {}
    default_namespace(source["spec"].get("sink"), source["metadata"].get("namespace", ""))
    return source


def source_errors(spec: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with the fields that all sources have: `sink` and `ceOverrides`."""
    errors = destination_errors(spec.get("sink"), "spec.sink")
    extensions = (spec.get("ceOverrides") or {}).get("extensions") or {}
    for name in extensions:
        if not (name.isascii() and name.isalnum() and name == name.lower()):
            details = "keys are expected to be lower-case letters and digits"
            errors.append(FieldError(f'invalid key name "{name}"', "spec.ceOverrides.extensions", details))
    return errors


def _containers(spec: dict[str, Any]) -> list[Object]:
    return ((spec.get("template") or {}).get("spec") or {}).get("containers") or []


def _selector_errors(selector: Object | None) -> list[FieldError]:
    try:
        LabelSelector.of(selector)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        return [FieldError(f"{INVALID}: {error}", "spec.subject.selector")]
    return []


def _data_errors(spec: dict[str, Any]) -> list[FieldError]:
    field = "dataBase64" if spec.get("dataBase64") else "data"
    data = payload(spec)
    if data is None:
        return []
    if len(data) > MAX_DATA_BYTES:
        problem = f"the {field} length of {len(data)} bytes exceeds limit set at {MAX_DATA_BYTES}."
        return [FieldError(f"{INVALID}: {problem}", f"spec.{field}")]
    if spec.get("contentType") == "application/json":
        try:
            found = json.loads(data)
        except ValueError as error:
            return [FieldError(f"{INVALID}: not JSON: {error}", f"spec.{field}")]
        if not isinstance(found, dict):
            return [FieldError(f"{INVALID}: not a JSON object", f"spec.{field}")]
    return []


def _field_of(attribute: str) -> str:
    return "spec.contentType" if attribute == "datacontenttype" else f"spec.ceOverrides.extensions.{attribute}"
