"""Going through the doors of Serving's kinds as an API server does."""

import copy
from typing import Any

from eventmesh.controllers.serving.admission.kinds import serving_admissions
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import KSERVICE

POD = "spec.template.spec"
C0 = f"{POD}.containers[0]"
CREATE = AdmissionRequest(user="alice")


def service(spec: Object | None = None, *, template: Object | None = None, **metadata: Any) -> Object:
    """A minimal Service; `spec` replaces fields of the template's spec."""
    pod: Object = {"containers": [{"image": "dev.local/hello"}], **(spec or {})}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", **metadata},
        "spec": {"template": {"spec": pod, **(template or {})}},
    }


def container(**fields: Any) -> Object:
    return {"containers": [{"image": "dev.local/hello", **fields}]}


def admit(
    obj: Object,
    request: AdmissionRequest = CREATE,
    resource: Resource = KSERVICE,
    settings: ServingSettings | None = None,
) -> tuple[Object, list[str]]:
    """Default and validate as the API server does; return the object and the complaints."""
    before = copy.deepcopy(obj)
    door = serving_admissions(lambda: settings or ServingSettings())[resource]
    defaulted = door.default(obj, request)
    assert obj == before, "admission must not change what it was given"
    return defaulted, [str(error) for error in door.validate(defaulted, request)]
