"""Rules of JobSink (knative/eventing: pkg/apis/sinks/v1alpha1)."""

from __future__ import annotations

from eventmesh.controllers.eventing.admission.fields import MISSING
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object


class JobSinkAdmission:
    """A JobSink holds the Job to start for each event."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the JobSink as it is: what a Job lacks is filled in when it is made."""
        return obj

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no job, no containers, one without name or image, a restart policy no Job may have."""
        job = (obj.get("spec") or {}).get("job")
        if not job:
            return [FieldError("expected exactly one, got neither", "spec.job")]
        pod = (((job.get("spec") or {}).get("template") or {}).get("spec")) or {}
        path = "spec.job.spec.template.spec"
        if not pod.get("containers"):
            return [FieldError(MISSING, f"{path}.containers")]
        errors = [
            FieldError(MISSING, f"{path}.containers[{number}].{field}")
            for number, container in enumerate(pod["containers"])
            for field in ("name", "image")
            if not container.get(field)
        ]
        if pod.get("restartPolicy") not in ("Never", "OnFailure"):
            details = 'a Job needs "OnFailure" or "Never"'
            errors.append(FieldError(f"invalid value: {pod.get('restartPolicy')}", f"{path}.restartPolicy", details))
        return errors
