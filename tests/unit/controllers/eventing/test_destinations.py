"""What a Destination stands for, and which addresses nothing is sent to."""

from __future__ import annotations

import pytest

from eventmesh.controllers.eventing.destinations import Destinations, Unresolved
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER
from tests.manual_clock import ManualClock

REFERENCE = {"apiVersion": BROKER.api_version, "kind": BROKER.kind, "name": "orders", "namespace": "shop"}


class OneBroker:
    """The cache of Brokers."""

    def get(self, _name: str, _namespace: str) -> Object:
        return {"status": {"address": {"url": "http://brokers.example/shop/orders"}}}


def destinations() -> Destinations:
    made = Destinations(Informers(None, ManualClock()))  # type: ignore[arg-type]  # never asked
    made.informers[BROKER] = OneBroker()  # type: ignore[assignment]  # as much as is used
    return made


@pytest.mark.parametrize(
    ("destination", "url"),
    [
        ({"uri": "http://a.example:8080/x"}, "http://a.example:8080/x"),
        ({"ref": REFERENCE}, "http://brokers.example/shop/orders"),
        ({"ref": REFERENCE, "uri": "more"}, "http://brokers.example/shop/orders/more"),
        ({"ref": REFERENCE, "uri": "/other"}, "http://brokers.example/other"),
    ],
)
def test_a_path_beside_a_reference_is_below_its_address(destination: Object, url: str) -> None:
    assert destinations().resolve(destination) == url


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        ({"uri": "http://a.example:99999/"}, "AddressInvalid"),
        ({"uri": "http://a.example:0/"}, "AddressInvalid"),
        ({"uri": "http://a.example:port/"}, "AddressInvalid"),
        ({"uri": "http://[bad/"}, "AddressInvalid"),
        ({"ref": REFERENCE, "uri": "//a.example:99999/"}, "AddressInvalid"),
        ({"uri": "http://169.254.169.254/"}, "AddressRefused"),
        ({"ref": REFERENCE, "uri": "//169.254.169.254/"}, "AddressRefused"),
        ({"ref": REFERENCE, "uri": "//[fe80::1]/"}, "AddressRefused"),
    ],
)
def test_an_address_that_nothing_can_or_may_be_sent_to_has_no_url(destination: Object, reason: str) -> None:
    found = destinations().resolve(destination)
    assert isinstance(found, Unresolved) and (found.reason, found.permanent) == (reason, True)
