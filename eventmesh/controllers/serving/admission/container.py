"""Rules for one container (Serving, pkg/apis/serving/k8s_validation.go and fieldmask.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eventmesh.controllers.serving.admission.fields import (
    both_of,
    disallowed,
    dns_1123_label_problem,
    invalid,
    missing,
    neither_of,
    out_of_bounds,
    within,
)
from eventmesh.controllers.serving.settings import Features
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object

ALLOWED = frozenset(
    (
        "name", "args", "command", "env", "envFrom", "workingDir", "image", "imagePullPolicy", "livenessProbe", "ports",
        "readinessProbe", "resources", "securityContext", "startupProbe", "terminationMessagePath",
        "terminationMessagePolicy", "volumeMounts",
    )
)  # fmt: skip
SECURITY_ALLOWED = frozenset(
    ("allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser",
     "seccompProfile")
)  # fmt: skip
RESERVED_ENV = frozenset(("PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"))
RESERVED_PORTS = frozenset((8012, 8013, 8112, 8022, 9090, 9091, 8008))
"""The sidecar's own."""
RESERVED_NAMES = frozenset(("queue-proxy",))
RESERVED_MOUNTS = frozenset(("/", "/dev", "/dev/log", "/tmp", "/var", "/var/log"))  # noqa: S108  # refused, not used
PORT_NAMES = frozenset(("", "http1", "h2c"))
PROBE_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
MAX_UID = 2**31 - 1
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_IMAGE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[a-fA-F0-9]{32,128})?"
)
_MAX_IMAGE_CHARS = 4096
"""Longer than any registry accepts, short enough to be matched at no cost."""


def container_errors(container: Object, volumes: frozenset[str], features: Features) -> Iterator[FieldError]:
    """Yield what is wrong with a container; `volumes` are the names it may mount."""
    for field in sorted(container.keys() - ALLOWED):
        yield disallowed(field)
    name = container.get("name")
    if name in RESERVED_NAMES:
        yield FieldError(f'"{name}" is a reserved container name', "name")
    elif name and dns_1123_label_problem(name):
        yield invalid(name, "name")
    yield from _image(container.get("image"))
    yield from _environment(container, features)
    yield from _ports(container.get("ports") or [])
    yield from _mounts(container.get("volumeMounts") or [], volumes)
    yield from within("securityContext", _security(container.get("securityContext") or {}))
    policy = container.get("imagePullPolicy")
    if policy not in (None, "", "Always", "IfNotPresent", "Never"):
        yield invalid(policy, "imagePullPolicy")
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = container.get(kind)
        if probe is not None:
            yield from within(kind, _probe(probe, readiness=kind == "readinessProbe"))


def _image(image: str | None) -> Iterator[FieldError]:
    if not image:
        yield missing("image")
    elif len(image) > _MAX_IMAGE_CHARS or not _IMAGE.fullmatch(image):
        details = f'image: "{image[:200]}", error: could not parse reference'
        yield FieldError("Failed to parse image reference", "image", details)


def _environment(container: Object, features: Features) -> Iterator[FieldError]:
    for index, variable in enumerate(container.get("env") or []):
        path = f"env[{index}]"
        name = variable.get("name")
        if not name:
            yield missing(f"{path}.name")
        elif name in RESERVED_ENV:
            yield FieldError(f'"{name}" is a reserved environment variable', f"{path}.name")
        elif not _ENV_NAME.fullmatch(name):
            yield invalid(name, f"{path}.name")
        yield from within(f"{path}.valueFrom", _value_source(variable.get("valueFrom") or {}, features))
    for index, source in enumerate(container.get("envFrom") or []):
        path = f"envFrom[{index}]"
        found = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        if len(found) != 1:
            paths = (f"{path}.configMapRef", f"{path}.secretRef")
            yield both_of(*paths) if found else neither_of(*paths)
        elif not source[found[0]].get("name"):
            yield missing(f"{path}.{found[0]}.name")


def _value_source(source: Object, features: Features) -> Iterator[FieldError]:
    for kind in ("configMapKeyRef", "secretKeyRef"):
        reference = source.get(kind)
        if reference is not None:
            yield from (missing(f"{kind}.{field}") for field in ("key", "name") if not reference.get(field))
    if "kubernetes.podspec-fieldref" not in features:
        yield from (disallowed(kind) for kind in ("fieldRef", "resourceFieldRef") if source.get(kind) is not None)


def _ports(ports: list[Object]) -> Iterator[FieldError]:
    if len(ports) > 1:
        details = "Only a single port is allowed across all containers"
        yield FieldError("More than one container port is set", "ports", details)
    for index, port in enumerate(ports[:1]):
        yield from within(f"ports[{index}]", _port(port))


def _port(port: Object) -> Iterator[FieldError]:
    for field in sorted(port.keys() - {"containerPort", "name", "protocol"}):
        yield disallowed(field)
    number = port.get("containerPort")
    if number is None:
        yield missing("containerPort")
    elif not 0 <= number <= 65535:
        yield out_of_bounds(number, 0, 65535, "containerPort")
    elif number in RESERVED_PORTS:
        yield FieldError(f"{number} is a reserved port", "containerPort")
    if (port.get("name") or "") not in PORT_NAMES:
        details = "Name must be empty, or one of: 'h2c', 'http1'"
        yield FieldError(f"Port name {port['name']} is not allowed", "name", details)
    if (port.get("protocol") or "TCP") != "TCP":
        yield invalid(port["protocol"], "protocol")


def _mounts(mounts: list[Object], volumes: frozenset[str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        path = f"volumeMounts[{index}]"
        for field in sorted(mount.keys() - {"name", "readOnly", "mountPath", "subPath", "mountPropagation"}):
            yield disallowed(f"{path}.{field}")
        if mount.get("mountPropagation"):
            yield disallowed(f"{path}.mountPropagation")
        if mount.get("name") not in volumes:
            yield FieldError("volumeMount has no matching volume", f"{path}.name")
        where: str = mount.get("mountPath") or ""
        clean = where.rstrip("/") or where[:1]
        if not where:
            yield missing(f"{path}.mountPath")
        elif not where.startswith("/"):
            yield invalid(where, f"{path}.mountPath")
        elif clean in RESERVED_MOUNTS:
            yield FieldError(f'mountPath "{where}" is a reserved path', f"{path}.mountPath")
        elif clean in seen:
            yield FieldError(f'"{where}" must be unique', f"{path}.mountPath")
        seen.add(clean)


def _security(context: Object) -> Iterator[FieldError]:
    for field in sorted(context.keys() - SECURITY_ALLOWED):
        yield disallowed(field)
    for field in ("runAsUser", "runAsGroup"):
        uid = context.get(field)
        if uid is not None and not 0 <= uid <= MAX_UID:
            yield out_of_bounds(uid, 0, MAX_UID, field)


def _probe(probe: Object, *, readiness: bool) -> Iterator[FieldError]:
    handlers = [handler for handler in PROBE_HANDLERS if probe.get(handler) is not None]
    if len(handlers) > 1:
        yield both_of(*handlers)
    elif not handlers:
        yield neither_of(*PROBE_HANDLERS)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        value = probe.get(field)
        if value is not None and not 0 <= value < 2**31:
            yield out_of_bounds(value, 0, 2**31 - 1, field)
            return
    if readiness and not probe.get("periodSeconds"):
        for field in ("failureThreshold", "timeoutSeconds"):
            if probe.get(field):
                yield FieldError(f"{field} is disallowed when periodSeconds is zero", field)
    elif not readiness and probe.get("successThreshold") not in (None, 1):
        yield out_of_bounds(probe["successThreshold"], 1, 1, "successThreshold")
