"""Rules for `spec.traffic` (Serving, pkg/apis/serving/v1/route_validation.go)."""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.controllers.serving.admission.fields import (
    both_of,
    disallowed,
    dns_1035_problem,
    invalid,
    missing,
    neither_of,
    out_of_bounds,
    within,
)
from eventmesh.controllers.serving.admission.shape import TRAFFIC, shape_errors
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object


def traffic_errors(spec: object, *, of_service: bool) -> list[FieldError]:
    """Return what is wrong with `spec.traffic`, paths below `spec`; a Service speaks only of its own revisions."""
    targets = spec.get("traffic") if isinstance(spec, dict) else None
    if not targets:
        return [missing("traffic")]
    malformed = list(shape_errors(targets, TRAFFIC, "traffic"))
    if malformed:
        return malformed
    errors: list[FieldError] = []
    seen: dict[str, int] = {}
    total = 0
    for index, target in enumerate(targets):
        path = f"traffic[{index}]"
        errors += within(path, _target(target, of_service=of_service))
        total += target.get("percent") or 0
        tag = target.get("tag")
        if tag and tag in seen:
            errors.append(
                FieldError(f"Multiple definitions for {tag}", f"traffic[{index}].tag, traffic[{seen[tag]}].tag")
            )
        elif tag:
            seen[tag] = index
    if total != 100:
        errors.append(FieldError(f"Traffic targets sum to {total}, want 100", "traffic"))
    return errors


def _target(target: Object, *, of_service: bool) -> Iterator[FieldError]:
    percent = target.get("percent") or 0
    if not 0 <= percent <= 100:
        yield out_of_bounds(percent, 0, 100, "percent")
    tag = target.get("tag")
    if tag and dns_1035_problem(tag):
        yield invalid(f"not a DNS 1035 label: [{dns_1035_problem(tag)}]", "tag")
    if target.get("url"):
        yield disallowed("url")
    yield from _revision(target, of_service=of_service)


def _revision(target: Object, *, of_service: bool) -> Iterator[FieldError]:
    revision, configuration = target.get("revisionName"), target.get("configurationName")
    if revision and dns_1035_problem(revision):
        yield invalid(f"not a DNS 1035 label: [{dns_1035_problem(revision)}]", "revisionName")
    latest = target.get("latestRevision")
    if latest is not None and latest == bool(revision):
        yield invalid(latest, "latestRevision")
    if of_service:
        if configuration:
            yield disallowed("configurationName")
    elif revision and configuration:
        yield both_of("revisionName", "configurationName")
    elif not revision and not configuration:
        yield neither_of("revisionName", "configurationName")
