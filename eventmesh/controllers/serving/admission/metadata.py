"""Rules for the metadata of Serving's kinds: names, annotations, labels, authorship.

After Serving, pkg/apis/serving/metadata_validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from eventmesh.autoscale.annotations import DOMAIN as AUTOSCALING
from eventmesh.autoscale.annotations import problems
from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.base.durations import parse_go
from eventmesh.controllers.serving.admission.fields import (
    dns_1035_problem,
    invalid,
    invalid_key,
    missing,
    out_of_bounds,
    within,
)
from eventmesh.controllers.serving.names import (
    CLUSTER_LOCAL,
    CREATOR,
    LAST_MODIFIER,
    NETWORKING,
    PROGRESS_DEADLINE,
    QUEUE_SIDECAR,
    ROLLOUT_DURATION,
    SERVICE,
    VISIBILITY,
    is_of_service,
)
from eventmesh.controllers.serving.resources.sidecar_resources import PERCENTAGES
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.quantity import parse_quantity
from eventmesh.kube.warm_start import VALUES, WARM_START

NETWORKING_ANNOTATIONS = frozenset(
    f"{NETWORKING}/{name}"
    for name in (
        "ingress-class", "ingress.class", "certificate-class", "certificate.class", "http-protocol", "httpOption",
        "http-option", "disable-external-domain-tls", "disableAutoTLS", "disable-auto-tls", "wildcardDomain",
        "visibility",
    )
)  # fmt: skip
QUEUE_SIDECAR_ANNOTATIONS = frozenset(
    f"{QUEUE_SIDECAR}/{name}"
    for name in (
        "resource-percentage", "resourcePercentage", "cpu-resource-request", "cpu-resource-limit",
        "memory-resource-request", "memory-resource-limit", "ephemeral-storage-resource-request",
        "ephemeral-storage-resource-limit",
    )
)  # fmt: skip


def object_metadata_errors(obj: Object, request: AdmissionRequest) -> list[FieldError]:
    """Return what is wrong with the metadata of a Service, Configuration or Route, paths from the object."""
    metadata = obj["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    errors = [
        *_name(metadata),
        *(_not_here(key) for key in annotations if key.startswith(f"{AUTOSCALING}/")),
        *_networking(annotations),
        *within("annotations", _seconds_or_duration(annotations)),
        *within("annotations", authorship_errors(annotations, obj, request)),
        *within("labels", _labels(metadata)),
    ]
    return within("metadata", errors)


def template_metadata_errors(metadata: Object, config: AutoscalerConfig, parent: str) -> list[FieldError]:
    """Return what is wrong with the metadata of a revision template, paths below it."""
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    return [
        *_revision_name(metadata, parent),
        *within("annotations", annotation_errors(annotations, config)),
    ]


def annotation_errors(annotations: Mapping[str, str], config: AutoscalerConfig) -> Iterator[FieldError]:
    """Yield what is wrong with the annotations of a revision or of its template, paths are the keys."""
    for problem in problems(annotations, config):
        yield FieldError(problem.problem, problem.path)
    for key in annotations:
        if key.startswith(f"{QUEUE_SIDECAR}/") and key not in QUEUE_SIDECAR_ANNOTATIONS:
            yield invalid_key(key, "")
        elif key.startswith(f"{QUEUE_SIDECAR}/"):
            yield from _sidecar_size(key, annotations[key])
    if annotations.get(WARM_START, "false") not in VALUES:
        yield invalid(annotations[WARM_START], WARM_START)
    yield from _seconds_or_duration(annotations)


def authorship_errors(annotations: Mapping[str, str], obj: Object, request: AdmissionRequest) -> Iterator[FieldError]:
    """Yield what was changed of who made an object and who changed it last, paths are the keys."""
    if request.old is None or is_of_service(obj["metadata"]):
        return
    before: Mapping[str, str] = request.old["metadata"].get("annotations") or {}
    if CREATOR in before and annotations.get(CREATOR) != before[CREATOR]:
        yield FieldError("annotation value is immutable", CREATOR)
    unchanged = obj.get("spec") == request.old.get("spec")
    if unchanged and LAST_MODIFIER in before and annotations.get(LAST_MODIFIER) != before[LAST_MODIFIER]:
        yield FieldError("modified without spec changes", LAST_MODIFIER)


def _sidecar_size(key: str, value: str) -> Iterator[FieldError]:
    try:
        number = parse_quantity(value)
    except ValueError:
        yield invalid(value, key)
        return
    if key in PERCENTAGES and not Decimal("0.1") <= number <= 100:
        yield out_of_bounds(value, 0.1, 100, key)


def _name(metadata: Object) -> Iterator[FieldError]:
    name = metadata.get("name") or ""
    if not name and metadata.get("generateName"):
        return
    problem = dns_1035_problem(name)
    if problem:
        yield invalid(f"not a DNS 1035 label: [{problem}]", "name")


def _revision_name(metadata: Object, parent: str) -> Iterator[FieldError]:
    name = metadata.get("name")
    if not name:
        return
    problem = dns_1035_problem(str(name))
    if problem:
        yield invalid(f"not a DNS 1035 label: [{problem}]", "name")
    elif parent and not str(name).startswith(f"{parent}-"):
        yield invalid(f'"{name}" must have prefix "{parent}-"', "name")


def _not_here(key: str) -> FieldError:
    where = 'autoscaling annotations must be put under "spec.template.metadata.annotations" to work'
    return invalid_key(key, "annotations", where)


def _networking(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    for key in annotations:
        if key.startswith(f"{NETWORKING}/") and key not in NETWORKING_ANNOTATIONS:
            yield invalid_key(key, "annotations")
    for key in (f"{NETWORKING}/http-protocol", f"{NETWORKING}/httpOption", f"{NETWORKING}/http-option"):
        if annotations.get(key, "enabled").lower() not in ("enabled", "redirected"):
            yield invalid(annotations[key], f"annotations.{key}")


def _seconds_or_duration(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    for key in (ROLLOUT_DURATION, PROGRESS_DEADLINE):
        text = annotations.get(key)
        if text is None:
            continue
        try:
            seconds = parse_go(text)
        except ValueError:
            yield invalid(text, key)
            continue
        if seconds != int(seconds):
            yield invalid(f"{key}={text} is not at second precision", key)
        elif seconds < 0 or (key == PROGRESS_DEADLINE and seconds == 0):
            yield invalid(f"{key}={text} must be positive", key)


def _labels(metadata: Object) -> Iterator[FieldError]:
    labels: Mapping[str, str] = metadata.get("labels") or {}
    visibility = labels.get(VISIBILITY)
    if visibility not in (None, CLUSTER_LOCAL):
        yield invalid(visibility, VISIBILITY)
    service = labels.get(SERVICE)
    owners = metadata.get("ownerReferences") or []
    if service is not None and not any(
        owner.get("kind") == "Service" and owner.get("name") == service for owner in owners
    ):
        # Only what a Service owns may say that it is the Service's.
        yield missing(SERVICE)
