"""One port, several protocols: told from the first bytes, however they are cut."""

from __future__ import annotations

import pytest

from eventmesh.model.listener import Listener, WireProtocol
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.test_bolt import HEARTBEAT, HEARTBEAT_ACK

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("cut", range(1, len(PREFACE)))
def test_http2_is_told_by_its_preface(cut: int) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(PREFACE[:cut])
    assert client.heard == b""
    client.says(PREFACE[cut:] + SETTINGS)
    assert client.takes()[3:4] == b"\x04", "our SETTINGS come first"


def test_bolt_is_told_by_its_first_byte() -> None:
    mesh = Playbook()
    client = mesh.connect()
    for byte in HEARTBEAT:
        client.says(bytes([byte]))
    client.hears(HEARTBEAT_ACK)


@pytest.mark.parametrize("method", ["GET", "P", "PRI", "PROPFIND"])
def test_everything_else_is_http1(method: str) -> None:
    mesh = Playbook()
    client = mesh.connect()
    for byte in f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode():
        client.says(bytes([byte]))
    assert mesh.dialled().takes().startswith(f"{method} / HTTP/1.1\r\n".encode())


def test_a_listener_that_knows_its_protocol_takes_no_other() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", protocol=WireProtocol.BOLT)))
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\n\r\n")
    assert client.events == ["close"]
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", protocol=WireProtocol.HTTP1)))
    client = mesh.connect()
    client.says(HEARTBEAT + b"\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 400 ")


def test_a_connection_that_never_says_what_it_is_is_closed() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", head_timeout_s=5)))
    client = mesh.connect()
    client.says(PREFACE[:3])
    mesh.passes(6)
    assert client.events == ["close"]


@pytest.mark.parametrize("protocol", [WireProtocol.AUTO, WireProtocol.HTTP1])
@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_tls_on_a_port_for_clear_text_is_refused_at_once_counted_and_logged(cut: int, protocol: WireProtocol) -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", protocol, access_log="log")))
    client = mesh.connect()
    hello = bytes.fromhex("1603010200010001fc0303")
    client.says(hello[:cut])
    client.says(hello[cut:])
    assert (client.heard, client.events) == (b"", ["close"])
    ((_, line),) = mesh.engine.take_access_log()
    assert line.split(b"] ", 1)[1] == b'" - TLS" 0 DPE 0 0 0 "-" "-" "-" "-" -\n'
    assert b'"eventmesh_downstream_cx_tls_refused"' in mesh.engine.stats()


@pytest.mark.parametrize("cut", [1, 2, 15, 16])
def test_dubbo_is_told_by_its_magic(cut: int) -> None:
    mesh = Playbook()
    client = mesh.connect()
    heartbeat = bytes.fromhex("dabbe2000000000000000002000000014e")
    client.says(heartbeat[:cut])
    client.says(heartbeat[cut:])
    client.hears(bytes.fromhex("dabb22140000000000000002000000014e"))


def test_what_only_begins_like_dubbo_is_http1() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"\xda")
    client.says(b"\xdb / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 400 ")
