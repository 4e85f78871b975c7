"""The cache tells each role what has changed for it, and nothing else."""

from __future__ import annotations

import pytest

from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Changes
from tests.unit.xds.control.dialogue import CDS, EDS, resource

GATEWAY, SIDECAR = Audience(Role.GATEWAY), Audience(Role.SIDECAR, "ns")


def test_listeners_hear_which_names_are_new_changed_or_gone() -> None:
    cache, heard = SnapshotCache(), []
    cache.publish({GATEWAY: [resource(CDS, "same"), resource(CDS, "changed"), resource(CDS, "gone")]})
    cache.subscribe(GATEWAY, lambda configuration, changes: heard.append(changes))
    cache.publish({GATEWAY: [resource(CDS, "same"), resource(CDS, "changed", "2"), resource(CDS, "new")]})
    assert heard[0][CDS] == {"changed", "gone", "new"}


def test_a_type_that_is_not_given_stays_as_it_is() -> None:
    cache = SnapshotCache()
    cache.publish({GATEWAY: [resource(CDS, "c"), resource(EDS, "c")]})
    cache.update({GATEWAY: {EDS: {"c": resource(EDS, "c", "2")}}})
    current = cache.current(GATEWAY)
    assert current.of(CDS)["c"] == resource(CDS, "c")
    assert current.of(EDS)["c"] == resource(EDS, "c", "2")


def test_an_audience_hears_nothing_of_a_publication_that_changes_nothing_for_it() -> None:
    cache, heard = SnapshotCache(), list[Changes]()
    first = cache.publish({SIDECAR: [resource(CDS, "c")]})
    cache.subscribe(SIDECAR, lambda configuration, changes: heard.append(changes))
    cache.publish({GATEWAY: [resource(CDS, "c")], SIDECAR: [resource(CDS, "c")]})
    assert heard == []
    assert cache.current(SIDECAR).generation == first


def test_the_first_client_of_an_audience_is_told_what_was_built_before_it_came() -> None:
    built = {"c": resource(CDS, "c")}
    cache = SnapshotCache(lambda audience: {CDS: dict(built)} if audience == SIDECAR else {})
    generation = cache.update({})
    end = cache.subscribe(SIDECAR, lambda configuration, changes: None)
    assert cache.audiences() == [SIDECAR]
    assert cache.current(SIDECAR).of(CDS) == built
    assert cache.current(SIDECAR).generation == generation
    end()
    built["d"] = resource(CDS, "d")
    assert cache.audiences() == []
    assert cache.current(SIDECAR).of(CDS) == built


def test_a_name_twice_in_a_type_is_refused_and_nothing_published() -> None:
    cache = SnapshotCache()
    with pytest.raises(ValueError, match="cds resource 'c' appears twice"):
        cache.publish({GATEWAY: [resource(CDS, "c"), resource(CDS, "c", "2")]})
    assert cache.generation == 0


def test_who_unsubscribes_hears_no_more() -> None:
    cache, heard = SnapshotCache(), []
    cache.subscribe(GATEWAY, lambda configuration, changes: heard.append(changes))()
    cache.publish({GATEWAY: [resource(CDS, "c")]})
    assert heard == []
