"""Random events between us and the `cloudevents` package, both ways, in both modes: what one writes the other reads.

1,000 of them in each run, 100,000 in `make soak`. Where the package departs from the specification, as with a time that
is missing, events here keep clear of it and say so.
"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
EVENTS = 50_000 if SOAK else 500
"""In each mode."""

ALPHABETS = (string.ascii_letters + string.digits, "".join(map(chr, range(0x20, 0x7F))), "aé€😀ß漢 %\"\\'")
BASE = datetime(2020, 1, 1, tzinfo=UTC)


def text(drawn: random.Random, most: int = 20) -> str:
    return "".join(drawn.choices(drawn.choice(ALPHABETS), k=drawn.randrange(1, most)))


def word(drawn: random.Random) -> str:
    return "".join(drawn.choices(string.ascii_lowercase + string.digits, k=drawn.randrange(1, 12)))


def value(drawn: random.Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: drawn.random() < 0.5,
        lambda: drawn.randrange(-(2**53), 2**53),
        lambda: drawn.random(),
        lambda: text(drawn),
    ]
    if depth < 3:
        kinds.append(lambda: [value(drawn, depth + 1) for _ in range(drawn.randrange(4))])
        kinds.append(lambda: {text(drawn): value(drawn, depth + 1) for _ in range(drawn.randrange(4))})
    return drawn.choice(kinds)()


def attributes(drawn: random.Random) -> dict[str, str]:
    made = {
        "id": text(drawn),
        "source": f"/{word(drawn)}/{word(drawn)}",
        "type": f"com.{word(drawn)}.{word(drawn)}",
        "specversion": "1.0",
        # Where there is none, the package says that the event has happened now.
        "time": (BASE + timedelta(seconds=drawn.randrange(10**8))).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if drawn.random() < 0.5:
        made["subject"] = text(drawn)
    if drawn.random() < 0.3:
        made["dataschema"] = f"https://{word(drawn)}.test/{word(drawn)}"
    for _ in range(drawn.randrange(4)):
        made[f"x{word(drawn)}"] = text(drawn)
    return made


def drawn_event(drawn: random.Random) -> tuple[dict[str, str], Any]:
    """Return attributes, and data as the package has it."""
    made = attributes(drawn)
    match drawn.randrange(4):
        case 0:
            made["datacontenttype"] = "application/json"
            # In binary mode the package writes objects as JSON, and all else as Python shows it.
            return made, {"a": value(drawn)}
        case 1:
            made["datacontenttype"] = "text/plain"
            return made, text(drawn)
        case 2:
            made["datacontenttype"] = "application/octet-stream"
            # Bytes that are text would be read as text, by the package: these are none.
            return made, b"\xff" + drawn.randbytes(drawn.randrange(40))
    return made, None


def octets(data: Any, content_type: str) -> bytes | None:
    if data is None:
        return None
    if content_type == "application/json":
        return json.dumps(data).encode()
    return data.encode() if isinstance(data, str) else bytes(data)


def same(ours: bytes | None, theirs: Any, content_type: str) -> bool:
    if theirs is None or ours is None:
        return (ours or None) == (theirs or None)
    if content_type == "application/json":
        return bool(json.loads(ours) == theirs)
    return ours == (theirs.encode() if isinstance(theirs, str) else bytes(theirs))


def moment(said: Any) -> Any:
    """A time as a moment: the package makes a datetime of it."""
    return datetime.fromisoformat(said) if isinstance(said, str) else said


def shown(event: BaseCloudEvent) -> dict[str, Any]:
    told = dict(event.get_attributes())
    return {name: moment(said) if name == "time" else said for name, said in told.items() if said is not None}


def expected(made: dict[str, str]) -> dict[str, Any]:
    return {name: moment(said) if name == "time" else said for name, said in made.items()}


@pytest.mark.timeout(1800 if SOAK else 60)
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
