"""What a client costs while it waits among thousands: nothing that grows with what it asks for."""

from __future__ import annotations

import tracemalloc

import pytest

from eventmesh.xds.control import resources
from eventmesh.xds.control.messages import Node, Request
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Variant
from tests.unit.xds.control.dialogue import CDS, EDS, service

SERVICES = 1_000
CROWD = 4
EACH_BYTES = 16_384
"""A set of a thousand names is 32 KiB, the names themselves are 70."""


def waiting(variant: Variant, configuration: Configuration) -> Stream:
    """Return a stream whose client has taken all clusters, and has just asked for the endpoints of each."""
    stream = Stream(variant, configuration, Node("n", metadata={"role": "gateway"}))
    stream.receive(Request(CDS.value), 0.0)
    (push,) = stream.pushes(0.0)
    stream.receive(Request(CDS.value, None, push.nonce), 0.0)
    # As they come from the wire: copies of this client's own.
    names = tuple(f"service-{number}" for number in range(SERVICES))
    wanted = Request(EDS.value, names=names) if variant is Variant.SOTW else Request(EDS.value, subscribe=names)
    stream.receive(wanted, 0.0)
    return stream


@pytest.mark.parametrize("variant", list(Variant))
def test_a_client_that_waits_keeps_nothing_of_its_own_of_a_thousand_names(variant: Variant) -> None:
    published = [one for number in range(SERVICES) for one in service(f"service-{number}")]
    configuration = Configuration(1, resources.index(published))
    crowd = [waiting(variant, configuration)]
    tracemalloc.start()
    try:
        crowd += [waiting(variant, configuration) for _ in range(CROWD)]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / CROWD < EACH_BYTES
    assert [len(push.resources) for stream in crowd for push in stream.pushes(0.0)] == [SERVICES] * len(crowd)
