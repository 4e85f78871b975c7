"""How a cluster chooses among its endpoints: policies, panic, localities, subsets."""

from __future__ import annotations

from dataclasses import replace

from eventmesh.model.cluster import Balancing, Cluster
from eventmesh.xds.schema.tree import Message

MAX_RING_SIZE = 8_388_608
"""Most points of a ring (Envoy's bound)."""
MAX_MAGLEV_TABLE_SIZE = 5_000_011
"""Most places of a Maglev table (Envoy's bound)."""
PANIC_PERCENT = 50.0
"""Envoy's healthy_panic_threshold where none is set."""

_POLICIES = {
    "ROUND_ROBIN": Balancing.ROUND_ROBIN,
    "LEAST_REQUEST": Balancing.LEAST_REQUEST,
    "RANDOM": Balancing.RANDOM,
    "RING_HASH": Balancing.RING_HASH,
    "MAGLEV": Balancing.MAGLEV,
}
_PACKAGE = "envoy.extensions.load_balancing_policies"
_EXTENSIONS = {
    f"{_PACKAGE}.round_robin.v3.RoundRobin": Balancing.ROUND_ROBIN,
    f"{_PACKAGE}.least_request.v3.LeastRequest": Balancing.LEAST_REQUEST,
    f"{_PACKAGE}.random.v3.Random": Balancing.RANDOM,
    f"{_PACKAGE}.ring_hash.v3.RingHash": Balancing.RING_HASH,
    f"{_PACKAGE}.maglev.v3.Maglev": Balancing.MAGLEV,
}


def with_balancing(cluster: Cluster, message: Message) -> Cluster:
    """Return `cluster` with the choice of endpoints that the `cluster.Cluster` asks for."""
    common = message.child("common_lb_config")
    threshold = common.child("healthy_panic_threshold") if common else None
    panic = threshold.decimal("value") if threshold else PANIC_PERCENT
    if threshold and not 0 <= panic <= 100:
        raise threshold.error("value", f"{panic} is out of range; accepted are 0 to 100")
    cluster = replace(
        cluster,
        panic_percent=panic,
        locality_weighted=common is not None and common.has("locality_weighted_lb_config"),
    )
    cluster = (
        _with_extension(cluster, message) if message.has("load_balancing_policy") else _with_word(cluster, message)
    )
    subsets = message.child("lb_subset_config")
    if subsets is None:
        return cluster
    if cluster.locality_weighted and not subsets.flag("locality_weight_aware"):
        raise subsets.error("locality_weight_aware", "must be true in a cluster that is weighted by locality")
    # Imported where it is asked for: see `translate.cluster`.
    from eventmesh.xds.translate.subsets import read_subsets

    return replace(cluster, subsets=read_subsets(subsets))


def _with_word(cluster: Cluster, message: Message) -> Cluster:
    word = message.text("lb_policy", "ROUND_ROBIN")
    if word not in _POLICIES:
        raise message.error("lb_policy", f"{word} is not supported; use {', '.join(_POLICIES)}")
    cluster = replace(cluster, balancing=_POLICIES[word])
    ring, maglev = message.child("ring_hash_lb_config"), message.child("maglev_lb_config")
    if ring is not None:
        cluster = _with_ring(cluster, ring)
    return _with_maglev(cluster, maglev) if maglev is not None else cluster


def _with_extension(cluster: Cluster, message: Message) -> Cluster:
    policy = message.child("load_balancing_policy")
    offered = policy.children("policies") if policy else ()
    configs = [config for one in offered if (outer := one.child("typed_extension_config"))
               and (config := outer.child("typed_config"))]  # fmt: skip
    known = [config for config in configs if config.schema.name in _EXTENSIONS]
    if not known:
        names = [config.schema.name for config in configs]
        raise message.error(
            "load_balancing_policy.policies", f"none of {names} is supported; {', '.join(_EXTENSIONS)} are"
        )
    config = known[0]
    cluster = replace(cluster, balancing=_EXTENSIONS[config.schema.name])
    match cluster.balancing:
        case Balancing.RING_HASH:
            if config.text("hash_function") == "MURMUR_HASH_2":
                raise config.error("hash_function", "MURMUR_HASH_2 is not supported; XX_HASH is")
            cluster, locality = _with_ring(cluster, config), config
        case Balancing.MAGLEV:
            cluster, locality = _with_maglev(cluster, config), config
        case _:
            locality = config.child("locality_lb_config") or message
    weighted = locality is not message and locality.has("locality_weighted_lb_config")
    return replace(cluster, locality_weighted=cluster.locality_weighted or weighted)


def _with_ring(cluster: Cluster, config: Message) -> Cluster:
    least = config.number("minimum_ring_size", cluster.min_ring_size)
    most = config.number("maximum_ring_size", cluster.max_ring_size)
    if not 0 < most <= MAX_RING_SIZE:
        raise config.error("maximum_ring_size", f"{most} is out of range; accepted are 1 to {MAX_RING_SIZE}")
    if not 0 < least <= most:
        raise config.error(
            "minimum_ring_size", f"{least} is out of range; accepted are 1 to maximum_ring_size ({most})"
        )
    return replace(cluster, min_ring_size=least, max_ring_size=most)


def _with_maglev(cluster: Cluster, config: Message) -> Cluster:
    size = config.number("table_size", cluster.maglev_table_size)
    if not 1 < size <= MAX_MAGLEV_TABLE_SIZE or not _is_prime(size):
        raise config.error("table_size", f"{size} is no prime number up to {MAX_MAGLEV_TABLE_SIZE}")
    return replace(cluster, maglev_table_size=size)


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))
