"""One port, several protocols: told from the first bytes, however they are cut."""

from __future__ import annotations

import json

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.route import RouteTable, VirtualHost
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.declared import declaration, route, upstream
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.test_bolt import HEARTBEAT, HEARTBEAT_ACK
from tests.unit.core.test_motan2 import frame, id_of

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


def _with_motan(*more: Declaration) -> Playbook:
    """A port for all protocols that knows Motan 2 besides; its calls go to one cluster, everything else to another."""
    listener = Listener("in", "", "t", WireProtocol.AUTO, (declaration("motan2"), *more), head_timeout_s=5)
    hosts = (
        VirtualHost("motan", ("com.weibo.user",), (route("motan"),)),
        VirtualHost("any", ("*",), (route("web"),)),
    )
    clusters = (upstream("motan", "motan2", "10.0.0.1:1"), Cluster("web", (Endpoint("10.0.0.2:80"),)))
    return Playbook(Snapshot("1", (listener,), (RouteTable("t", hosts),), clusters))


CALL = frame(7, {"M_p": "com.weibo.user", "M_m": "rename"})
MAGIC = "4c414d50"


@pytest.mark.parametrize("cut", [1, 2, 3, 20])
def test_a_declared_protocol_is_told_by_its_magic(cut: int) -> None:
    mesh = _with_motan()
    client = mesh.connect()
    client.says(CALL[:cut])
    assert not client.heard and not client.events
    client.says(CALL[cut:])
    server = mesh.dialled("10.0.0.1:1")
    server.says(frame(id_of(server.takes()), kind=1))
    client.hears(frame(7, kind=1))


def test_beside_a_declared_protocol_all_others_are_told_as_before() -> None:
    mesh = _with_motan()
    web, h2, bolt = mesh.connect(), mesh.connect(), mesh.connect()
    web.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert mesh.dialled("10.0.0.2:80").takes().startswith(b"GET / HTTP/1.1\r\n")
    h2.says(PREFACE + SETTINGS)
    assert h2.takes()[3:4] == b"\x04"
    bolt.says(HEARTBEAT)
    bolt.hears(HEARTBEAT_ACK)


def test_half_a_magic_is_waited_for_no_longer_than_a_head_and_another_second_byte_is_no_magic() -> None:
    mesh = _with_motan()
    waiting, other = mesh.connect(), mesh.connect()
    waiting.says(CALL[:1])
    other.says(CALL[:1])
    other.says(b"\xf2 / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert other.takes().startswith(b"HTTP/1.1 400 ")
    mesh.passes(6)
    assert waiting.events == ["close"]


def test_callers_are_let_go_when_their_protocol_is_told_no_more() -> None:
    mesh = _with_motan()
    client = mesh.connect()
    client.says(CALL)
    mesh.apply(snapshot(listener=Listener("in", "", "t")))
    server = mesh.dialled("10.0.0.1:1")
    server.says(frame(id_of(server.takes()), kind=1))
    assert client.takes() == frame(7, kind=1)
    mesh.passes(2)
    assert client.events == ["close"]


def test_a_caller_that_has_said_nothing_yet_is_told_by_what_is_declared_when_it_speaks() -> None:
    mesh = _with_motan()
    client = mesh.connect()
    mesh.apply(snapshot(listener=Listener("in", "", "t")))
    client.says(CALL)
    assert client.takes().startswith(b"HTTP/1.1 400 ") and not mesh.dials


def _lamp(name: str, magic: str) -> Declaration:
    text = {
        "name": name,
        "frame": [{"magic": magic}, {"number": {"name": "kind", "size": 1}}, {"id": {"size": 4}},
                  {"section": {"prefix": 2}}],
        "kinds": [{"is": "request", "when": {"kind": 0}}, {"is": "response", "when": {"kind": 1}}],
        "error": {"codes": {"default": 1}, "frame": [{"bytes": f"{magic} 01"}, "id", {"bytes": "0000"}]},
    }  # fmt: skip
    return Declaration(name, json.dumps(text))


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ((_lamp("a", "4c"),), "do not begin with a magic of two bytes"),
        ((declaration("thrift"),), "do not begin with a magic of two bytes"),
        ((_lamp("a", "474554"),), "how HTTP, TLS, Bolt or Dubbo may begin"),
        ((_lamp("a", "5052"),), "how HTTP, TLS, Bolt or Dubbo may begin"),
        ((_lamp("a", "0101"),), "how HTTP, TLS, Bolt or Dubbo may begin"),
        ((_lamp("a", "dabbcc"),), "how HTTP, TLS, Bolt or Dubbo may begin"),
        ((_lamp("a", "160301"),), "how HTTP, TLS, Bolt or Dubbo may begin"),
        ((_lamp("a", MAGIC), _lamp("b", f"{MAGIC}00")), "cannot be told from that of \"a\""),
    ],
)  # fmt: skip
def test_what_could_not_be_told_is_refused(declared: tuple[Declaration, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Playbook(snapshot(listener=Listener("in", "", "t", WireProtocol.AUTO, declared)))
