"""Rules of JobSink."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.job_sinks import JobSinkAdmission
from eventmesh.kube.admission import AdmissionRequest

POD = "spec.job.spec.template.spec"


def sink(**pod: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"job": {"spec": {"template": {"spec": pod}}}}}


@pytest.mark.parametrize(
    ("obj", "paths"),
    [
        (sink(containers=[{"name": "c", "image": "i"}], restartPolicy="Never"), []),
        (sink(containers=[{"name": "c", "image": "i"}]), [f"{POD}.restartPolicy"]),
        (sink(containers=[{"name": "c"}], restartPolicy="OnFailure"), [f"{POD}.containers[0].image"]),
        (sink(restartPolicy="Never"), [f"{POD}.containers"]),
        ({"metadata": {"name": "s"}, "spec": {}}, ["spec.job"]),
    ],
)
def test_a_job_that_cannot_run_is_refused_by_its_field(obj: dict[str, Any], paths: list[str]) -> None:
    assert [error.path for error in JobSinkAdmission().validate(obj, AdmissionRequest("ada"))] == paths
