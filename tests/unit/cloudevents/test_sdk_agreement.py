"""Random events between us and the `cloudevents` package, both ways, in both modes: what one writes the other reads.

1,000 of them in each run, 100,000 in `make soak`. Where the package departs from the specification, as with a time that
is missing, events here keep clear of it and say so.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event
from tests.unit.cloudevents.random_events import drawn_event, expected, moment, octets, same

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
EVENTS = 50_000 if SOAK else 500
"""In each mode."""


def shown(event: BaseCloudEvent) -> dict[str, Any]:
    told = dict(event.get_attributes())
    return {name: moment(said) if name == "time" else said for name, said in told.items() if said is not None}


@pytest.mark.timeout(1800 if SOAK else 300)
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_random_events_mean_the_same_to_both(mode: str) -> None:
    drawn = random.Random(SEED)
    encode = http.encode_binary if mode == "binary" else http.encode_structured
    read, write = (from_binary, to_binary) if mode == "binary" else (from_structured, to_structured)
    for number in range(EVENTS):
        made, data = drawn_event(drawn)
        content_type = made.get("datacontenttype", "")
        headers, body = encode(Event(dict(made), octets(data, content_type)))
        theirs = read(HTTPMessage(dict(headers), body), JSONFormat(), CloudEvent)
        assert shown(theirs) == expected(made), f"event {number} of seed {SEED}, read by the package"
        assert same(octets(data, content_type), theirs.get_data(), content_type), f"data of event {number}"
        package = CloudEvent({**made, **({"time": moment(made["time"])} if "time" in made else {})}, data)
        message = write(package, JSONFormat())
        ours = http.decode(list({name.lower(): said for name, said in message.headers.items()}.items()), message.body)
        told = {name: str(said) for name, said in ours.attributes.items()}
        assert expected(told) == expected(made), f"event {number} of seed {SEED}, read by us"
        assert same(ours.data, data, content_type), f"data of event {number}, read by us"
