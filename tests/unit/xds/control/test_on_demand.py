"""Virtual hosts on demand: a client holds what it has asked for, and the clusters to which that leads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost

from eventmesh.kube.api import Object
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.envoy import on_demand_filter
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.control.on_demand import MAX_LABELS, HostIndex
from eventmesh.xds.control.preview import preview
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience, audience_of, without_demand
from eventmesh.xds.control.services import BROKER_CLUSTER, Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import CLUSTER_LINGER_S, Changes, Stream
from eventmesh.xds.control.subscriptions import MAX_HOSTS_REMEMBERED, MAX_NAMES, Push, Variant
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.dialogue import CDS, EDS, LDS, RDS, Client, names
from tests.unit.xds.control.views import ingress, path, rule, service, slice_, split, within

VHDS = ResourceType.VIRTUAL_HOST
ENVOY = Audience(Role.ENVOY, on_demand=True)


class Mesh(Client):
    """Control without sockets, and an Envoy that has begun to ask it."""

    def __init__(self, *hosts: str, audience: Audience = ENVOY) -> None:
        super().__init__(Variant.DELTA, role=audience.role.value)
        self.watcher = Watcher()
        self.builder = ResourceBuilder(Settings())
        self.cache = SnapshotCache(self.builder.sets)
        self.audience = audience
        self.routed: dict[str, Object] = {}
        for host in hosts:
            self.route(host, host.removesuffix(".test"))
        self.build()
        self.stream = Stream(Variant.DELTA, self.cache.current(audience), self.stream.node)
        self.cache.subscribe(audience, self._configured)

    def _configured(self, configuration: object, changes: Changes) -> None:
        self.stream.configure(self.cache.current(self.audience), changes)

    def route(self, host: str, to: str) -> None:
        """Have `host` lead to the Service `to`."""
        routed = ingress(host.replace("*", "any"), rule(host, paths=[path(split(to))]))
        self.watcher.ingress(self.routed.get(host), routed)
        self.routed[host] = routed
        self.watcher.service(None, service(to))
        self.watcher.slice(None, slice_(to, "10.0.0.1"))

    def build(self) -> None:
        self.builder.update(self.watcher.of, self.watcher.take_changed())
        self.cache.update({one: self.builder.sets(one) for one in filter(self.builder.affects, self.cache.audiences())})

    def connect(self) -> None:
        """Ask for all that an Envoy asks for when it starts."""
        for type_, wanted in ((CDS, ()), (LDS, ()), (RDS, ("public", "local")), (VHDS, ())):
            self.subscribe(type_, *wanted)
        self.follow()

    def ask(self, *wanted: str) -> list[Push]:
        """Ask for virtual hosts, and for the endpoints of clusters as they come; return all pushes."""
        self.subscribe(VHDS, *wanted)
        return self.follow()

    def follow(self) -> list[Push]:
        out: list[Push] = []
        while new := self.pushes():
            for push in new:
                self.ack(push)
                if push.type is CDS:
                    self.subscribe(EDS, *names(push), drop=push.removed)
            out += new
        return out

    @property
    def held(self) -> Mapping[str, Resource]:
        return self.stream.subscription(VHDS).held.accepted

    @property
    def clusters(self) -> set[str]:
        return set(self.stream.subscription(CDS).held.accepted)


def parsed(resource: Resource) -> VirtualHost:
    return VirtualHost.parse(resource.body)


def test_a_client_that_has_asked_for_nothing_holds_the_brokers_host_alone() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    assert mesh.clusters == {BROKER_CLUSTER}
    table = RouteConfiguration.parse(mesh.stream.subscription(RDS).held.accepted["public"].body)
    assert [host.name for host in table.virtual_hosts] == [BROKER_CLUSTER]
    assert table.vhds is not None and table.vhds.config_source is not None


def test_the_first_request_for_virtual_hosts_is_answered_with_none() -> None:
    mesh = Mesh("a.test")
    mesh.subscribe(VHDS)
    push = mesh.push()
    assert (push.type, push.resources, push.removed) == (VHDS, (), ())


def test_a_host_comes_after_its_cluster_and_the_endpoints_of_that() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    told = mesh.ask("public/a.test")
    assert [(push.type, names(push)) for push in told] == [
        (CDS, ["ns/a:80"]),
        (EDS, ["ns/a:80"]),
        (VHDS, ["public/a.test"]),
    ]
    host = parsed(told[-1].resources[0])
    assert (host.name, host.domains) == ("public/a.test", ["a.test"])
    assert mesh.clusters == {BROKER_CLUSTER, "ns/a:80"}


@pytest.mark.parametrize("asked", ["public/A.test", "public/a.test:8080"])
def test_a_host_is_served_as_it_was_written(asked: str) -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask(asked)
    assert parsed(mesh.held[asked]).domains == [asked.partition("/")[2]]


def test_two_ways_of_writing_one_host_have_no_domain_in_common() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask("public/a.test", "public/a.test:80")
    domains = [domain for one in mesh.held.values() for domain in parsed(one).domains]
    assert sorted(domains) == ["a.test", "a.test:80"]


def test_what_a_virtual_host_says_beside_its_name_and_domains_is_what_the_whole_table_says() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask("public/a.test")
    whole = RouteConfiguration.parse(mesh.builder.table("public").body)
    (there,) = [host for host in whole.virtual_hosts if host.domains == ["a.test"]]
    there.name = "public/a.test"
    assert bytes(parsed(mesh.held["public/a.test"])) == bytes(there)


def test_a_wildcard_domain_serves_each_host_that_is_asked_for() -> None:
    mesh = Mesh("*.shop.test")
    mesh.connect()
    mesh.ask("public/cart.shop.test", "public/shop.test")
    assert parsed(mesh.held["public/cart.shop.test"]).domains == ["cart.shop.test"]
    assert set(mesh.held) == {"public/cart.shop.test"}


def test_a_host_of_too_many_labels_is_looked_for_so_many_times_and_no_more() -> None:
    deep = "public/" + ".".join(["a"] * (MAX_LABELS + 100)) + ".test"
    mesh = Mesh("*.test")
    mesh.connect()
    (told,) = mesh.ask(deep)
    assert told.resources[0].is_absent
    assert HostIndex().hosts(frozenset()).touched([deep], frozenset({"public/*.test"})) == frozenset()


def test_an_unknown_host_is_answered_at_once_and_sent_when_it_appears() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    (told,) = mesh.ask("public/new.test")
    (answer,) = told.resources
    assert (
        answer.is_absent and b"public/new.test" in answer.delta_field and VHDS.value.encode() not in answer.delta_field
    )
    assert told.removed == ()
    mesh.route("new.test", "new")
    mesh.build()
    assert [push.type for push in mesh.follow()] == [CDS, EDS, VHDS]
    assert parsed(mesh.held["public/new.test"]).domains == ["new.test"]


def test_an_unknown_host_is_answered_as_often_as_it_is_asked_for() -> None:
    mesh = Mesh()
    mesh.connect()
    for _ in range(2):
        (told,) = mesh.ask("public/nobody.test")
        assert names(told) == ["public/nobody.test"]


def test_beyond_a_limit_unknown_hosts_are_answered_and_forgotten() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask(*(f"public/{number}.test" for number in range(MAX_HOSTS_REMEMBERED)))
    (told,) = mesh.ask("public/one-more.test")
    assert names(told) == ["public/one-more.test"]
    assert len(mesh.stream.subscription(VHDS).names) == MAX_HOSTS_REMEMBERED
    assert mesh.stream.subscription(VHDS).held.accepted.own == 0
    mesh.ask("public/a.test")
    assert parsed(mesh.held["public/a.test"]).domains == ["a.test"]


def test_as_many_unknown_hosts_as_a_request_may_name_are_answered_at_once() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    asked = ["public/a.test", *(f"public/{number}.nobody.test" for number in range(MAX_NAMES - 1))]
    (*_, told) = mesh.ask(*asked)
    assert names(told) == sorted(asked)
    remembered = mesh.stream.subscription(VHDS).names
    assert len(remembered) == MAX_HOSTS_REMEMBERED and "public/a.test" in remembered


def test_a_changed_host_is_told_to_who_has_asked_for_it_and_to_nobody_else() -> None:
    mesh = Mesh("a.test", "b.test", "c.test")
    other = Stream(Variant.DELTA, mesh.cache.current(ENVOY), Node("other"))
    mesh.cache.subscribe(ENVOY, other.configure)
    mesh.connect()
    mesh.ask("public/a.test")
    mesh.route("a.test", "b")
    mesh.build()
    assert [(push.type, names(push)) for push in mesh.follow()] == [
        (CDS, ["ns/b:80"]),
        (EDS, ["ns/b:80"]),
        (VHDS, ["public/a.test"]),
    ]
    mesh.route("c.test", "b")
    mesh.build()
    assert mesh.pushes() == [] == other.pushes(0.0)


def test_a_host_that_goes_is_removed_and_its_cluster_follows_when_no_route_leads_there() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    mesh.ask("public/a.test")
    # The Service stays, so that nothing but the route has gone.
    mesh.watcher.ingress(ingress("a.test", rule("a.test", paths=[path(split("a"))])), None)
    mesh.build()
    (told,) = mesh.follow()
    assert (told.type, told.removed) == (VHDS, ("public/a.test",))
    assert "ns/a:80" in mesh.clusters
    mesh.now += CLUSTER_LINGER_S
    (told, *_) = mesh.follow()
    assert (told.type, told.removed) == (CDS, ("ns/a:80",))
    assert mesh.clusters == {BROKER_CLUSTER}


def test_a_host_goes_also_after_its_namespace_was_built_anew_without_a_change_of_it() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask("public/a.test")
    mesh.watcher.service(None, service("bystander"))
    mesh.build()
    mesh.watcher.ingress(mesh.routed["a.test"], None)
    mesh.build()
    (told,) = mesh.follow()
    assert (told.type, told.removed) == (VHDS, ("public/a.test",))


def test_endpoints_of_a_cluster_that_is_not_held_concern_nobody() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    mesh.ask("public/a.test")
    mesh.watcher.slice(None, slice_("b", "10.0.0.9"))
    mesh.build()
    assert mesh.pushes() == []


def test_whoever_comes_back_keeps_what_is_and_loses_what_has_gone() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    mesh.ask("public/a.test")
    version = mesh.held["public/a.test"].version
    again = Mesh("a.test")
    again.subscribe(CDS)
    again.follow()
    both = {"public/a.test": version, "public/gone.test": "1"}
    again.subscribe(VHDS, *both, initial=both)
    *_, told = again.follow()
    assert names(told) == ["public/a.test", "public/gone.test"]
    assert told.removed == ("public/gone.test",)
    assert set(again.held) == {"public/a.test"}


def test_a_refused_host_counts_as_not_acknowledged_until_it_is_another() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    before = mesh.stream.acknowledged(frozenset({"public"}))
    mesh.ask("public/a.test")
    mesh.route("a.test", "b")
    mesh.build()
    pushes = mesh.pushes()
    while VHDS not in [push.type for push in pushes]:
        for push in pushes:
            mesh.ack(push)
            if push.type is CDS:
                mesh.subscribe(EDS, *names(push))
        pushes = mesh.pushes()
    (refused,) = pushes
    assert mesh.nack(refused, "public/a.test: no").names == ("public/a.test",)
    assert mesh.follow() == []
    assert mesh.stream.acknowledged(frozenset({"public"})) == before
    mesh.route("a.test", "a")
    mesh.build()
    mesh.follow()
    assert mesh.stream.acknowledged(frozenset({"public"})) == mesh.stream.configuration.generation > before


def test_a_domain_that_changes_hands_is_served_by_its_new_owner() -> None:
    mesh = Mesh("a.test", "b.test")
    mesh.connect()
    mesh.ask("public/shared.test")
    for namespace, created in (("first", "2026-01-02T00:00:00Z"), ("second", "2026-01-01T00:00:00Z")):
        routed = ingress("x", rule("shared.test", paths=[path(split("svc"))]), created=created)
        mesh.watcher.ingress(None, within(namespace, routed))
        mesh.watcher.service(None, within(namespace, service("svc")))
        mesh.build()
        mesh.follow()
        (route, *_) = parsed(mesh.held["public/shared.test"]).routes[::-1]
        assert route.route is not None and route.route.cluster == f"{namespace}/svc:80"


def test_listeners_of_such_an_envoy_hold_requests_while_they_ask_and_those_of_others_do_not() -> None:
    mesh = Mesh("a.test")
    mesh.connect()
    held = mesh.stream.subscription(LDS).held.accepted
    mark = on_demand_filter().name.encode()
    assert {name: mark in one.body for name, one in held.items()} == {"public": True, "local": True}
    others = mesh.builder.sets(Audience(Role.ENVOY))[LDS]
    assert not any(mark in one.body for one in others.values())


def test_a_sidecar_that_asks_sees_the_whole_mesh_and_no_way_around_it() -> None:
    mesh = Mesh("a.test", audience=Audience(Role.SIDECAR, "elsewhere", on_demand=True))
    assert set(mesh.stream.configuration.of(RDS)) == {"local"}
    mesh.subscribe(CDS)
    mesh.subscribe(RDS, "local")
    mesh.follow()
    mesh.ask("local/a.ns.svc.cluster.local:80")
    assert mesh.clusters == {BROKER_CLUSTER, "ns/a:80"}


@pytest.mark.parametrize(
    ("node", "asks"),
    [
        (Node(user_agent="envoy", metadata={"on_demand": True}), True),
        (Node(user_agent="envoy", metadata={"role": "sidecar", "on_demand": True}), True),
        (Node(user_agent="envoy", metadata={"on_demand": "yes"}), False),
        (Node(user_agent="envoy"), False),
        (Node(user_agent="envoy", metadata={"role": "activator", "on_demand": True}), False),
        (Node(user_agent="eventmesh", metadata={"role": "sidecar", "on_demand": True}), False),
        (Node(user_agent="gRPC C-core", metadata={"on_demand": True}), False),
    ],
)
def test_only_an_envoy_that_says_so_asks_on_demand(node: Node, asks: bool) -> None:
    assert audience_of(node).on_demand is asks
    assert audience_of(without_demand(node)) == dataclasses.replace(audience_of(node), on_demand=False)


def test_a_preview_names_the_hosts_that_such_a_client_may_ask_for() -> None:
    mesh = Mesh("a.test")
    changed = {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        **ingress("new", rule("*.new.test", paths=[path(split("a"))])),
    }
    found = preview(mesh.watcher, Settings(), [changed], [ENVOY])
    assert [(one.type, one.name, one.what) for one in found.changes] == [
        (VHDS, "local/*.new.test", "added"),
        (VHDS, "public/*.new.test", "added"),
    ]
