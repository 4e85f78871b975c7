"""Who is told to speak mTLS with whom, and how."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.model.listener import Listener
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.client.inbound import first_terms
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER, Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from eventmesh.xds.translate.listener import read_listener
from eventmesh.xds.translate.tls import Secrets, read_secret
from tests.manual_clock import ManualClock
from tests.unit.xds.control.dialogue import CDS, LDS
from tests.unit.xds.control.views import ingress, peer_authentication, pod, revision, rule, serverless, service, world

SDS = ResourceType.SECRET
FILES = Path(__file__).parents[3] / "vectors" / "tls"
PREFIX = "spiffe://cluster.local/ns"


class Mesh:
    """A builder with identities, and what it tells whom."""

    def __init__(self, directory: Path, watcher: Watcher) -> None:
        self.identities = Identities(OwnAuthority(RootFiles(directory), ManualClock()), ManualClock(), "cluster.local")
        self.mtls = MeshMtls(self.identities)
        self.builder = ResourceBuilder(Settings(), mtls=self.mtls)
        self.watcher = watcher
        self.update()
        parts = self.identities.parts
        self.gateway = Audience(Role.GATEWAY, "", identity=parts.gateway)
        self.activator = Audience(Role.ACTIVATOR, "", identity=parts.activator)
        self.sidecar = Audience(Role.SIDECAR, "ns", identity=self.identities.of("ns", "default"))

    def update(self) -> None:
        self.builder.update(self.watcher.of, self.watcher.take_changed())

    def told(self, audience: Audience, type_: ResourceType) -> dict[str, Resource]:
        return dict(self.builder.sets(audience)[type_])

    def peers(self, audience: Audience, cluster: str) -> list[str] | None:
        """Return who may be at the other end of a cluster; None: it is spoken to in clear text."""
        found = read_cluster(_read(self.told(audience, CDS)[cluster]), [])
        return None if found.tls is None else [name.text for name in found.tls.terms.validation.names]

    def listener(self, audience: Audience, name: str) -> Listener:
        secrets: Secrets = {one.name: read_secret(_read(one)) for one in self.told(audience, SDS).values()}
        resolved = read_listener(_read(self.told(audience, LDS)[name]), []).with_secrets(secrets)
        assert resolved is not None
        return resolved.listener


def _read(resource: Resource) -> Message:
    return read_wire(message_type(resource.type.value.rpartition("/")[2]), resource.body, resource.name, [])


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    watcher = world(revision=[revision("r-1", 0)], serverless=[serverless("r-1")])
    return Mesh(tmp_path, watcher)


def test_a_revision_is_its_accounts_pods_or_the_activator_in_their_place(mesh: Mesh) -> None:
    wanted = [f"{PREFIX}/ns/sa/default", f"{PREFIX}/knative-serving/sa/activator"]
    for audience in (mesh.gateway, mesh.activator, Audience(Role.SIDECAR, "", identity=mesh.sidecar.identity)):
        assert mesh.peers(audience, "ns/r-1") == wanted


def test_the_mesh_s_own_parts_are_known_by_their_accounts(mesh: Mesh) -> None:
    assert mesh.peers(mesh.sidecar, GATEWAY_CLUSTER) == [f"{PREFIX}/eventmesh-system/sa/gateway"]
    assert mesh.peers(mesh.sidecar, BROKER_CLUSTER) == [f"{PREFIX}/knative-serving/sa/activator"]


def test_whoever_shows_no_certificate_is_told_as_if_there_were_no_identities(mesh: Mesh) -> None:
    alone = ResourceBuilder(Settings())
    alone.update(mesh.watcher.of, mesh.watcher.everything())
    for role in Role:
        assert mesh.builder.sets(Audience(role)) == alone.sets(Audience(role))


def test_a_service_is_secured_when_all_its_pods_have_an_identity(tmp_path: Path) -> None:
    stock = service("stock", selector={"app": "stock"})
    pods = [pod("a", "keeper", app="stock"), pod("b", app="stock"), pod("c", "other", app="cart")]
    mesh = Mesh(tmp_path, world(service=[stock], pod=pods))
    assert mesh.peers(mesh.gateway, "ns/stock:80") == [f"{PREFIX}/ns/sa/default", f"{PREFIX}/ns/sa/keeper"]
    mesh.watcher.pod(None, pod("d", sidecar=False, app="stock"))
    mesh.update()
    assert mesh.peers(mesh.gateway, "ns/stock:80") is None
    mesh.watcher.pod(pod("d", sidecar=False, app="stock"), None)
    mesh.update()
    assert mesh.peers(mesh.gateway, "ns/stock:80") is not None


def test_who_has_no_identity_is_spoken_to_in_clear_text(tmp_path: Path) -> None:
    outside = revision("r-1", 0)
    outside["metadata"]["annotations"] = {"eventmesh.io/inject": "false"}
    services = [service("nobody"), service("empty", selector={"app": "none"})]
    mesh = Mesh(tmp_path, world(revision=[outside], serverless=[serverless("r-1")], service=services))
    for cluster in ("ns/r-1", "ns/nobody:80", "ns/empty:80"):
        assert mesh.peers(mesh.gateway, cluster) is None


def test_a_ready_pod_changes_no_cluster(mesh: Mesh) -> None:
    before = mesh.told(mesh.gateway, CDS)
    of_revision = pod("r-1-x")
    of_revision["metadata"]["labels"] = {"serving.knative.dev/revision": "r-1"}
    mesh.watcher.pod(None, of_revision)
    mesh.update()
    assert mesh.told(mesh.gateway, CDS) == before


def test_workloads_take_both_until_they_are_told_to_be_strict(mesh: Mesh) -> None:
    for audience, name in ((mesh.sidecar, INBOUND), (mesh.activator, INBOUND), (mesh.activator, "activator")):
        tls = mesh.listener(audience, name).tls
        assert tls is not None and tls.permissive and tls.require_client_certificate
        assert [match.text for match in tls.client_names] == ["spiffe://cluster.local/"]
    assert mesh.listener(mesh.gateway, "local").tls is not None
    assert mesh.listener(mesh.gateway, "public").tls is None


@pytest.mark.parametrize(
    ("demanded", "mode"),
    [
        ([("STRICT", "eventmesh-system")], MtlsMode.STRICT),
        ([("STRICT", "ns")], MtlsMode.STRICT),
        ([("STRICT", "other")], MtlsMode.PERMISSIVE),
        ([("STRICT", "eventmesh-system"), ("PERMISSIVE", "ns")], MtlsMode.PERMISSIVE),
        ([("UNSET", "ns"), ("STRICT", "eventmesh-system")], MtlsMode.STRICT),
    ],
)
def test_the_nearest_peer_authentication_holds(mesh: Mesh, demanded: list[tuple[str, str]], mode: MtlsMode) -> None:
    for word, namespace in demanded:
        mesh.watcher.peer_authentication(None, peer_authentication(word, namespace))
    mesh.update()
    tls = mesh.listener(mesh.sidecar, INBOUND).tls
    assert tls is not None and tls.permissive is (mode is MtlsMode.PERMISSIVE)
    assert mesh.mtls.mode("ns") is mode


def test_a_switch_of_the_whole_mesh_concerns_every_sidecar(mesh: Mesh) -> None:
    elsewhere = Audience(Role.SIDECAR, "elsewhere", identity=mesh.identities.of("elsewhere", "default"))
    mesh.watcher.peer_authentication(None, peer_authentication("STRICT", "ns"))
    mesh.update()
    assert not mesh.builder.affects(elsewhere)
    mesh.watcher.peer_authentication(None, peer_authentication("STRICT", "eventmesh-system"))
    mesh.update()
    assert mesh.builder.affects(elsewhere)


def test_nobody_is_told_another_s_certificate(mesh: Mesh) -> None:
    chains = {mesh.told(audience, SDS)["default"].body for audience in (mesh.gateway, mesh.activator, mesh.sidecar)}
    assert len(chains) == 3


@pytest.mark.parametrize("mode", list(MtlsMode))
def test_a_bootstrap_says_at_first_what_control_says_later(mesh: Mesh, mode: MtlsMode) -> None:
    assert mesh.sidecar.identity is not None
    mesh.watcher.peer_authentication(None, peer_authentication(mode.value))
    mesh.update()
    issued, bundle = mesh.identities.current(mesh.sidecar.identity), mesh.identities.bundle()
    plain = bootstrap("sidecar", "pod", "127.0.0.1:0", "127.0.0.1:1", namespace="ns")
    made = with_identity(plain, issued, bundle, mesh.identities.parts.control, mode)
    first, later = first_terms(parse_bootstrap(json.dumps(made))), mesh.listener(mesh.sidecar, INBOUND)
    assert first is not None and (first.tls, first.filters) == (later.tls, later.filters)


def test_of_several_in_a_namespace_the_first_by_name_holds(mesh: Mesh) -> None:
    for name, mode in (("b", "STRICT"), ("a", "PERMISSIVE")):
        mesh.watcher.peer_authentication(None, peer_authentication(mode, name=name))
    mesh.update()
    assert mesh.mtls.mode("ns") is MtlsMode.PERMISSIVE


def test_a_service_selects_by_all_its_labels(tmp_path: Path) -> None:
    stock = service("stock", selector={"app": "stock", "tier": "web"})
    pods = [pod("a", "keeper", app="stock", tier="web"), pod("b", sidecar=False, app="stock", tier="db")]
    mesh = Mesh(tmp_path, world(service=[stock], pod=pods))
    assert mesh.peers(mesh.gateway, "ns/stock:80") == [f"{PREFIX}/ns/sa/keeper"]


def test_a_strict_mesh_trusts_whoever_shows_nothing_with_no_key(tmp_path: Path) -> None:
    files = {"tls.crt": FILES / "server.pem", "tls.key": FILES / "server.key"}
    data = {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items()}
    secret = {"metadata": {"name": "cert", "namespace": "ns"}, "type": "kubernetes.io/tls", "data": data}
    tls = [{"hosts": ["shop.test"], "secretName": "cert", "secretNamespace": "ns"}]
    mesh = Mesh(tmp_path, world(ingress=[ingress("shop", rule("shop.test"), tls=tls)], secret=[secret]))
    nobody = Audience(Role.GATEWAY)
    assert set(mesh.told(nobody, SDS)) == {"ns/cert"}
    mesh.watcher.peer_authentication(None, peer_authentication("STRICT", "eventmesh-system"))
    mesh.update()
    assert mesh.told(nobody, SDS) == {}
    assert set(mesh.told(mesh.gateway, SDS)) == {"ns/cert", "default", "ROOTCA"}


def test_new_roots_are_told_to_whoever_has_its_certificate_of_control_and_to_nobody_else(mesh: Mesh) -> None:
    cache = SnapshotCache(mesh.builder.sets)
    proxyless = Audience(Role.GRPC, "ns", identity=mesh.identities.of("ns", "caller"))
    plain = Audience(Role.SIDECAR, "ns")
    told: list[Audience] = []

    def hear(audience: Audience) -> None:
        cache.subscribe(audience, lambda _, changes: told.append(audience) if SDS in changes else None)

    for audience in (mesh.sidecar, proxyless, plain):
        hear(audience)
    mesh.mtls.follow(cache)
    mesh.identities.replace_root()
    assert told == [mesh.sidecar]
    assert not cache.current(proxyless).of(SDS) and mesh.identities.expiry(mesh.identities.of("ns", "caller")) is None
