"""Virtual hosts are built one by one: a change builds those that it concerns."""

from __future__ import annotations

from collections import defaultdict

from eventmesh.kube.objects import Key
from eventmesh.xds.control.claims import Claims
from eventmesh.xds.control.hosts import Entry, HostBuilder
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.tables import LOCAL, PUBLIC
from eventmesh.xds.control.watcher import Watcher
from tests.unit.xds.control.views import ingress, path, rule, serverless, service, split

FUNCTIONS = 20


class Namespace:
    """One namespace of functions, and its virtual hosts as of each build."""

    def __init__(self) -> None:
        self.watcher = Watcher()
        self.builder = HostBuilder(Settings())
        self.claims: defaultdict[str, Claims] = defaultdict(Claims)
        for number in range(FUNCTIONS):
            self.watcher.service(None, service(f"svc-{number}"))
            self.route(f"r-{number}", f"svc-{number}")
        self.known = self.build()

    def route(self, name: str, leads_to: str, port: int | str = 80) -> None:
        self.watcher.ingress(None, ingress(name, rule(f"{name}.test", paths=[path(split(leads_to, port=port))])))

    def build(self) -> dict[tuple[str, Key], Entry]:
        view = self.watcher.of("ns")
        for table, wanted in self.builder.wanted(view).items():
            self.claims[table].renew("ns", wanted)
        hosts = self.builder.build(view, self.claims)
        return {(table, entry.owner): entry for table in (PUBLIC, LOCAL) for entry in hosts.of(table)}

    def rebuilt(self) -> set[str]:
        """Build again; return the names of the objects whose virtual hosts are not the very same as before."""
        before, self.known = self.known, self.build()
        return {key.name for (table, key), entry in self.known.items() if before.get((table, key)) is not entry}


def test_a_new_route_builds_no_virtual_host_but_its_own() -> None:
    namespace = Namespace()
    namespace.route("new", "svc-3")
    assert namespace.rebuilt() == {"new"}
    assert len(namespace.known) == 3 * FUNCTIONS + 2


def test_nothing_is_built_again_when_endpoints_alone_have_changed() -> None:
    assert Namespace().rebuilt() == set()


def test_a_service_that_changes_builds_its_own_host_and_those_that_lead_to_it() -> None:
    namespace = Namespace()
    namespace.watcher.service(None, service("svc-3", {"name": "http", "port": 8080}))
    assert namespace.rebuilt() == {"svc-3", "r-3"}


def test_a_route_is_told_of_a_port_by_name_once_its_service_is_there() -> None:
    namespace = Namespace()
    namespace.route("early", "late", port="http")
    namespace.rebuilt()
    assert namespace.known[PUBLIC, Key("ns", "early")].clusters == ("ns/late:http",)
    namespace.watcher.service(None, service("late", {"name": "http", "port": 8080}))
    assert namespace.rebuilt() == {"late", "early"}
    assert namespace.known[PUBLIC, Key("ns", "early")].clusters == ("ns/late:8080",)


def test_a_route_that_is_gone_leaves_nothing_and_is_built_when_it_comes_back() -> None:
    namespace = Namespace()
    namespace.watcher.ingress(ingress("r-3"), None)
    assert namespace.rebuilt() == set() and (PUBLIC, Key("ns", "r-3")) not in namespace.known
    namespace.route("r-3", "svc-4")
    assert namespace.rebuilt() == {"r-3"}
    assert namespace.known[LOCAL, Key("ns", "r-3")].clusters == ("ns/svc-4:80",)


def test_the_service_of_a_revision_has_its_host_once_the_revision_is_there() -> None:
    namespace = Namespace()
    of_revision = service("rev", labels={"networking.internal.knative.dev/serverlessservice": "rev"})
    namespace.watcher.service(None, of_revision)
    assert namespace.rebuilt() == set()
    namespace.watcher.serverless(None, serverless("rev"))
    assert namespace.rebuilt() == {"rev"}
    assert namespace.known[LOCAL, Key("ns", "rev")].clusters == ("ns/rev",)
