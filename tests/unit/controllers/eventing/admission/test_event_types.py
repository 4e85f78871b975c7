"""Defaults and rules of EventType."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.event_types import EventTypeAdmission
from eventmesh.kube.admission import AdmissionRequest

CREATE = AdmissionRequest("ada")


def made(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t", "namespace": "ns"}, "spec": spec}


def test_the_old_broker_field_is_a_reference_in_its_own_namespace() -> None:
    spec = EventTypeAdmission().default(made(type="order", broker="shop"), CREATE)["spec"]
    assert spec["reference"] == {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "name": "shop",
        "namespace": "ns",
    }


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"type": "order"}, []),
        ({"type": "order", "source": "https://shop.test/orders", "schema": "https://schema.test/"}, []),
        ({}, ["spec.type"]),
        ({"type": "a\x07b"}, ["spec.type"]),
        ({"type": "order", "source": "not a uri"}, ["spec.source"]),
        ({"type": "order", "schema": "relative"}, ["spec.schema"]),
    ],
)
def test_a_type_that_no_event_can_have_is_refused(spec: dict[str, Any], paths: list[str]) -> None:
    assert [error.path for error in EventTypeAdmission().validate(made(**spec), CREATE)] == paths


def test_an_event_type_stays_as_it_is() -> None:
    (error,) = EventTypeAdmission().validate(made(type="b"), AdmissionRequest("ada", made(type="a")))
    assert (error.path, error.message) == ("spec", "Immutable fields changed (-old +new)")
