"""What gRPC servers without a proxy are told: how to listen at their address, and whom to let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import DownstreamTlsContext

from eventmesh.kube.api import Object
from eventmesh.xds.control.grpc_servers import MAX_SERVERS, SERVER, GrpcListeners
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience, ForeignIdentityError, audience_of, identified
from eventmesh.xds.control.snapshot_cache import SnapshotCache, differences
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import TooMuchAskedError, Variant
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.spiffe import MeshParts, SpiffeId
from tests.unit.xds.control.dialogue import LDS, Client, names, resource
from tests.unit.xds.control.test_access import policy
from tests.unit.xds.control.test_mtls import Mesh
from tests.unit.xds.control.views import peer_authentication, pod, service

ADDRESS = "127.0.0.1:50051"
NAME = SERVER + ADDRESS
LABELS = {"app": "cart"}
SERVERS = Audience(Role.GRPC, "ns", labels=frozenset(LABELS.items()))
CHANNELS: dict[str, Resource] = {"a.ns.svc.cluster.local": resource(LDS, "a.ns.svc.cluster.local")}


def rules(name: str, action: str, **spec: Any) -> Object:
    return policy(name, action=action, rules=[{"to": [{"operation": {"paths": ["/x"]}}]}], **spec)


def manager(listener: Listener) -> HttpConnectionManager:
    (chain,) = listener.filter_chains
    (only,) = chain.filters
    assert only.typed_config is not None
    found = only.typed_config.unpack()
    assert isinstance(found, HttpConnectionManager)
    return found


class World(Mesh):
    """A mesh in which a gRPC server asks for its listener."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, Watcher())
        self.secured = Audience(Role.GRPC, "ns", labels=SERVERS.labels, identity=self.identities.of("ns", "cart"))

    def put(self, obj: Object) -> None:
        self.watcher.authorization(None, obj)
        self.update()

    def of(self, audience: Audience = SERVERS, name: str = NAME) -> Listener | None:
        found = self.builder.sets(audience)[LDS].get(name)
        return Listener.parse(found.body) if found is not None else None


def test_a_server_listens_where_it_said_and_its_calls_end_there(tmp_path: Path) -> None:
    found = World(tmp_path).of()
    assert found is not None and found.name == NAME
    assert found.address is not None and found.address.socket_address is not None
    assert (found.address.socket_address.address, found.address.socket_address.port_value) == ("127.0.0.1", 50051)
    table = manager(found).route_config
    assert table is not None and table.virtual_hosts[0].routes[0].non_forwarding_action is not None
    assert [one.name for one in manager(found).http_filters] == ["envoy.filters.http.router"]
    assert found.filter_chains[0].transport_socket is None


def test_the_address_may_be_one_of_ipv6() -> None:
    body = GrpcListeners({}, [])[f"{SERVER}[::1]:80"].body
    listener = Listener.parse(body)
    assert listener.address is not None and listener.address.socket_address is not None
    assert listener.address.socket_address.address == "::1"


@pytest.mark.parametrize(
    "address",
    ["", "localhost:80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:²", "unix:/x"],
)
def test_what_is_no_address_of_ip_and_port_has_no_listener(address: str) -> None:
    assert GrpcListeners({}, []).get(SERVER + address) is None


def test_a_client_that_has_not_said_where_it_is_has_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.of(Audience(Role.GRPC)) is None
    assert world.of() is not None


def test_policies_that_select_it_stand_before_its_calls(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(rules("mine", "DENY", selector={"matchLabels": LABELS}))
    world.put(rules("others", "DENY", selector={"matchLabels": {"app": "other"}}))
    found = world.of()
    assert found is not None
    first, _ = manager(found).http_filters
    assert first.typed_config is not None
    rbac = first.typed_config.unpack()
    assert isinstance(rbac, Rbac) and rbac.rules is not None
    assert list(rbac.rules.policies) == ["ns/mine[0]"]


def test_a_server_with_an_identity_speaks_mtls_by_its_own_certificates(tmp_path: Path) -> None:
    world = World(tmp_path)
    found = world.of(world.secured)
    assert found is not None
    socket = found.filter_chains[0].transport_socket
    assert socket is not None and socket.typed_config is not None
    context = socket.typed_config.unpack()
    assert isinstance(context, DownstreamTlsContext) and context.common_tls_context is not None
    assert context.require_client_certificate is True
    assert context.common_tls_context.tls_certificate_provider_instance is not None


def test_a_strict_namespace_has_no_server_in_clear_text(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = world.builder.sets(SERVERS)[LDS]
    world.watcher.peer_authentication(None, peer_authentication("STRICT"))
    world.update()
    assert world.of() is None and world.of(world.secured) is not None
    assert differences(before, world.builder.sets(SERVERS)[LDS]) == {SERVER}


def test_a_pod_whose_server_speaks_mtls_by_itself_is_spoken_to_so(tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.service(None, service("cart", selector=LABELS))
    mine = pod("cart-1", "cart", app="cart")
    mine["metadata"]["annotations"] = {"eventmesh.io/inject": "false"}
    watcher.pod(None, mine)
    mesh = Mesh(tmp_path, watcher)
    assert mesh.peers(mesh.gateway, "ns/cart:80") is None
    own = {**mine, "metadata": {**mine["metadata"], "annotations": {"eventmesh.io/inject": "grpc"}}}
    watcher.pod(mine, own)
    mesh.update()
    assert mesh.peers(mesh.gateway, "ns/cart:80") == ["spiffe://cluster.local/ns/ns/sa/cart"]


def test_a_change_of_policies_is_told_to_servers_and_one_of_hosts_to_channels() -> None:
    before = GrpcListeners(CHANNELS, [])
    policies = GrpcListeners(CHANNELS, [{"name": "x"}])
    host, asked = next(iter(CHANNELS)), frozenset({NAME, *CHANNELS})
    assert policies.touched(asked, policies.differing(before)) == {NAME}
    hosts = GrpcListeners({host: resource(LDS, host, "2")}, [])
    assert hosts.touched(asked, hosts.differing(before)) == {host}
    assert GrpcListeners(CHANNELS, []).differing(before) == frozenset()


def test_a_stream_is_sent_its_listener_again_when_policies_change(tmp_path: Path) -> None:
    world, client = World(tmp_path), Client(Variant.SOTW, role="grpc")
    cache = SnapshotCache(world.builder.sets)
    cache.subscribe(SERVERS, lambda configuration, changes: client.stream.configure(configuration, changes))
    client.stream = Stream(Variant.SOTW, cache.current(SERVERS), client.stream.node)
    client.request(LDS, NAME)
    first = client.push()
    assert names(first) == [NAME]
    client.ack(first)
    world.put(rules("mine", "DENY"))
    cache.update({SERVERS: world.builder.sets(SERVERS)})
    again = client.push()
    assert names(again) == [NAME] and again.resources[0].version != first.resources[0].version


def test_a_server_says_its_namespace_and_labels_and_may_say_no_other_than_its_own() -> None:
    node = Node("s", user_agent="gRPC C-core", metadata={"namespace": "ns", "labels": LABELS})
    assert audience_of(node) == SERVERS
    parts = MeshParts.of("cluster.local")
    own = SpiffeId("cluster.local", "ns", "cart")
    assert identified(node, own, parts).identity == own
    with pytest.raises(ForeignIdentityError, match="says it is in namespace 'ns'"):
        identified(node, SpiffeId("cluster.local", "elsewhere", "cart"), parts)
    channel = Node("c", user_agent="gRPC C-core")
    assert identified(channel, own, parts) == Audience(Role.GRPC, identity=own)


@pytest.mark.parametrize("variant", list(Variant))
def test_one_process_has_so_many_servers_and_no_more(variant: Variant) -> None:
    client = Client(variant, role="grpc")
    asked = [f"{SERVER}127.0.0.1:{port}" for port in range(1, MAX_SERVERS + 2)]
    ask = client.request if variant is Variant.SOTW else client.subscribe
    ask(LDS, *asked[:-1])
    with pytest.raises(TooMuchAskedError, match=f"more than {MAX_SERVERS} gRPC servers"):
        ask(LDS, *(asked if variant is Variant.SOTW else asked[-1:]))
