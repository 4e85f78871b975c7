"""What a RequestReply may say."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.request_replies import RequestReplyAdmission
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object
from eventmesh.kube.request_reply import MAX_TIMEOUT_S, parse_request_reply

BROKER = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "shop"}


def made(**spec: Any) -> Object:
    return {"metadata": {"name": "ask", "namespace": "ns"}, "spec": {"brokerRef": BROKER, **spec}}


def test_what_is_left_out_is_knatives_default() -> None:
    filled = RequestReplyAdmission().default(made(), AdmissionRequest(""))
    assert (filled["spec"]["correlationAttribute"], filled["spec"]["replyAttribute"]) == ("correlationid", "replyid")
    read = parse_request_reply(filled)
    assert (str(read.broker), read.timeout_s) == ("ns/shop", 30.0)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"brokerRef": {}}, "spec.brokerRef"),
        ({"brokerRef": {**BROKER, "kind": "Channel"}}, "spec.brokerRef"),
        ({"brokerRef": {**BROKER, "namespace": "other"}}, "spec.brokerRef.namespace"),
        ({"correlationAttribute": "Correlation"}, "spec.correlationAttribute"),
        ({"correlationAttribute": "subject"}, "spec.correlationAttribute"),
        ({"replyAttribute": "x" * 21}, "spec.replyAttribute"),
        ({"replyAttribute": "correlationid"}, "spec.replyAttribute"),
        ({"timeout": "30s"}, "spec.timeout"),
        ({"timeout": "PT0S"}, "spec.timeout"),
        ({"timeout": f"PT{MAX_TIMEOUT_S + 1:.0f}S"}, "spec.timeout"),
        ({"delivery": {"retry": -1}}, "spec.delivery.retry"),
    ],
)
def test_what_it_says_wrong_is_named(spec: dict[str, Any], path: str) -> None:
    (error,) = RequestReplyAdmission().validate(made(**spec), AdmissionRequest(""))
    assert error.path == path


def test_its_broker_stays() -> None:
    other = made(brokerRef={**BROKER, "name": "other"})
    (error,) = RequestReplyAdmission().validate(other, AdmissionRequest("", made()))
    assert error.path == "spec.brokerRef"
