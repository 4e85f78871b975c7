"""The vectors that Rust checks wire by wire, through the whole engine: bytes cut anywhere have one outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.test_bolt import request

VECTORS = Path(__file__).parents[2] / "vectors"


class Vector(TypedDict):
    name: str
    asked: str
    wire: str
    seen: list[dict[str, object]]


def load(name: str) -> list[Vector]:
    vectors: list[Vector] = json.loads((VECTORS / f"{name}.json").read_text())
    return vectors


def outcome(
    protocol: WireProtocol, vector: Vector, parts: list[bytes]
) -> tuple[bytes, list[str], list[tuple[str, bytes]]]:
    """Return what the client read, what became of its connection, and the access log."""
    cluster = Cluster("up", (Endpoint("10.0.0.1:80"),), protocol=protocol)
    mesh = Playbook(snapshot(cluster, listener=Listener("in", "", "t", protocol=protocol, access_log="log")))
    client = mesh.connect()
    speaker = client
    if vector["asked"]:
        asked = vector["asked"].encode() + b" / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n\r\n"
        client.says(request(1) if protocol is WireProtocol.BOLT else asked)
        speaker = mesh.dialled()
    for part in parts:
        speaker.says(part)
    client.vanishes()
    return client.takes(), client.events, mesh.engine.take_access_log()


CASES = [
    pytest.param(protocol, vector, id=f"{protocol.value}: {vector['name']}")
    for protocol in (WireProtocol.HTTP1, WireProtocol.BOLT)
    for vector in load(protocol.value)
]


@pytest.mark.parametrize(("protocol", "vector"), CASES)
def test_bytes_cut_anywhere_have_one_outcome(protocol: WireProtocol, vector: Vector) -> None:
    wire = bytes.fromhex(vector["wire"])
    whole = outcome(protocol, vector, [wire])
    single = outcome(protocol, vector, [wire[at : at + 1] for at in range(len(wire))])
    assert single == whole
    # Rust cuts at every byte; each cut here is an engine of its own.
    for cut in range(1, len(wire), max(1, len(wire) // 16)):
        assert outcome(protocol, vector, [wire[:cut], wire[cut:]]) == whole, cut


@pytest.mark.parametrize(("protocol", "vector"), CASES)
def test_what_is_refused_is_answered_once_and_closed(protocol: WireProtocol, vector: Vector) -> None:
    fault = vector["seen"][-1].get("fault") if vector["seen"] else None
    heard, events, _ = outcome(protocol, vector, [bytes.fromhex(vector["wire"])])
    if fault is None:
        assert "abort" not in events
    elif vector["asked"]:
        assert b" 502 " in heard or heard[10:12] == b"\x00\x09"
    else:
        assert events and (protocol is WireProtocol.BOLT or heard.startswith(f"HTTP/1.1 {fault} ".encode()))
