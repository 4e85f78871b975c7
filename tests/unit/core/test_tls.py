"""TLS on both sides of the engine, with OpenSSL as client and as server."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import replace

import pytest

from eventmesh.core import Engine
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Converse, DirectResponse, Route
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ClientTls, MatchKind, NameKind, NameMatch, ServerTls, TlsCertificate, TlsVersion
from tests.unit.core.frames import FRAMES, Frames
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.requests import GET, OK
from tests.unit.core.tls_peer import AUTHORITY, TlsPeer, certificate, client_context, server_context

SERVER = ServerTls((certificate("server"),), alpn=("h2", "http/1.1"))
MUTUAL = replace(SERVER, client_ca=AUTHORITY, require_client_certificate=True)
CALLER = NameMatch(NameKind.URI, MatchKind.EXACT, "spiffe://cluster.local/ns/default/sa/caller")
TEAPOT = Route(RouteMatch(), DirectResponse(418, "teapot"))
ANSWER = b"HTTP/1.1 418 \r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nteapot"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def serving(tls: ServerTls, *, use_remote_address: bool = False) -> Snapshot:
    listener = Listener("in", "127.0.0.1:0", "t", tls=tls, use_remote_address=use_remote_address)
    return snapshot(routes=(TEAPOT,), listener=listener)


def calling(tls: ClientTls, protocol: WireProtocol = WireProtocol.HTTP1) -> Snapshot:
    return snapshot(Cluster("up", (Endpoint("10.0.0.1:443"),), protocol=protocol, tls=tls))


class TimedPlaybook(Playbook):
    """A playbook whose engine knows today's date, by which certificates are judged."""

    def __init__(self, config: Snapshot) -> None:
        super().__init__(config)
        self.engine = Engine(1, wall_offset_s=time.mktime((2026, 1, 1, 0, 0, 0, 0, 1, 0)) - self.now)
        self.apply(config)


def counted(mesh: Playbook, name: str) -> int:
    return sum(value for found, _, value in json.loads(mesh.engine.stats())["counters"] if found == name)


# ---- both sides


@pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)
def test_calls_of_frames_pass_under_mtls_on_both_sides(frames: Frames) -> None:
    cluster = frames.cluster(tls=ClientTls(sni="example.com", ca=AUTHORITY, certificate=certificate("caller")))
    mesh = TimedPlaybook(frames.config(cluster, tls=replace(MUTUAL, alpn=())))
    caller = TlsPeer(mesh.connect(), client_context("caller"))
    caller.shakes_hands()
    caller.says(frames.call(1, "find", {}))
    server = TlsPeer(mesh.dialled(), server_context(asks=True), server_side=True)
    server.shakes_hands()
    heard = server.takes()
    assert heard == frames.call(frames.id_of(heard), "find", {})
    server.says(frames.answer(frames.id_of(heard)))
    assert caller.takes() == frames.answer(1)


# ---- a listener


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("step", [0, 1, 7])
def test_requests_come_in_under_tls_however_they_are_cut(version: ssl.TLSVersion, step: int) -> None:
    mesh = TimedPlaybook(serving(SERVER))
    context = client_context(alpn=("http/1.1",))
    context.minimum_version = context.maximum_version = version
    client = TlsPeer(mesh.connect(), context)
    client.step = step
    client.shakes_hands()
    assert client.tls.selected_alpn_protocol() == "http/1.1"
    client.says(GET + GET)
    assert client.takes() == ANSWER * 2
    assert counted(mesh, "envoy_listener_ssl_handshake") == 1


def test_http2_is_agreed_on() -> None:
    mesh = TimedPlaybook(serving(SERVER))
    client = TlsPeer(mesh.connect(), client_context(alpn=("h2", "http/1.1")))
    client.shakes_hands()
    assert client.tls.selected_alpn_protocol() == "h2"
    client.says(PREFACE)
    assert client.takes()[3:4] == b"\x04", "our SETTINGS come first"


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("example.com", "example.com"),
        ("a.apps.example.com", "example.com"),
        ("other.example.com", "other.example.com"),
    ],
)
def test_the_certificate_that_bears_the_name_is_shown(asked: str, shown: str) -> None:
    tls = replace(SERVER, certificates=(certificate("server"), certificate("other")))
    client = TlsPeer(TimedPlaybook(serving(tls)).connect(), client_context(), name=asked)
    client.shakes_hands()
    assert ("DNS", shown) in client.names()


def test_a_handler_is_told_the_names_in_its_client_s_certificate() -> None:
    route = Route(RouteMatch(), Converse("talk"))
    mesh = TimedPlaybook(snapshot(routes=(route,), listener=Listener("in", "127.0.0.1:0", "t", tls=MUTUAL)))
    client = TlsPeer(mesh.connect(), client_context("caller"))
    client.shakes_hands()
    client.says(GET)
    ((_, request),) = mesh.conversing.values()
    assert request.peer_names == [CALLER.text]


def test_a_client_without_a_certificate_is_turned_away() -> None:
    mesh = TimedPlaybook(serving(MUTUAL))
    client = TlsPeer(mesh.connect(), client_context())
    client.shakes_hands()  # in TLS 1.3 the client is done before its certificate is judged
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        client.takes()
    assert client.peer.events == ["close"]
    assert counted(mesh, "envoy_listener_ssl_connection_error") == 1


@pytest.mark.parametrize(
    ("shown", "names", "alert"),
    [
        ("caller", (CALLER,), ""),
        ("caller", (), ""),
        ("caller", (replace(CALLER, how=MatchKind.PREFIX, text="spiffe://cluster.local/ns/default/"),), ""),
        ("caller", (replace(CALLER, text="spiffe://cluster.local/ns/other/sa/caller"),), "CERTIFICATE"),
        ("forged", (CALLER,), "UNKNOWN_CA"),
        ("expired", (), "CERTIFICATE_EXPIRED"),
    ],
)
def test_clients_are_believed_by_chain_and_name(shown: str, names: tuple[NameMatch, ...], alert: str) -> None:
    mesh = TimedPlaybook(serving(replace(MUTUAL, client_names=names)))
    client = TlsPeer(mesh.connect(), client_context(shown))
    client.shakes_hands()
    if alert:
        with pytest.raises(ssl.SSLError, match=alert):
            client.takes()
    else:
        client.says(GET)
        assert client.takes() == ANSWER


def test_a_permissive_listener_serves_both() -> None:
    mesh = TimedPlaybook(serving(replace(SERVER, permissive=True)))
    plain = mesh.connect()
    plain.says(GET)
    plain.hears(ANSWER)
    client = TlsPeer(mesh.connect(), client_context())
    client.shakes_hands()
    client.says(GET)
    assert client.takes() == ANSWER


def test_clear_text_on_a_strict_listener_is_cut() -> None:
    mesh = TimedPlaybook(serving(SERVER))
    client = mesh.connect()
    client.says(GET)
    assert client.events == ["close"] and ANSWER not in client.heard


def test_a_certificate_is_exchanged_without_dropping_a_connection() -> None:
    mesh = TimedPlaybook(serving(SERVER))
    old = TlsPeer(mesh.connect(), client_context())
    old.shakes_hands()
    mesh.apply(serving(replace(SERVER, certificates=(certificate("other"),))))
    new = TlsPeer(mesh.connect(), client_context(), name="other.example.com")
    new.shakes_hands()
    old.says(GET)
    new.says(GET)
    assert (old.takes(), new.takes()) == (ANSWER, ANSWER)


def test_a_goodbye_is_answered_with_one() -> None:
    mesh = TimedPlaybook(serving(SERVER))
    client = TlsPeer(mesh.connect(), client_context())
    client.shakes_hands()
    client.says(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert client.takes().endswith(b"teapot")
    assert sorted(client.peer.events) == ["close", "goodbye"]


def test_a_slow_handshake_has_as_long_as_a_head() -> None:
    mesh = TimedPlaybook(serving(SERVER))
    client = mesh.connect()
    for byte in b"\x16\x03\x01\x02\x00":
        client.says(bytes([byte]))
        mesh.passes(20.0)
    assert client.events == ["close"]


def test_who_came_under_tls_is_told_to_the_function() -> None:
    listener = Listener("in", "127.0.0.1:0", "t", tls=SERVER, use_remote_address=True)
    mesh = TimedPlaybook(snapshot(listener=listener))
    client = TlsPeer(mesh.connect(), client_context())
    client.shakes_hands()
    client.says(GET)
    assert b"\r\nx-forwarded-proto: https\r\n" in mesh.dialled().takes()


# ---- a cluster

TRUSTING = ClientTls(sni="example.com", ca=AUTHORITY)


@pytest.mark.parametrize("step", [0, 1])
def test_requests_go_out_under_tls(step: int) -> None:
    mesh = TimedPlaybook(calling(replace(TRUSTING, alpn=("http/1.1",))))
    client = mesh.connect()
    client.says(GET)
    server = TlsPeer(mesh.dialled(), server_context(alpn=("h2", "http/1.1")), server_side=True)
    server.step = step
    server.shakes_hands()
    assert server.takes().startswith(b"GET / HTTP/1.1\r\nhost: h\r\n")
    server.says(OK)
    assert client.takes().startswith(b"HTTP/1.1 200 OK\r\n")
    client.says(GET)
    assert server.takes().startswith(b"GET / HTTP/1.1\r\n"), "the connection is used again"
    assert counted(mesh, "envoy_cluster_ssl_handshake") == 1


@pytest.mark.parametrize(
    ("shown", "tls", "reason"),
    [
        ("expired", TRUSTING, "expired"),
        ("forged", TRUSTING, "UnknownIssuer"),
        (
            "other",
            replace(TRUSTING, names=(NameMatch(NameKind.DNS, MatchKind.EXACT, "example.com"),)),
            "NotValidForName",
        ),
        ("forged", ClientTls(), ""),
        ("server", replace(TRUSTING, names=(NameMatch(NameKind.DNS, MatchKind.EXACT, "x.apps.example.com"),)), ""),
    ],
)
def test_servers_are_believed_by_chain_and_name(shown: str, tls: ClientTls, reason: str) -> None:
    mesh = TimedPlaybook(calling(tls))
    client = mesh.connect()
    client.says(GET)
    server = TlsPeer(mesh.dialled(), server_context(shown), server_side=True)
    if reason:
        with pytest.raises(ssl.SSLError):
            server.shakes_hands()
        heard = client.takes()
        assert heard.startswith(b"HTTP/1.1 503 ") and reason.encode() in heard
        assert b"reset reason: connection failure, transport failure reason: TLS: " in heard
        assert server.peer.events == ["close"]
        assert counted(mesh, "envoy_cluster_ssl_connection_error") == 1
    else:
        server.shakes_hands()
        assert server.takes().startswith(b"GET / ")


def test_a_certificate_is_shown_to_a_server_that_asks() -> None:
    mesh = TimedPlaybook(calling(replace(TRUSTING, certificate=certificate("caller"))))
    mesh.connect().says(GET)
    server = TlsPeer(mesh.dialled(), server_context(asks=True), server_side=True)
    server.shakes_hands()
    assert server.takes().startswith(b"GET / ")
    assert server.names() == [("URI", CALLER.text)]


def test_a_server_that_is_silent_in_the_handshake_is_given_up() -> None:
    mesh = TimedPlaybook(calling(TRUSTING))
    client = mesh.connect()
    client.says(GET)
    server = mesh.dialled()
    mesh.passes(6.0)
    assert client.takes().startswith(b"HTTP/1.1 503 ") and server.events == ["abort"]


def test_a_server_that_closes_in_the_handshake_is_told_so() -> None:
    mesh = TimedPlaybook(calling(TRUSTING))
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().half_closes()
    assert b"TLS: connection closed during the handshake" in client.takes()


def test_an_answer_that_only_the_end_completes_needs_a_goodbye() -> None:
    for goodbye in (True, False):
        mesh = TimedPlaybook(calling(TRUSTING))
        client = mesh.connect()
        client.says(GET)
        server = TlsPeer(mesh.dialled(), server_context(), server_side=True)
        server.shakes_hands()
        assert server.takes().startswith(b"GET / ")
        server.says(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        if goodbye:
            server.bids_goodbye()
        server.peer.half_closes()
        assert client.takes().endswith(b"0\r\n\r\n") is goodbye


# ---- configuration


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (serving(ServerTls(())), r'listeners\["in"\].tls.certificates: at least one'),
        (serving(ServerTls((TlsCertificate("", ""),))), r"tls.certificates\[0\].chain: holds no certificate"),
        (serving(ServerTls((replace(certificate("server"), key="x"),))), r"certificates\[0\].key: .*PEM key"),
        (serving(ServerTls((replace(certificate("server"), key=certificate("other").key),))), r"certificates\[0\]: .*"),
        (serving(replace(SERVER, require_client_certificate=True)), "client_ca: missing"),
        (serving(replace(MUTUAL, client_ca="x")), "client_ca: holds no certificate"),
        (serving(replace(SERVER, min_version=TlsVersion.TLS13, max_version=TlsVersion.TLS12)), "min_version"),
        (calling(replace(TRUSTING, sni="not a name")), r'clusters\["up"\].tls.sni: "not a name"'),
        (calling(replace(TRUSTING, ca="x")), "ca: holds no certificate"),
    ],
)
def test_a_wrong_configuration_names_its_field_and_harms_nothing(config: Snapshot, message: str) -> None:
    mesh = TimedPlaybook(serving(SERVER))
    with pytest.raises(ValueError, match=message):
        mesh.apply(config)
    client = TlsPeer(mesh.connect(), client_context())
    client.shakes_hands()


def test_no_key_is_printed() -> None:
    assert certificate("server").key not in repr(SERVER)
