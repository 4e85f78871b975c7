"""What a sidecar is told, and what a change costs, as the mesh grows: `python -m benchmarks scope`.

Ten functions a namespace. The sidecars of one namespace are compared with a client that hears of everything. Then
all functions stand in one namespace, with fifty sidecars whose pods differ in their labels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.report import limit_bar
from eventmesh.kube.api import Object
from eventmesh.xds.control.builder import ResourceBuilder, ResourceSets
from eventmesh.xds.control.changes import Changed
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.objects import INGRESS_CLASS
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher

Take = Callable[[Object | None, Object | None], object]
"""A method of the watcher."""

FUNCTIONS = (100, 1_000, 5_000)
GROWTH_BAR = 1.2
PER_NAMESPACE = 10
CHANGES = 20
LARGE = (100, 1_000)
"""Functions in one namespace."""
SIDECARS = 50


def run(_: argparse.Namespace) -> bool:
    """Print a row for each size of mesh; nothing here can fail."""
    sys.stdout.write("\nscope: what one sidecar is told, and what a change of one function costs control\n")
    heads = ("functions", "everything", "one namespace", "change: sent to its sidecars", "to others")
    cost = ("a new route", "an endpoint")
    sys.stdout.write(f"{heads[0]:>9}  {heads[1]:>24}  {heads[2]:>22}  {heads[3]:>28}  {heads[4]:>9}")
    sys.stdout.write(f"  {cost[0]:>11}  {cost[1]:>11}\n")
    rows = [_row(functions) for functions in FUNCTIONS]
    for what, (least, most) in zip(cost, zip(rows[0], rows[-1], strict=True), strict=True):
        many, few = f"{what} with {FUNCTIONS[-1]} functions", f"x with {FUNCTIONS[0]}"
        sys.stdout.write(f"{limit_bar(many, most / least, GROWTH_BAR, few)}\n")
    sys.stdout.write(f"\none namespace with {SIDECARS} sidecars: processor time of control\n")
    moved = [_large(functions) for functions in LARGE]
    many, few = f"an endpoint in a namespace of {LARGE[-1]} functions", f"x in one of {LARGE[0]}"
    sys.stdout.write(f"{limit_bar(many, moved[-1] / moved[0], GROWTH_BAR, few)}\n")
    return False


def _large(functions: int) -> float:
    """Print what one namespace of this size costs; return the seconds of a moved endpoint."""
    watcher = Watcher()
    for number in range(functions):
        for take, obj in _function(watcher, number, functions):
            take(None, obj)
    builder = ResourceBuilder(Settings())
    cache = SnapshotCache(builder.sets)
    builder.update(watcher.of, watcher.take_changed())
    labels = (frozenset((("app", f"svc-{number}"),)) for number in range(SIDECARS))
    audiences = [Audience(Role.GATEWAY), *(Audience(Role.SIDECAR, "team-0", labels=one) for one in labels)]
    began = time.process_time()
    for audience in audiences:
        cache.subscribe(audience, lambda configuration, changes: None)
    came = (time.process_time() - began) / len(audiences)

    def publish(changed: Changed) -> None:
        builder.update(watcher.of, changed)
        cache.update({audience: builder.sets(audience) for audience in filter(builder.affects, cache.audiences())})

    took: dict[str, list[float]] = {"an endpoint": [], "a new route": []}
    for change in range(CHANGES):
        began = time.process_time()
        watcher.slice(None, _pod("team-0", "svc-1-1", f"10.255.255.{change}"))
        publish(watcher.take_touched())
        took["an endpoint"].append(time.process_time() - began)
        began = time.process_time()
        watcher.ingress(None, _ingress("team-0", "changed", "svc-1-1", f"host-{change}.test"))
        publish(watcher.take_changed())
        took["a new route"].append(time.process_time() - began)
    costs = {"a sidecar's first configuration": came} | {what: statistics.median(all_) for what, all_ in took.items()}
    sys.stdout.write(f"{functions:>9} functions:")
    sys.stdout.write(",".join(f"  {what} {seconds * 1000:.2f} ms" for what, seconds in costs.items()) + "\n")
    return costs["an endpoint"]


def _row(functions: int) -> tuple[float, float]:
    """Print what a mesh of this size costs; return the seconds of a new route and of a moved endpoint."""
    watcher = Watcher()
    for number in range(functions):
        for take, obj in _function(watcher, number):
            take(None, obj)
    builder = ResourceBuilder(Settings())
    cache = SnapshotCache(builder.sets)
    builder.update(watcher.of, watcher.take_changed())
    own, other = Audience(Role.SIDECAR, "team-1"), Audience(Role.SIDECAR, "team-2")
    sent = dict.fromkeys((own, other), 0)
    for audience in (Audience(Role.GATEWAY), own, other):
        cache.subscribe(audience, lambda configuration, changes: None)
    took, moved = [], []
    for change in range(CHANGES):
        watcher.ingress(None, _ingress("team-1", "changed", f"svc-{PER_NAMESPACE}-1", f"host-{change}.test"))
        before = {audience: cache.current(audience) for audience in sent}
        began = time.perf_counter()
        builder.update(watcher.of, watcher.take_changed())
        concerned = filter(builder.affects, cache.audiences())
        cache.update({audience: builder.sets(audience) for audience in concerned})
        took.append(time.perf_counter() - began)
        watcher.slice(None, _pod("team-1", f"svc-{PER_NAMESPACE}-1", f"10.255.255.{change}"))
        began = time.perf_counter()
        builder.update(watcher.of, watcher.take_touched())
        cache.update({audience: builder.sets(audience) for audience in filter(builder.affects, cache.audiences())})
        moved.append(time.perf_counter() - began)
        for audience, known in before.items():
            now = cache.current(audience)
            sent[audience] = sum(
                len(resource.delta_field)
                for type_, named in now.resources.items()
                for name, resource in named.items()
                if known.of(type_).get(name) != resource
            )
    everything, scoped = _size(builder.sets(Audience(Role.SIDECAR))), _size(builder.sets(own))
    sys.stdout.write(
        f"{functions:>9}  {everything:>24}  {scoped:>22}  {sent[own]:>26} B  {sent[other]:>7} B"
        f"  {statistics.median(took) * 1000:>8.2f} ms  {statistics.median(moved) * 1000:>8.2f} ms\n"
    )
    return statistics.median(took), statistics.median(moved)


def _size(sets: ResourceSets) -> str:
    bodies = [len(resource.delta_field) for named in sets.values() for resource in named.values()]
    return f"{len(bodies)} in {sum(bodies) / 1000:.1f} kB"


def _function(watcher: Watcher, number: int, per_namespace: int = PER_NAMESPACE) -> list[tuple[Take, Object]]:
    """Return what a function leaves behind for control: a KIngress, a ServerlessService, Services and a pod."""
    namespace, name = f"team-{number // per_namespace}", f"svc-{number}"
    revision = f"{name}-1"
    label = {"networking.internal.knative.dev/serverlessservice": revision}
    ports = {"ports": [{"name": "http", "port": 80}]}
    pod = _pod(namespace, revision, f"10.{number // 65_025}.{number // 255 % 255}.{number % 255}")
    serverless = {"metadata": {"name": revision, "namespace": namespace}, "spec": {"mode": "Serve"}}
    return [
        (watcher.ingress, _ingress(namespace, name, revision, f"{name}.{namespace}.example.com")),
        (watcher.serverless, serverless),
        (watcher.service, {"metadata": {"name": revision, "namespace": namespace, "labels": label}, "spec": ports}),
        (watcher.slice, pod),
    ]


def _pod(namespace: str, revision: str, address: str) -> Object:
    labels = {
        "networking.internal.knative.dev/serverlessservice": revision,
        "networking.internal.knative.dev/serviceType": "Private",
        "kubernetes.io/service-name": f"{revision}-private",
    }
    return {
        "metadata": {"name": f"{revision}-0", "namespace": namespace, "labels": labels},
        "ports": [{"name": "http", "port": 8012}],
        "endpoints": [{"addresses": [address]}],
    }


def _ingress(namespace: str, name: str, revision: str, host: str) -> Object:
    split = {"serviceNamespace": namespace, "serviceName": revision, "servicePort": 80, "percent": 100}
    headers = {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": revision}
    paths = [{"splits": [{**split, "appendHeaders": headers}]}]
    hosts = ((host, "ExternalIP"), (f"{name}.{namespace}.svc.cluster.local", "ClusterLocal"))
    annotations = {"networking.knative.dev/ingress-class": INGRESS_CLASS}
    return {
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"rules": [{"hosts": [one], "visibility": seen, "http": {"paths": paths}} for one, seen in hosts]},
    }
