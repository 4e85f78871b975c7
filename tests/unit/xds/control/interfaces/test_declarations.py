"""Declared protocols: which hold, and who is sent their listeners."""

from __future__ import annotations

from eventmesh.kube.objects import Key
from eventmesh.model.listener import WireProtocol
from eventmesh.model.tracing import Traffic
from eventmesh.xds.control.interfaces.declarations import MAX_DECLARATIONS, in_force, refused
from eventmesh.xds.control.interfaces.reading import read_protocol_declaration
from eventmesh.xds.control.interfaces.values import ProtocolDeclaration
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.control.scope import FRAMED_PROXY, Audience, audience_of
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.listener import read_listener
from tests.unit.xds.control.views import built, declaration, namespace, world

LDS = ResourceType.LISTENER


def made(name: str, port: int, created: str = "") -> ProtocolDeclaration:
    value, errors = read_protocol_declaration(declaration(name, port, created))
    assert value is not None, errors
    return value


def told(role: Role, *extensions: str) -> set[str]:
    builder = built(world(declaration=[declaration("lamp", 7100)]))
    return set(builder.sets(Audience(role, "ns", frozenset(extensions))).get(LDS, {}))


def test_the_listener_of_a_protocol_is_sent_to_nodes_that_name_its_filter_and_to_no_others() -> None:
    assert told(Role.SIDECAR, FRAMED_PROXY) == {"outbound-lamp"}
    assert told(Role.SIDECAR) == set()
    for role in (Role.GATEWAY, Role.ACTIVATOR, Role.ENVOY, Role.GRPC):
        assert "outbound-lamp" not in told(role, FRAMED_PROXY)


def test_a_node_names_its_filters_in_its_metadata() -> None:
    def audience(extensions: object) -> Audience:
        return audience_of(Node(metadata={"role": "sidecar", "namespace": "ns", "extensions": extensions}))

    assert audience([FRAMED_PROXY, "com.example.other"]) == Audience(Role.SIDECAR, "ns", frozenset((FRAMED_PROXY,)))
    for nothing in ([], None, "eventmesh.framed_proxy", [1, []], 7):
        assert audience(nothing) == Audience(Role.SIDECAR, "ns")


def test_a_sidecar_reads_the_listener_as_the_protocol_that_was_declared() -> None:
    builder = built(world(declaration=[declaration("lamp", 7100)]))
    resource = builder.sets(Audience(Role.SIDECAR, "ns", frozenset((FRAMED_PROXY,))))[LDS]["outbound-lamp"]
    message = read_wire(message_type("envoy.config.listener.v3.Listener"), resource.body, "", [])
    listener = read_listener(message, []).listener
    assert (listener.address, listener.traffic, listener.protocol) == (
        "127.0.0.1:7100",
        Traffic.OUTBOUND,
        WireProtocol.FRAMED,
    )
    assert listener.route_table == "declared/lamp"
    assert listener.declarations == (made("lamp", 7100).declaration,)


def test_the_oldest_declaration_has_a_port() -> None:
    young, old = made("a", 7100, "2026-02-01T00:00:00Z"), made("z", 7100, "2026-01-01T00:00:00Z")
    both = {one.key: one for one in (young, old)}
    assert set(in_force(both.values())) == {"z"}
    assert refused(old, both) is None
    reason, message = refused(young, both) or ("", "")
    assert reason == "Conflicted" and "7100" in message and " z" in message


def test_declarations_are_bounded() -> None:
    all_ = {one.key: one for one in (made(f"p{n}", 7000 + n, f"2026-01-01T00:{n:02}:00Z") for n in range(60))}
    last = [made(f"q{n}", 8100 + n, f"2026-01-02T00:00:0{n}Z") for n in range(MAX_DECLARATIONS - 59)]
    all_ |= {one.key: one for one in last}
    assert len(in_force(all_.values())) == MAX_DECLARATIONS
    assert refused(all_[Key("", "p0")], all_) is None
    assert (refused(last[-1], all_) or ("",))[0] == "TooMany"


def test_a_declaration_concerns_every_sidecar_whatever_egress_it_has_declared() -> None:
    watcher = world(namespace=[namespace("shop", "bank/*")])
    builder = built(watcher)
    watcher.declaration(None, declaration("lamp"))
    builder.update(watcher.of, watcher.take_changed())
    for name in ("shop", "other"):
        assert builder.affects(Audience(Role.SIDECAR, name))
    assert "declared/lamp" in builder.sets(Audience(Role.SIDECAR, "shop"))[ResourceType.ROUTE]
