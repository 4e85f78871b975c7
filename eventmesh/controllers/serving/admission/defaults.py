"""What the mutating webhook fills in (Serving, pkg/apis/serving/v1/*_defaults.go). Pure: each returns a copy."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from eventmesh.controllers.serving.names import CREATOR, LAST_MODIFIER, child_name, is_of_service
from eventmesh.controllers.serving.settings import RevisionDefaults, ServingSettings
from eventmesh.controllers.serving.templates import expand
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object

WRITABLE_VOLUMES = ("emptyDir", "persistentVolumeClaim", "ephemeral")
"""Sources whose mounts may be written to; all other mounts are read-only."""


def default_service(obj: Object, request: AdmissionRequest, settings: ServingSettings) -> Object:
    """Return the Service with template, traffic and authorship filled in."""
    obj = default_configuration(obj, request, settings)
    spec = obj["spec"]
    if not spec.get("traffic"):
        spec["traffic"] = [{"latestRevision": True, "percent": 100}]
    _traffic(spec)
    return obj


def default_configuration(obj: Object, request: AdmissionRequest, settings: ServingSettings) -> Object:
    """Return the Configuration with template and authorship filled in."""
    obj = copy.deepcopy(obj)
    spec: Object = _section(obj, "spec")
    template: Object = _section(spec, "template")
    _section(template, "metadata")
    _revision_spec(_section(template, "spec"), obj["metadata"], settings, creating=request.old is None)
    _authorship(obj, request)
    return obj


def default_route(obj: Object, request: AdmissionRequest, settings: ServingSettings) -> Object:
    """Return the Route with traffic and authorship filled in."""
    obj = copy.deepcopy(obj)
    _traffic(_section(obj, "spec"))
    _authorship(obj, request)
    return obj


def default_domain_mapping(obj: Object, request: AdmissionRequest) -> Object:
    """Return the DomainMapping with the namespace of its reference and authorship filled in."""
    obj = copy.deepcopy(obj)
    reference = _section(_section(obj, "spec"), "ref")
    if isinstance(reference, dict) and not reference.get("namespace"):
        reference["namespace"] = obj["metadata"].get("namespace", "")
    _authorship(obj, request)
    return obj


def default_revision(obj: Object, request: AdmissionRequest, settings: ServingSettings) -> Object:
    """Return the Revision with its spec filled in; an update is left alone, a revision never changes."""
    obj = copy.deepcopy(obj)
    if request.old is None:
        # kn writes into this map without asking whether it is there.
        _section(obj["metadata"], "annotations")
        _revision_spec(_section(obj, "spec"), obj["metadata"], settings, creating=True)
    return obj


def _section(parent: Any, field: str) -> Any:
    """Return the map `parent[field]`, made when absent; what is no map is left for validation to refuse."""
    value = parent.get(field) if isinstance(parent, dict) else None
    if value is None:
        value = {}
        if isinstance(parent, dict):
            parent[field] = value
    return value


def _authorship(obj: Object, request: AdmissionRequest) -> None:
    if is_of_service(obj["metadata"]):
        # Its Service hands down who wrote it; the controller that carries the note is nobody's author.
        return
    annotations = _section(obj["metadata"], "annotations")
    if request.old is None:
        annotations[CREATOR] = annotations[LAST_MODIFIER] = request.user
        return
    before = request.old["metadata"].get("annotations") or {}
    for key in (CREATOR, LAST_MODIFIER):
        # A client that replaces the object need not know these; one that changes them is refused later.
        if key in before:
            annotations.setdefault(key, before[key])
    if obj.get("spec") != request.old.get("spec"):
        annotations[LAST_MODIFIER] = request.user


def _traffic(spec: Any) -> None:
    for target in _list(spec, "traffic"):
        target.setdefault("percent", 0)
        if target.get("latestRevision") is None:
            target["latestRevision"] = not target.get("revisionName")


def _revision_spec(spec: Any, parent: Object, settings: ServingSettings, *, creating: bool) -> None:
    defaults = settings.defaults
    if not isinstance(spec, dict):
        return
    if spec.get("timeoutSeconds") in (None, 0):
        spec["timeoutSeconds"] = defaults.timeout_s
    if spec.get("containerConcurrency") is None:
        spec["containerConcurrency"] = defaults.container_concurrency
    timeout = spec["timeoutSeconds"]
    for field, part_s in (
        ("responseStartTimeoutSeconds", defaults.response_start_timeout_s),
        ("idleTimeoutSeconds", defaults.idle_timeout_s),
    ):
        # A default that the revision's own timeout leaves no room for says nothing.
        if spec.get(field) is None and isinstance(timeout, int) and 0 < part_s < timeout:
            spec[field] = part_s
    links = defaults.enable_service_links
    if creating and spec.get("enableServiceLinks") is None and links is not None:
        # On create only: an object from before this default must not get a new revision by it.
        spec["enableServiceLinks"] = links
    volumes = {str(volume.get("name")): volume for volume in _list(spec, "volumes")}
    containers = _list(spec, "containers")
    _name_containers(spec, parent, defaults)
    for container in containers:
        _container(container, volumes, settings, serving=len(containers) == 1 or bool(container.get("ports")))


def _name_containers(spec: Object, parent: Object, defaults: RevisionDefaults) -> None:
    """Give containers without a name one that no other has."""
    names = {"Name": str(parent.get("name") or ""), "Namespace": str(parent.get("namespace") or "")}
    kinds = (("containers", defaults.container_name), ("initContainers", defaults.init_container_name))
    taken = [container.get("name") for kind, _ in kinds for container in _list(spec, kind)]
    for kind, template in kinds:
        base = expand(template, names)
        numbers = itertools.count()
        nameless = [container for container in _list(spec, kind) if not container.get("name")]
        for container in nameless:
            name = base
            if len(_list(spec, kind)) > 1 or name in taken:
                name = next(each for n in numbers if (each := child_name(base, f"-{n}")) not in taken)
            container["name"] = name


def _container(container: Object, volumes: dict[str, Object], settings: ServingSettings, *, serving: bool) -> None:
    resources = _section(container, "resources")
    for bound, quantities in settings.defaults.resources.items():
        for kind, quantity in quantities.items():
            _section(resources, bound).setdefault(kind, quantity)
    if serving:
        probe = container.setdefault("readinessProbe", {})
        if isinstance(probe, dict):
            if not any(handler in probe for handler in ("httpGet", "tcpSocket", "exec", "grpc")):
                probe["tcpSocket"] = {"port": 0}
            probe.setdefault("successThreshold", 1)
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        _probe(container.get(kind))
    for mount in _list(container, "volumeMounts"):
        volume = volumes.get(str(mount.get("name")), {})
        if not any(source in volume for source in WRITABLE_VOLUMES):
            mount["readOnly"] = True


def _probe(probe: object) -> None:
    # Period 0 asks the sidecar to probe as fast as it can, and then has no thresholds.
    if isinstance(probe, dict) and probe.get("periodSeconds"):
        probe.setdefault("failureThreshold", 3)
        probe.setdefault("timeoutSeconds", 1)


def _list(parent: Any, field: str) -> list[Object]:
    items = parent.get(field) if isinstance(parent, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
