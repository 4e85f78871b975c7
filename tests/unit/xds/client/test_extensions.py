"""When configurations of filters that are sent by name go live, and what waits for them: in virtual time."""

from __future__ import annotations

from eventmesh.model.access import AccessStep
from eventmesh.model.authz import AskedByGrpc, AuthzService, ExtAuthz
from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.policy import Fault, Filters
from eventmesh.model.route import RouteTable
from eventmesh.xds.client.known import Known, Update
from eventmesh.xds.translate.discovered_filters import ABSENT, DiscoveredFilter, Extension, FilterChain
from eventmesh.xds.translate.resources import ClusterResource, ListenerResource, StaticResources

FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"


def _fault(status: int) -> Extension:
    return Extension(FAULT, Fault(abort_status=status))


def _named(
    name: str = "f",
    default: Extension | None = None,
    *,
    awaited: bool = True,
    fetch_timeout_s: float = 15.0,
    kinds: tuple[str, ...] = (FAULT, AUTHZ),
) -> DiscoveredFilter:
    return DiscoveredFilter(name, frozenset(kinds), default, awaited, fetch_timeout_s)


def _listener(*filters: DiscoveredFilter, address: str = "127.0.0.1:80", rds: str = "") -> dict[str, ListenerResource]:
    chain = FilterChain(filters)
    listener = Listener("in", address, rds or "t", filters=chain.filters({}))
    return {"in": ListenerResource(listener, None if rds else RouteTable("t"), chain=chain)}


def _asking(cluster: str) -> Extension:
    service = AuthzService(cluster, AskedByGrpc("authority"), timeout_s=1.0)
    return Extension(AUTHZ, AccessStep("f", ExtAuthz(service)))


class World:
    """A `Known` and its time."""

    def __init__(self, static: StaticResources | None = None) -> None:
        self.now = 100.0
        self.known = Known(static or StaticResources(), (), self.now)
        self.known.advance(self.now)

    def told(self, update: Update) -> bool:
        self.known.update(update, self.now)
        return self.known.advance(self.now)

    def sent(self, **extensions: Extension) -> bool:
        return self.told(Update(extensions=extensions))

    def rings(self) -> bool:
        """Let the time come that the client would set its timer to."""
        at = self.known.deadline()
        assert at is not None
        assert at > self.now, "a timer that has rung is not set to the past"
        self.now = at
        return self.known.advance(self.now)

    @property
    def wanted(self) -> set[str]:
        return set(self.known.wanted_extensions())

    @property
    def faults(self) -> dict[str, int | None]:
        """Return the status of each live listener's fault, by address; None: nobody gets as far as that."""
        found = {}
        for listener in self.known.snapshot("v").listeners:
            filters = listener.filters or Filters()
            found[listener.address] = filters.fault.abort_status if filters.fault and not filters.access else None
        return found


HERE = "127.0.0.1:80"


def test_a_listener_waits_for_its_filter_and_then_has_it() -> None:
    world = World()
    assert not world.told(Update(listeners=_listener(_named())))
    assert (world.faults, world.wanted, world.known.is_waiting()) == ({}, {"f"}, True)
    assert world.sent(f=_fault(500))
    assert (world.faults, world.known.is_waiting()) == ({HERE: 500}, False)


def test_a_change_of_a_filter_is_live_at_once_and_leaves_the_rest_of_the_listener_alone() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named("f"), _named("g"))))
    world.sent(f=_fault(500), g=Extension(FAULT, None))
    (before,) = world.known.snapshot("v").listeners
    assert world.sent(f=_fault(501))
    (after,) = world.known.snapshot("v").listeners
    assert (world.faults, after.address, after.route_table) == ({HERE: 501}, before.address, before.route_table)
    assert not world.sent(f=_fault(501))


def test_the_former_listener_serves_while_a_new_one_waits_for_its_filters() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    world.sent(f=_fault(500))
    assert not world.told(Update(listeners=_listener(_named(), _named("g"), address="127.0.0.1:81")))
    assert (world.faults, world.wanted) == ({HERE: 500}, {"f", "g"})
    world.sent(g=_fault(502))
    assert world.faults == {"127.0.0.1:81": 502}


def test_a_filter_that_never_comes_leaves_its_default_after_its_own_time() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(default=_fault(400), fetch_timeout_s=2.0))))
    assert world.rings()
    assert (world.now, world.faults) == (102.0, {HERE: 400})
    assert world.sent(f=_fault(500))
    assert world.faults == {HERE: 500}
    assert world.known.deadline() is None


def test_without_a_default_nobody_goes_on_once_the_time_is_up() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    assert world.rings()
    assert (world.now, world.faults) == (115.0, {HERE: None})
    assert world.sent(f=_fault(500))
    assert world.faults == {HERE: 500}


def test_a_filter_that_is_awaited_for_ever_holds_its_listener_for_ever() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(fetch_timeout_s=0.0))))
    assert world.known.deadline() is None
    world.now += 1e6
    assert not world.known.advance(world.now)
    assert world.faults == {}


def test_the_default_is_live_at_once_where_nothing_is_awaited() -> None:
    world = World()
    assert world.told(Update(listeners=_listener(_named(default=_fault(400), awaited=False))))
    assert (world.faults, world.wanted) == ({HERE: 400}, {"f"})


def test_a_filter_of_the_bootstrap_is_awaited_as_well() -> None:
    (waits,) = _listener(_named()).values()
    world = World(StaticResources(listeners=(waits,)))
    assert (world.faults, world.wanted) == ({}, {"f"})
    world.sent(f=_fault(500))
    assert world.faults == {HERE: 500}


def test_that_there_is_none_means_the_default_at_once_and_else_patience() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    # A delta server may tell of the listener before it knows the filter.
    assert world.sent(f=ABSENT)
    assert world.faults == {}
    world.sent(f=_fault(500))
    assert world.faults == {HERE: 500}
    other = World()
    other.told(Update(listeners=_listener(_named(default=_fault(400)))))
    other.sent(f=ABSENT)
    assert other.faults == {HERE: 400}


def test_a_filter_that_is_taken_back_leaves_its_default_or_nobody_goes_on() -> None:
    for default, left in ((_fault(400), 400), (None, None)):
        world = World()
        world.told(Update(listeners=_listener(_named(default=default))))
        world.sent(f=_fault(500))
        assert world.sent(f=ABSENT)
        assert world.faults == {HERE: left}


def test_the_times_of_filters_and_of_routes_run_apart() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(default=_fault(400), fetch_timeout_s=2.0), rds="late")))
    assert not world.rings()
    assert (world.now, world.faults) == (102.0, {})
    assert world.rings()
    assert (world.now, world.faults) == (115.0, {HERE: 400})


def test_a_filter_that_asks_a_service_goes_live_when_that_is_there() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    world.sent(f=_fault(500))
    world.sent(f=_asking("authz"))
    assert (world.faults, world.known.is_extension_waiting("f")) == ({HERE: 500}, True)
    world.told(Update(clusters={"authz": ClusterResource(Cluster("authz"))}))
    assert (world.faults, world.known.is_extension_waiting("f")) == ({HERE: None}, False)


def test_what_nobody_names_any_more_is_forgotten() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    world.sent(f=_fault(500))
    world.told(Update(removed_listeners=("in",)))
    assert world.wanted == set()
    world.told(Update(listeners=_listener(_named())))
    assert world.faults == {}


def test_a_filter_still_changes_while_a_listener_without_it_waits() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    world.sent(f=_fault(500))
    world.told(Update(listeners=_listener(_named("g"))))
    assert (world.faults, set(world.known.kinds_accepted("f"))) == ({HERE: 500}, {FAULT, AUTHZ})
    world.sent(f=_fault(501))
    assert world.faults == {HERE: 501}


def test_a_filter_is_awaited_anew_when_its_listener_wants_another_type_of_it() -> None:
    for comes in (True, False):
        world = World()
        world.told(Update(listeners=_listener(_named(kinds=(FAULT,)))))
        world.sent(f=_fault(500))
        world.now += 1_000.0
        world.known.advance(world.now)
        world.told(Update(listeners=_listener(_named(kinds=(AUTHZ,)), address="127.0.0.1:81")))
        assert (world.faults, set(world.known.kinds_accepted("f"))) == ({HERE: 500}, {AUTHZ})
        if comes:
            world.sent(f=Extension(AUTHZ, None))
        else:
            assert world.rings()
            assert world.now == 1_115.0
        (listener,) = world.known.snapshot("v").listeners
        assert (listener.address, listener.filters is None) == ("127.0.0.1:81", comes), "a filter or nobody goes on"
        assert world.known.deadline() is None


def test_the_shortest_time_of_those_that_name_a_filter_counts_whoever_names_it_first() -> None:
    for times in ((0.0, 2.0), (2.0, 0.0)):
        world = World()
        for name, time_s in zip("ab", times, strict=True):
            (resource,) = _listener(_named(default=_fault(400), fetch_timeout_s=time_s)).values()
            world.told(Update(listeners={name: resource}))
        assert world.rings()
        assert (world.now, world.faults) == (102.0, {HERE: 400})


def test_nothing_waits_for_a_filter_of_a_listener_that_serves() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    world.sent(f=_fault(500))
    world.sent(f=ABSENT)
    assert (world.faults, world.known.deadline()) == ({HERE: None}, None)


def test_what_nobody_has_asked_for_changes_nothing() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    assert not world.sent(g=ABSENT)


def test_a_name_takes_what_all_its_listeners_accept() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named())))
    (second,) = _listener(_named(kinds=(FAULT,))).values()
    world.told(Update(listeners={"two": second}))
    assert world.known.kinds_accepted("f") == {FAULT}
    assert world.known.kinds_accepted("nobody's") == frozenset()


def test_a_filter_of_another_type_is_taken_live_where_its_listener_accepts_both() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(kinds=(FAULT, AUTHZ)))))
    world.sent(f=_fault(500))
    for _ in range(2):
        assert world.sent(f=Extension(AUTHZ, None))
        assert world.faults == {HERE: None}, "the fault is gone with its type"
        assert world.sent(f=_fault(501))
        assert world.faults == {HERE: 501}


def test_a_listener_goes_on_by_the_type_it_accepts_until_its_next_version_is_there() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(kinds=(FAULT,)))))
    world.sent(f=_fault(500))
    new = _listener(_named(kinds=(AUTHZ,)), address="127.0.0.1:81", rds="late")
    world.told(Update(listeners=new))
    world.sent(f=Extension(AUTHZ, None))
    (listener,) = world.known.snapshot("v").listeners
    assert (listener.address, listener.filters) == (HERE, Filters(Fault(abort_status=500))), "nobody is turned away"
    world.told(Update(tables={"late": RouteTable("late")}))
    (listener,) = world.known.snapshot("v").listeners
    assert (listener.address, listener.filters) == ("127.0.0.1:81", None)


def test_a_listener_that_is_changed_back_has_the_former_type_without_waiting() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(kinds=(FAULT,)))))
    world.sent(f=_fault(500))
    world.told(Update(listeners=_listener(_named(kinds=(AUTHZ,)), address="127.0.0.1:81", rds="late")))
    world.sent(f=Extension(AUTHZ, None))
    world.told(Update(listeners=_listener(_named(kinds=(FAULT,)), address="127.0.0.1:82")))
    assert world.faults == {"127.0.0.1:82": 500}


def test_a_former_type_is_forgotten_once_no_listener_needs_it() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(kinds=(FAULT, AUTHZ)))))
    world.sent(f=_fault(500))
    world.sent(f=Extension(AUTHZ, None))
    world.told(Update(listeners=_listener(_named(kinds=(FAULT,)), address="127.0.0.1:81")))
    assert HERE in world.faults, "a fault of long ago is no answer: the listener waits for a new one"
    world.sent(f=_fault(501))
    assert world.faults == {"127.0.0.1:81": 501}


def test_a_filter_that_is_taken_back_is_so_of_every_type() -> None:
    world = World()
    world.told(Update(listeners=_listener(_named(kinds=(FAULT,)))))
    world.sent(f=_fault(500))
    world.told(Update(listeners=_listener(_named(kinds=(AUTHZ,)), address="127.0.0.1:81", rds="late")))
    world.sent(f=Extension(AUTHZ, None))
    world.sent(f=ABSENT)
    (listener,) = world.known.snapshot("v").listeners
    assert listener.filters is not None and listener.filters.access, "without a configuration nobody goes on"
