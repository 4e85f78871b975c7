"""Rules for the spec of a revision: its containers together, volumes, timeouts, concurrency."""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.controllers.serving.admission.container import container_errors
from eventmesh.controllers.serving.admission.fields import (
    disallowed,
    dns_1123_label_problem,
    dns_1123_subdomain_problem,
    invalid,
    missing,
    out_of_bounds,
    within,
)
from eventmesh.controllers.serving.settings import Features, RevisionDefaults, ServingSettings
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object

ALLOWED = frozenset(
    (
        "containers", "volumes", "serviceAccountName", "imagePullSecrets", "enableServiceLinks",
        "automountServiceAccountToken", "containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds",
        "idleTimeoutSeconds",
    )
)  # fmt: skip
BY_FEATURE = {
    "affinity": "kubernetes.podspec-affinity",
    "topologySpreadConstraints": "kubernetes.podspec-topologyspreadconstraints",
    "hostAliases": "kubernetes.podspec-hostaliases",
    "nodeSelector": "kubernetes.podspec-nodeselector",
    "runtimeClassName": "kubernetes.podspec-runtimeclassname",
    "tolerations": "kubernetes.podspec-tolerations",
    "securityContext": "kubernetes.podspec-securitycontext",
    "shareProcessNamespace": "kubernetes.podspec-shareprocessnamespace",
    "hostIPC": "kubernetes.podspec-hostipc",
    "hostPID": "kubernetes.podspec-hostpid",
    "hostNetwork": "kubernetes.podspec-hostnetwork",
    "priorityClassName": "kubernetes.podspec-priorityclassname",
    "schedulerName": "kubernetes.podspec-schedulername",
    "initContainers": "kubernetes.podspec-init-containers",
    "dnsPolicy": "kubernetes.podspec-dnspolicy",
    "dnsConfig": "kubernetes.podspec-dnsconfig",
}
VOLUME_SOURCES = frozenset(("secret", "configMap", "projected"))
VOLUME_BY_FEATURE = {
    "emptyDir": "kubernetes.podspec-volumes-emptydir",
    "persistentVolumeClaim": "kubernetes.podspec-persistent-volume-claim",
    "hostPath": "kubernetes.podspec-volumes-hostpath",
    "csi": "kubernetes.podspec-volumes-csi",
    "image": "kubernetes.podspec-volumes-image",
}
MAX_CONTAINERS = 32
"""More belong in services of their own; each costs a process and a log."""


def revision_spec_errors(spec: Object, settings: ServingSettings) -> list[FieldError]:
    """Return what is wrong with a revision's spec of the right shape, paths below it."""
    return [
        *_masked(spec, settings.features),
        *_containers(spec, settings.features),
        *_volumes(spec, settings.features),
        *_service_account(spec.get("serviceAccountName")),
        *_concurrency(spec.get("containerConcurrency"), settings.defaults),
        *_timeouts(spec, settings.defaults),
    ]


def _masked(spec: Object, features: Features) -> Iterator[FieldError]:
    for field in sorted(spec.keys() - ALLOWED):
        if BY_FEATURE.get(field, field) not in features:
            yield disallowed(field)


def _containers(spec: Object, features: Features) -> Iterator[FieldError]:
    containers: list[Object] = spec.get("containers") or []
    if not containers:
        yield missing("containers")
        return
    if len(containers) > 1 and "multi-container" not in features:
        yield FieldError(f"multi-container is off, but found {len(containers)} containers", "containers")
        return
    if len(containers) > MAX_CONTAINERS:
        yield out_of_bounds(len(containers), 1, MAX_CONTAINERS, "containers")
        return
    volumes = frozenset(volume.get("name", "") for volume in spec.get("volumes") or [])
    for index, container in enumerate(containers):
        yield from within(f"containers[{index}]", container_errors(container, volumes, features))
    for index, container in enumerate(spec.get("initContainers") or []):
        yield from within(f"initContainers[{index}]", container_errors(container, volumes, features))
    yield from _together(containers, features)


def _together(containers: list[Object], features: Features) -> Iterator[FieldError]:
    names = [container.get("name") for container in containers]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield FieldError(f'duplicate container name "{name}"', f"containers[{index}].name")
    if len(containers) == 1:
        return
    serving = [container for container in containers if container.get("ports")]
    if not serving:
        yield missing("containers[*].ports")
    elif len(serving) > 1:
        details = "Only a single port is allowed across all containers"
        yield FieldError("More than one container port is set", "containers[*].ports", details)
    if "multi-container-probing" not in features:
        for index, container in enumerate(containers):
            if not container.get("ports"):
                yield from (
                    disallowed(f"containers[{index}].{probe}")
                    for probe in ("livenessProbe", "readinessProbe", "startupProbe")
                    if container.get(probe)
                )


def _volumes(spec: Object, features: Features) -> Iterator[FieldError]:
    volumes: list[Object] = spec.get("volumes") or []
    seen: set[str] = set()
    mounted = {
        mount.get("name")
        for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
        for mount in container.get("volumeMounts") or []
    }
    for index, volume in enumerate(volumes):
        path, name = f"volumes[{index}]", volume.get("name") or ""
        if dns_1123_label_problem(name):
            yield invalid(name, f"{path}.name")
        elif name in seen:
            yield FieldError(f'duplicate volume name "{name}"', f"{path}.name")
        elif name not in mounted:
            yield FieldError(f'volume with name "{name}" not mounted', f"{path}.name")
        seen.add(name)
        yield from within(path, _volume_source(volume, features))


def _volume_source(volume: Object, features: Features) -> Iterator[FieldError]:
    sources = sorted(volume.keys() - {"name"})
    accepted = VOLUME_SOURCES | {kind for kind, feature in VOLUME_BY_FEATURE.items() if feature in features}
    yield from (disallowed(source) for source in sources if source not in accepted)
    known = [source for source in sources if source in accepted]
    if not known:
        yield FieldError("expected exactly one, got neither", ", ".join(sorted(accepted)))
    elif len(known) > 1:
        yield FieldError("expected exactly one, got both", ", ".join(known))
    elif known[0] == "secret" and not (volume["secret"] or {}).get("secretName"):
        yield missing("secret.secretName")
    elif known[0] == "configMap" and not (volume["configMap"] or {}).get("name"):
        yield missing("configMap.name")


def _service_account(name: str | None) -> Iterator[FieldError]:
    problem = dns_1123_subdomain_problem(name) if name else ""
    if problem:
        yield invalid(name, "serviceAccountName", problem)


def _concurrency(concurrency: int | None, defaults: RevisionDefaults) -> Iterator[FieldError]:
    if concurrency is None:
        return
    low = 0 if defaults.allow_zero_concurrency else 1
    most = defaults.max_container_concurrency
    if not low <= concurrency <= most:
        yield out_of_bounds(concurrency, low, most, "containerConcurrency")


def _timeouts(spec: Object, defaults: RevisionDefaults) -> Iterator[FieldError]:
    total = spec.get("timeoutSeconds")
    if total is None:
        total = defaults.timeout_s
    if not 0 <= total <= defaults.max_timeout_s:
        yield out_of_bounds(total, 0, defaults.max_timeout_s, "timeoutSeconds")
        return
    for field in ("responseStartTimeoutSeconds", "idleTimeoutSeconds"):
        value = spec.get(field)
        if value is not None and not 0 <= value <= total:
            yield out_of_bounds(value, 0, total, field)
