"""Defaults and rules of Sequence and Parallel (knative/eventing: pkg/apis/flows/v1)."""

from __future__ import annotations

import copy
from typing import Any, Final

from eventmesh.controllers.eventing.admission.channels import DEFAULT_TEMPLATE
from eventmesh.controllers.eventing.admission.fields import (
    INVALID,
    MISSING,
    default_namespace,
    default_sink,
    delivery_errors,
    destination_errors,
)
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object

MAX_STEPS: Final = 64
"""Most steps or branches: each makes two or three more objects, all reconciled whenever one of them changes."""


class SequenceAdmission:
    """A Sequence has steps, with channels of the default kind between them unless it names another."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Sequence with template and the namespaces of its references filled in."""
        flow, namespace = _flow(obj)
        for step in flow["spec"].get("steps") or []:
            default_namespace(step, namespace)
            default_sink(step.get("delivery"), namespace)
        return flow

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no steps, one that leads nowhere, a bad template or reply."""
        spec = obj["spec"]
        errors = _list_errors(spec.get("steps"), "spec.steps")
        for number, step in enumerate(spec.get("steps") or []):
            path = f"spec.steps[{number}]"
            errors += [*destination_errors(step, path), *delivery_errors(step, path)]
        return errors + _shared_errors(spec)


class ParallelAdmission:
    """A Parallel has branches, each with a subscriber and perhaps a filter before it."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the Parallel with template and the namespaces of its references filled in."""
        flow, namespace = _flow(obj)
        for branch in flow["spec"].get("branches") or []:
            for field in ("filter", "subscriber", "reply"):
                default_namespace(branch.get(field), namespace)
            default_sink(branch.get("delivery"), namespace)
        return flow

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no branches, one that leads nowhere, a bad template or reply."""
        spec = obj["spec"]
        errors = _list_errors(spec.get("branches"), "spec.branches")
        for number, branch in enumerate(spec.get("branches") or []):
            path = f"spec.branches[{number}]"
            errors += destination_errors(branch.get("subscriber"), f"{path}.subscriber")
            for field in ("filter", "reply"):
                if branch.get(field):
                    errors += destination_errors(branch[field], f"{path}.{field}")
            errors += delivery_errors(branch, path)
        return errors + _shared_errors(spec)


def _flow(obj: Object) -> tuple[Object, str]:
    flow, namespace = copy.deepcopy(obj), obj["metadata"].get("namespace", "")
    flow["spec"] = flow.get("spec") or {}
    if flow["spec"].get("channelTemplate") is None:
        flow["spec"]["channelTemplate"] = dict(DEFAULT_TEMPLATE)
    default_namespace(flow["spec"].get("reply"), namespace)
    return flow, namespace


def _list_errors(entries: Any, path: str) -> list[FieldError]:
    if not entries:
        return [FieldError(MISSING, path)]
    if len(entries) > MAX_STEPS:
        return [FieldError(f"{INVALID}: {len(entries)} entries, more than {MAX_STEPS}", path)]
    return []


def _shared_errors(spec: Object) -> list[FieldError]:
    template = spec["channelTemplate"]
    absent = [name for name in ("apiVersion", "kind") if not template.get(name)]
    errors = [FieldError(MISSING, f"spec.channelTemplate.{name}") for name in absent]
    return errors + (destination_errors(spec["reply"], "spec.reply") if spec.get("reply") else [])
