"""What many streams are sent at once is kept once."""

from __future__ import annotations

import gc
import weakref

from eventmesh.xds.control.bundles import bundled, shared_names
from eventmesh.xds.control.resources import from_bytes
from eventmesh.xds.resource_types import ResourceType

RESOURCES = [from_bytes(ResourceType.CLUSTER, f"bundled-{number}", b"%d" % number) for number in range(5)]


def test_sets_of_names_are_the_same_object_for_all_who_mean_the_same() -> None:
    one, two = shared_names([one.name for one in RESOURCES]), shared_names({one.name for one in reversed(RESOURCES)})
    assert one is two


def test_whoever_sends_the_same_sends_the_same_object_with_the_same_bytes() -> None:
    one, two = bundled(RESOURCES, ["gone"]), bundled(list(RESOURCES), ("gone",))
    assert one is two and one.delta_fields is two.delta_fields and one.versions is two.versions
    assert bundled(RESOURCES) is not one and bundled(RESOURCES[:4], ["gone"]) is not one


def test_a_bundle_that_nobody_sends_any_more_is_gone() -> None:
    bundle = bundled(RESOURCES[:2])
    remembered = weakref.ref(bundle)
    del bundle
    gc.collect()
    assert remembered() is None


def test_removals_are_versions_that_nobody_holds() -> None:
    assert bundled(RESOURCES[:1], ["gone"]).versions == {RESOURCES[0].name: RESOURCES[0].version, "gone": None}
