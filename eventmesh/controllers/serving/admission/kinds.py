"""The doors of Serving's kinds: defaults and rules, as an API server asks them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from eventmesh.controllers.serving.admission import defaults
from eventmesh.controllers.serving.admission.config_map import ConfigMapAdmission
from eventmesh.controllers.serving.admission.domain_mapping import DomainClaimAdmission, DomainMappingAdmission
from eventmesh.controllers.serving.admission.fields import missing, within
from eventmesh.controllers.serving.admission.metadata import (
    annotation_errors,
    object_metadata_errors,
    template_metadata_errors,
)
from eventmesh.controllers.serving.admission.pod_spec import revision_spec_errors
from eventmesh.controllers.serving.admission.shape import REVISION_SPEC, TEMPLATE, shape_errors
from eventmesh.controllers.serving.admission.traffic import traffic_errors
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.admission import Admission, AdmissionRequest, FieldError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import CONFIG_MAP, CONFIGURATION, DOMAIN_CLAIM, DOMAIN_MAPPING, KSERVICE, REVISION, ROUTE

Settings = Callable[[], ServingSettings]
"""Where the settings in force are read, at each request."""

_ABSENT = object()


class ServiceAdmission:
    """Service: a template, traffic, and a name that its revisions carry on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Service with every default that kn and the controllers rely on."""
        return defaults.default_service(obj, request, self._settings())

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the Service."""
        if _on_its_way_out(obj):
            return []
        errors = object_metadata_errors(obj, request)
        errors += _template_errors(obj, request, self._settings())
        errors += within("spec", traffic_errors(obj.get("spec"), of_service=True))
        return errors


class ConfigurationAdmission:
    """Configuration: a template."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Configuration with its defaults."""
        return defaults.default_configuration(obj, request, self._settings())

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the Configuration."""
        if _on_its_way_out(obj):
            return []
        return object_metadata_errors(obj, request) + _template_errors(obj, request, self._settings())


class RouteAdmission:
    """Route: traffic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Route with its defaults."""
        return defaults.default_route(obj, request, self._settings())

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the Route."""
        if _on_its_way_out(obj):
            return []
        errors = object_metadata_errors(obj, request)
        return errors + within("spec", traffic_errors(obj.get("spec"), of_service=False))


class RevisionAdmission:
    """Revision: immutable once made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Revision with its defaults."""
        return defaults.default_revision(obj, request, self._settings())

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the Revision."""
        if _on_its_way_out(obj):
            return []
        if request.old is not None:
            if obj.get("spec") == request.old.get("spec"):
                return []
            return [
                FieldError(
                    "Immutable fields changed (-old +new)", "spec", _difference(request.old["spec"], obj["spec"])
                )
            ]
        settings = self._settings()
        annotations: Mapping[str, str] = obj["metadata"].get("annotations") or {}
        malformed = list(shape_errors(obj.get("spec"), REVISION_SPEC, "spec"))
        if malformed:
            return malformed
        errors = within("metadata.annotations", annotation_errors(annotations, settings.autoscaler))
        return errors + within("spec", revision_spec_errors(obj["spec"], settings))


def serving_admissions(settings: Settings) -> dict[Resource, Admission]:
    """Return the door of each kind, for the API server to register."""
    return {
        KSERVICE: ServiceAdmission(settings),
        CONFIGURATION: ConfigurationAdmission(settings),
        REVISION: RevisionAdmission(settings),
        ROUTE: RouteAdmission(settings),
        DOMAIN_MAPPING: DomainMappingAdmission(),
        DOMAIN_CLAIM: DomainClaimAdmission(),
        CONFIG_MAP: ConfigMapAdmission(),
    }


def _on_its_way_out(obj: Object) -> bool:
    # Finalizers must be removable even from an object that today's rules would refuse.
    return "deletionTimestamp" in obj["metadata"]


def _template_errors(obj: Object, request: AdmissionRequest, settings: ServingSettings) -> list[FieldError]:
    template: Object | None = obj["spec"].get("template") if isinstance(obj.get("spec"), dict) else None
    if template is None:
        return [missing("spec.template")]
    malformed = list(shape_errors(template, TEMPLATE, "spec.template"))
    if malformed:
        return malformed
    metadata: Object = template.get("metadata") or {}
    parent = obj["metadata"].get("name") or ""
    errors = within("metadata", template_metadata_errors(metadata, settings.autoscaler, parent))
    errors += within("spec", revision_spec_errors(template.get("spec") or {}, settings))
    errors = within("spec.template", errors)
    before: Object = (request.old or {"spec": {}})["spec"].get("template") or {}
    name = metadata.get("name")
    if name and request.old is not None and name == (before.get("metadata") or {}).get("name") and template != before:
        details = _difference(before, template)
        message = "Saw the following changes without a name change (-old +new)"
        errors.append(FieldError(message, "spec.template.metadata.name", details))
    return errors


def _difference(old: object, new: object, path: str = "") -> str:
    """Return one line for each leaf that differs: `-spec.a: 1` and `+spec.a: 2`."""
    if old == new:
        return ""
    pairs: list[tuple[str, object, object]] = []
    if isinstance(old, dict) and isinstance(new, dict):
        prefix = f"{path}." if path else ""
        keys = sorted(old.keys() | new.keys())
        pairs = [(f"{prefix}{key}", old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(old, new, strict=True))]
    if pairs:
        return "\n".join(filter(None, (_difference(before, after, where) for where, before, after in pairs)))
    sides = ((sign, value) for sign, value in (("-", old), ("+", new)) if value is not _ABSENT)
    return "\n".join(f"{sign}{path}: {json.dumps(value)}" for sign, value in sides)
