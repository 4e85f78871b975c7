"""EventPolicy is refused: it speaks of identities, and senders have none here (OIDC authentication is not supported).

Knative's own webhook refuses it in these words while the feature is off (pkg/apis/eventing/v1alpha1). A policy that is
stored and not enforced would be worse than none.
"""

from __future__ import annotations

from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object


class EventPolicyAdmission:
    """Admits no EventPolicy; one that is there may be changed in all but its spec, and deleted."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the policy as it is."""
        return obj

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return the refusal."""
        if request.old is not None and request.old.get("spec") == obj.get("spec"):
            return []
        return [FieldError("oidc-authentication feature not enabled", "")]
