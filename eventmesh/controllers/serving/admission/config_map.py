"""The door of the ConfigMaps with Serving's settings: what does not parse is refused, as Serving's webhook does."""

from __future__ import annotations

from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.config_maps import PARSERS, example_problem
from eventmesh.controllers.serving.settings import SYSTEM_NAMESPACE
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of


class ConfigMapAdmission:
    """ConfigMaps of the system namespace by their names; all others are none of Serving's business."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the ConfigMap as it is."""
        return obj

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return why the settings cannot be read."""
        metadata = obj["metadata"]
        if metadata.get("namespace") != SYSTEM_NAMESPACE or metadata.get("name") not in PARSERS:
            return []
        data = obj.get("data") or {}
        problem = example_problem(annotations_of(obj), data)
        if problem:
            return [FieldError(problem, "")]
        _, parse = PARSERS[metadata["name"]]
        try:
            parse(data)
        except ConfigError as error:
            return [FieldError(str(error), "")]
        return []
