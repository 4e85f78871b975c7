"""How clusters and their endpoints fare, in the two forms of Envoy's `/clusters` (`envoy.admin.v3.Clusters`).

What one engine tells, and what several that serve the same listeners tell together. Imported when somebody asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from eventmesh.dataplane.envoy_address import address_document
from eventmesh.model.snapshot import Snapshot

_JSON_FLAGS: Final = {"failed_active_hc": "failed_active_health_check", "failed_outlier_check": "failed_outlier_check"}
"""Flags by their names in the document; that of the configuration is `eds_health_status`."""

_UNKNOWN_RATE: Final = -1.0

Statuses = list[dict[str, Any]]
"""As `Engine.cluster_statuses` gives them."""


def together(parts: Iterable[bytes]) -> Statuses:
    """Return what several engines tell, as if it were one: counts are sums, and of what each judges by itself the worst
    is told: a flag that one has set, the lowest rate."""
    clusters: dict[str, dict[str, Any]] = {}
    for part in parts:
        for row in json.loads(part):
            if (known := clusters.setdefault(row["name"], row)) is not row:
                _add(known, row)
    return list(clusters.values())


def to_text(clusters: Statuses, snapshot: Snapshot) -> str:
    """Return a line `cluster::name::value` or `cluster::address::name::value` for each thing that is known.

    `snapshot` is the configuration in force, with the limits of all engines together.
    """
    thresholds = _thresholds(snapshot)
    lines = (line for cluster in clusters for line in _lines(cluster, thresholds.get(cluster["name"], {})))
    return "".join(f"{line}\n" for line in lines)


def to_document(clusters: Statuses, snapshot: Snapshot) -> dict[str, object]:
    """Return the same as an `envoy.admin.v3.Clusters`; fields that have their default value are left out, as there."""
    thresholds = _thresholds(snapshot)
    rows = [_cluster_status(cluster, thresholds.get(cluster["name"], {})) for cluster in clusters]
    return {"cluster_statuses": rows} if rows else {}


def _thresholds(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    return {
        cluster.name: {
            "max_connections": cluster.max_connections,
            "max_pending_requests": cluster.max_pending,
            "max_requests": cluster.max_requests,
            "max_retries": cluster.max_retries,
        }
        for cluster in snapshot.clusters
    }


def _add(known: dict[str, Any], other: dict[str, Any]) -> None:
    for rate in ("success_rate_average", "success_rate_threshold"):
        known[rate] = _lower(known[rate], other[rate])
    endpoints = {endpoint["address"]: endpoint for endpoint in known["endpoints"]}
    for endpoint in other["endpoints"]:
        # One engine may be a configuration ahead of another for a moment.
        if (same := endpoints.get(endpoint["address"])) is None:
            known["endpoints"].append(endpoint)
            continue
        for kind in ("counters", "gauges"):
            same[kind] = {name: value + endpoint[kind][name] for name, value in same[kind].items()}
        same["flags"] += [flag for flag in endpoint["flags"] if flag not in same["flags"]]
        same["success_rate"] = _lower(same["success_rate"], endpoint["success_rate"])


def _lower(one: float | None, other: float | None) -> float | None:
    return min((rate for rate in (one, other) if rate is not None), default=None)


def _lines(cluster: dict[str, Any], thresholds: dict[str, int]) -> Iterator[str]:
    name = cluster["name"]
    yield f"{name}::observability_name::{name}"
    if cluster["judges"]:
        yield f"{name}::outlier::success_rate_average::{_rate(cluster['success_rate_average'])}"
        yield f"{name}::outlier::success_rate_ejection_threshold::{_rate(cluster['success_rate_threshold'])}"
    for limit, value in thresholds.items():
        yield f"{name}::default_priority::{limit}::{value}"
    for endpoint in cluster["endpoints"]:
        facts = sorted((endpoint["counters"] | endpoint["gauges"]).items())
        facts += [("health_flags", "".join(f"/{flag}" for flag in endpoint["flags"]) or "healthy")]
        facts += [("weight", endpoint["weight"]), *_place(endpoint).items()]
        facts += [("canary", str(endpoint["canary"]).lower()), ("priority", endpoint["priority"])]
        facts += [("success_rate", _rate(endpoint["success_rate"]))]
        yield from (f"{name}::{_spelt(endpoint['address'])}::{fact}::{value}" for fact, value in facts)


def _cluster_status(cluster: dict[str, Any], thresholds: dict[str, int]) -> dict[str, object]:
    status: dict[str, object] = {"name": cluster["name"], "observability_name": cluster["name"]}
    if (threshold := cluster["success_rate_threshold"]) is not None:
        status["success_rate_ejection_threshold"] = {"value": threshold}
    if thresholds:
        status["circuit_breakers"] = {"thresholds": [thresholds]}
    if cluster["endpoints"]:
        status["host_statuses"] = [_host_status(endpoint) for endpoint in cluster["endpoints"]]
    return status


def _host_status(endpoint: dict[str, Any]) -> dict[str, object]:
    flags = endpoint["flags"]
    health: dict[str, object] = {_JSON_FLAGS[flag]: True for flag in flags if flag in _JSON_FLAGS}
    health["eds_health_status"] = "UNHEALTHY" if "failed_eds_health" in flags else "HEALTHY"
    status: dict[str, object] = {
        "address": address_document(endpoint["address"]),
        "stats": [
            *(_stat({"name": name}, value) for name, value in endpoint["counters"].items()),
            *(_stat({"type": "GAUGE", "name": name}, value) for name, value in endpoint["gauges"].items()),
        ],
        "health_status": health,
        "weight": endpoint["weight"],
        "locality": {part: text for part, text in _place(endpoint).items() if text},
    }
    if endpoint["priority"]:
        status["priority"] = endpoint["priority"]
    if endpoint["success_rate"] is not None:
        status["success_rate"] = {"value": endpoint["success_rate"]}
    return status


def _stat(stat: dict[str, str], value: int) -> dict[str, str]:
    # 64 bits are text in JSON (protobuf's JSON mapping).
    return stat | {"value": str(value)} if value else stat


def _place(endpoint: dict[str, Any]) -> dict[str, str]:
    region, _, rest = endpoint["locality"].partition("/")
    zone, _, sub_zone = rest.partition("/")
    return {"region": region, "zone": zone, "sub_zone": sub_zone}


def _rate(rate: float | None) -> str:
    return f"{_UNKNOWN_RATE if rate is None else rate:g}"


def _spelt(address: str) -> str:
    return address.removeprefix("unix:")
