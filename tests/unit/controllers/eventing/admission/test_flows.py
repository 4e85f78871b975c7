"""Defaults and rules of Sequence and Parallel."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.flows import MAX_STEPS, ParallelAdmission, SequenceAdmission
from eventmesh.kube.admission import AdmissionRequest

CREATE = AdmissionRequest("ada")
KSERVICE = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}
STEP = {"ref": KSERVICE}
TEMPLATE = {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"}


def flow(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "f", "namespace": "shop"}, "spec": spec}


def test_channels_are_in_memory_unless_a_template_says_otherwise_and_references_have_a_namespace() -> None:
    made = SequenceAdmission().default(flow(steps=[STEP], reply=STEP), CREATE)["spec"]
    assert made["channelTemplate"] == TEMPLATE
    assert made["steps"][0]["ref"]["namespace"] == made["reply"]["ref"]["namespace"] == "shop"
    branch = {"filter": STEP, "subscriber": STEP, "reply": STEP}
    (given,) = ParallelAdmission().default(flow(branches=[branch]), CREATE)["spec"]["branches"]
    assert {given[field]["ref"]["namespace"] for field in branch} == {"shop"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.steps"),
        ({"steps": []}, "spec.steps"),
        ({"steps": [STEP] * (MAX_STEPS + 1)}, "spec.steps"),
        ({"steps": [STEP, {}]}, "spec.steps[1].ref, spec.steps[1].uri"),
        ({"steps": [{**STEP, "delivery": {"retry": -1}}]}, "spec.steps[0].delivery.retry"),
        ({"steps": [STEP], "reply": {"uri": "relative"}}, "spec.reply.uri"),
        ({"steps": [STEP], "channelTemplate": {"kind": "X"}}, "spec.channelTemplate.apiVersion"),
    ],
)
def test_a_sequence_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    written = flow(**{"channelTemplate": TEMPLATE, **spec})
    assert [error.path for error in SequenceAdmission().validate(written, CREATE)] == [path]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.branches"),
        ({"branches": [{"filter": STEP}]}, "spec.branches[0].subscriber.ref, spec.branches[0].subscriber.uri"),
        ({"branches": [{"subscriber": STEP, "filter": {"uri": "x"}}]}, "spec.branches[0].filter.uri"),
        ({"branches": [{"subscriber": STEP, "reply": {"uri": "x"}}]}, "spec.branches[0].reply.uri"),
        ({"branches": [{"subscriber": STEP}], "reply": {"uri": "x"}}, "spec.reply.uri"),
    ],
)
def test_a_parallel_that_cannot_work_is_refused_by_its_field(spec: dict[str, Any], path: str) -> None:
    written = flow(**{"channelTemplate": TEMPLATE, **spec})
    assert [error.path for error in ParallelAdmission().validate(written, CREATE)] == [path]
