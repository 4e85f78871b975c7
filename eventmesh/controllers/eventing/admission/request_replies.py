"""Rules of RequestReply (knative/eventing: pkg/apis/eventing/v1alpha1/requestreply_validation.go)."""

from __future__ import annotations

import copy

from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.admission.fields import changed, delivery_errors
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.request_reply import DEFAULT_CORRELATION, DEFAULT_REPLY, parse_request_reply


class RequestReplyAdmission:
    """A RequestReply names a Broker of its namespace, for good."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the RequestReply with its attributes filled in."""
        made = copy.deepcopy(obj)
        spec = made["spec"] = made.get("spec") or {}
        spec["correlationAttribute"] = spec.get("correlationAttribute") or DEFAULT_CORRELATION
        spec["replyAttribute"] = spec.get("replyAttribute") or DEFAULT_REPLY
        return made

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no broker, an attribute that is none, a time that is none, a changed broker."""
        errors = delivery_errors(obj["spec"])
        if request.old is not None:
            errors += changed(request.old["spec"].get("brokerRef"), obj["spec"].get("brokerRef"), "spec.brokerRef")
        try:
            parse_request_reply(obj)
        except ConfigError as error:
            errors.append(FieldError(error.problem, error.path))
        return errors
