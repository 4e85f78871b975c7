"""The cache tells each role what has changed for it, and nothing else."""

from __future__ import annotations

import pytest

from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Changes
from tests.unit.xds.control.dialogue import CDS, EDS, resource


def test_listeners_hear_which_names_are_new_changed_or_gone() -> None:
    cache, heard = SnapshotCache(), []
    cache.publish({Role.GATEWAY: [resource(CDS, "same"), resource(CDS, "changed"), resource(CDS, "gone")]})
    cache.subscribe(Role.GATEWAY, lambda configuration, changes: heard.append(changes))
    cache.publish({Role.GATEWAY: [resource(CDS, "same"), resource(CDS, "changed", "2"), resource(CDS, "new")]})
    assert heard[0][CDS] == {"changed", "gone", "new"}


def test_a_type_that_is_not_given_stays_as_it_is() -> None:
    cache = SnapshotCache()
    cache.publish({Role.GATEWAY: [resource(CDS, "c"), resource(EDS, "c")]})
    cache.update({Role.GATEWAY: {EDS: {"c": resource(EDS, "c", "2")}}})
    current = cache.current(Role.GATEWAY)
    assert current.of(CDS)["c"] == resource(CDS, "c")
    assert current.of(EDS)["c"] == resource(EDS, "c", "2")


def test_every_role_is_brought_to_the_new_generation_even_if_nothing_changed_for_it() -> None:
    cache, heard = SnapshotCache(), list[tuple[int, Changes]]()
    cache.subscribe(Role.SIDECAR, lambda configuration, changes: heard.append((configuration.generation, changes)))
    generation = cache.publish({Role.GATEWAY: [resource(CDS, "c")]})
    assert heard == [(generation, {})]


def test_a_name_twice_in_a_type_is_refused_and_nothing_published() -> None:
    cache = SnapshotCache()
    with pytest.raises(ValueError, match="cds resource 'c' appears twice"):
        cache.publish({Role.GATEWAY: [resource(CDS, "c"), resource(CDS, "c", "2")]})
    assert cache.generation == 0


def test_who_unsubscribes_hears_no_more() -> None:
    cache, heard = SnapshotCache(), []
    cache.subscribe(Role.GATEWAY, lambda configuration, changes: heard.append(changes))()
    cache.publish({Role.GATEWAY: [resource(CDS, "c")]})
    assert heard == []
