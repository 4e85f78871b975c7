"""A sharded mapping holds what a plain one would, and shares what has not changed."""

from __future__ import annotations

import random

from eventmesh.xds.control.resources import Resource, from_bytes
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.control.snapshot_cache import differences
from eventmesh.xds.resource_types import ResourceType

NAMES = [f"ns/svc-{number}:80" for number in range(400)]


def resource(name: str, content: int) -> Resource:
    return from_bytes(ResourceType.ENDPOINT, name, b"%d" % content)


def test_versions_hold_what_plain_mappings_would_and_differ_where_those_do() -> None:
    rng = random.Random(7)
    plain = {name: resource(name, 0) for name in NAMES[:200]}
    sharded = Sharded(plain)
    for step in range(1, 60):
        put = {name: resource(name, rng.choice((0, step))) for name in rng.sample(NAMES, 5)}
        dropped = [name for name in rng.sample(NAMES, 5) if name not in put]
        before, old = sharded, plain
        plain = {name: one for name, one in {**plain, **put}.items() if name not in dropped}
        sharded = sharded.replaced(put, dropped)
        assert dict(sharded) == plain and len(sharded) == len(plain), step
        assert differences(before, sharded) == differences(old, plain), step
        assert dict(before) == old, step


def test_a_name_that_is_not_there_is_none_and_not_in_it() -> None:
    sharded = Sharded({NAMES[0]: resource(NAMES[0], 1)})
    assert sharded.get(NAMES[1]) is None and NAMES[1] not in sharded and NAMES[0] in sharded
    assert sharded.get(NAMES[1], sharded[NAMES[0]]) is sharded[NAMES[0]]
