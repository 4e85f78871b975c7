"""What a client holds is the same whether it is shared with others or its own."""

from __future__ import annotations

import random
from collections.abc import Mapping

from eventmesh.xds.control.bundles import bundled
from eventmesh.xds.control.holdings import Accepted, Holdings
from eventmesh.xds.control.resources import Resource, from_bytes
from eventmesh.xds.resource_types import ResourceType

NAMES = [f"n{i}" for i in range(12)]


def resource(name: str, content: int) -> Resource:
    return from_bytes(ResourceType.CLUSTER, name, b"%d" % content)


def acknowledge(held: Holdings, configured: Mapping[str, Resource], *sent: Resource) -> None:
    held.sending(bundled(sent))
    held.acknowledge(bundled(sent), configured)


def test_a_mapping_that_is_shared_holds_what_a_plain_one_would() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        configured = {name: resource(name, 0) for name in NAMES[: rng.randrange(1, 10)]}
        shared, plain = Accepted(), dict[str, Resource]()
        for step in range(60):
            name = rng.choice(NAMES)
            match rng.randrange(5):
                case 0:
                    after = dict(configured)
                    for changed in rng.sample(NAMES, 3):
                        if rng.random() < 0.3:
                            after.pop(changed, None)
                        else:
                            after[changed] = resource(changed, step)
                    differ = {one for one in NAMES if configured.get(one) is not after.get(one)}
                    shared.follow(after, differ)
                    configured = after
                case 1:
                    shared.drop(name)
                    plain.pop(name, None)
                case 2:
                    for one in configured.values():
                        shared.take(one)
                    plain.update(configured)
                    shared.adopt(configured)
                case _:
                    taken = configured.get(name) or resource(name, -step)
                    shared.take(taken)
                    plain[name] = taken
            assert dict(shared) == plain and len(shared) == len(plain), (seed, step)


def test_a_client_that_holds_what_it_shall_keeps_nothing_of_its_own() -> None:
    configured = {name: resource(name, 1) for name in NAMES}
    held = Holdings()
    acknowledge(held, configured, *configured.values())
    assert held.accepted.own == 0 and held.names() == set(NAMES)
    after = {**configured, "n0": resource("n0", 2)}
    held.accepted.follow(after, {"n0"})
    assert held.accepted.own == 1 and held.version("n0") == configured["n0"].version
    changed = bundled([after["n0"]])
    held.sending(changed)
    assert held.version("n0") == after["n0"].version and held.accepted["n0"] is configured["n0"]
    held.acknowledge(changed, after)
    assert held.accepted.own == 0


def test_what_is_refused_leaves_what_was_there() -> None:
    configured = {"a": resource("a", 1)}
    held = Holdings()
    acknowledge(held, configured, *configured.values())
    held.sending(bundled([resource("a", 2), resource("b", 1)]))
    held.refuse()
    assert held.version("a") == configured["a"].version and not held.holds("b")


def test_what_is_dropped_while_it_is_under_way_is_not_held_and_others_hear_nothing_of_it() -> None:
    configured = {name: resource(name, 1) for name in NAMES}
    one, other = Holdings(), Holdings()
    for held in (one, other):
        held.sending(bundled(configured.values()))
    one.forget({"n0", "n1"})
    assert one.names() == set(NAMES) - {"n0", "n1"} and other.names() == set(NAMES)


def test_what_a_client_has_brought_along_is_known_by_its_version() -> None:
    configured = {name: resource(name, 1) for name in NAMES}
    held = Holdings()
    held.brought({name: one.version for name, one in configured.items()} | {"old": "gone"}, configured)
    assert held.accepted.own == 0 and held.version("old") == "gone"
    removal = bundled((), ["old"])
    held.sending(removal)
    held.acknowledge(removal, configured)
    assert not held.holds("old") and len(held.names()) == len(NAMES)
