"""What a data plane would do with a request, match by match.

Nothing is matched here: each host, path and header condition is put to the compiled core as a table of its own, so an
explanation cannot say anything else than what a data plane does. Tables are read from the bytes that are published,
by the code with which a data plane reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventmesh.core import Engine, actions
from eventmesh.model.match import HeaderMatch, RouteMatch
from eventmesh.model.route import DirectResponse, Forward, HeaderEdits, Redirect, Route, RouteTable, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.control.asked import Asked
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_assignment, read_cluster
from eventmesh.xds.translate.route import read_route_table

Sets = Mapping[ResourceType, Mapping[str, Resource]]
Explanation = dict[str, Any]

_PROBE = "probe"
_OK = 200


def explain(sets: Sets, table_name: str, asked: Asked) -> Explanation:
    """Return what clients that have been told `sets` do with a request that meets the table of that name, as JSON."""
    resource = sets[ResourceType.ROUTE][table_name]
    table = read_route_table(read_wire(type_of_url(ResourceType.ROUTE.value), resource.body, "", []), [])
    found: Explanation = {"table": table_name, "version": resource.version, "virtualHost": None, "routes": []}
    host = _virtual_host(table, asked)
    if host is None:
        return {**found, "outcome": {"status": 404, "why": f"no virtual host has the domain {asked.host}"}}
    found["virtualHost"] = {"name": host.name, "domains": list(host.domains)}
    for number, route in enumerate(host.routes):
        conditions = [_path_verdict(route.match, asked), *(_header_verdict(one, asked) for one in route.match.headers)]
        taken = all(condition["holds"] for condition in conditions)
        found["routes"].append({"number": number, "name": route.name, "conditions": conditions, "taken": taken})
        if taken:
            return {**found, "outcome": _outcome(host, route, sets)}
    return {**found, "outcome": {"status": 404, "why": f"no route of {host.name} matches"}}


def _virtual_host(table: RouteTable, asked: Asked) -> VirtualHost | None:
    hosts = table.virtual_hosts
    numbered = tuple(
        VirtualHost(host.name, host.domains, (Route(RouteMatch(), DirectResponse(_OK, str(number))),))
        for number, host in enumerate(hosts)
    )
    answer = _ask(RouteTable(_PROBE, numbered), asked)
    return hosts[int(answer)] if answer else None


def _path_verdict(match: RouteMatch, asked: Asked) -> dict[str, Any]:
    alone = RouteMatch(match.path, match.path_kind)
    return {"what": f"path {match.path_kind.value} {match.path}", "holds": _holds(alone, asked)}


def _header_verdict(condition: HeaderMatch, asked: Asked) -> dict[str, Any]:
    word = f"not {condition.kind.value}" if condition.invert else condition.kind.value
    what = f"header {condition.name} {word}" + (f" {condition.value!r}" if condition.value else "")
    return {"what": what, "holds": _holds(RouteMatch(headers=(condition,)), asked)}


def _holds(match: RouteMatch, asked: Asked) -> bool:
    host = VirtualHost(_PROBE, ("*",), (Route(match, DirectResponse(_OK, "yes")),))
    return bool(_ask(RouteTable(_PROBE, (host,)), asked))


def _ask(table: RouteTable, asked: Asked) -> str:
    """Return what the core answers by `table`; empty when it finds no route."""
    engine = Engine()
    engine.apply(Snapshot("1", route_tables=(table,)).to_core(), 0.0)
    _, orders = engine.send(table.name, asked.method, asked.host, asked.path, asked.headers, b"", 0.0)
    for order in orders:
        if order[0] == actions.DONE and order[2].status == _OK:
            return order[2].body.decode()
    return ""


def _outcome(host: VirtualHost, route: Route, sets: Sets) -> dict[str, Any]:
    edits = _edits(route.request_headers, host.request_headers)
    match route.action:
        case Forward() as forward:
            total = sum(share.weight for share in forward.clusters)
            return {
                "forward": [
                    {
                        "cluster": share.name,
                        "percent": round(100 * share.weight / total, 2) if total else 0,
                        "endpoints": endpoints_of(sets, share.name),
                        "requestHeaders": _edits(share.request_headers),
                    }
                    for share in forward.clusters
                ],
                "timeoutSeconds": forward.timeout_s,
                "hostRewrite": forward.host_rewrite,
                "prefixRewrite": forward.prefix_rewrite,
                "retries": forward.retry.max_retries if forward.retry is not None else 0,
                "requestHeaders": edits,
            }
        case Redirect() as redirect:
            location = {"scheme": redirect.scheme, "host": redirect.host, "path": redirect.path}
            return {"status": redirect.status, "redirect": {key: value for key, value in location.items() if value}}
        case DirectResponse() as answer:
            return {"status": answer.status, "why": "the route answers by itself"}
        case _:
            return {"why": "the data plane answers by itself"}


def endpoints_of(sets: Sets, cluster: str) -> list[str] | None:
    """Return the addresses of a cluster, as its clients are told them; None when they are told of no such cluster."""
    resource = sets[ResourceType.CLUSTER].get(cluster)
    if resource is None:
        return None
    known = read_cluster(read_wire(type_of_url(ResourceType.CLUSTER.value), resource.body, "", []), [])
    assigned = sets[ResourceType.ENDPOINT].get(known.eds_name)
    if assigned is None:
        return [endpoint.address for endpoint in known.cluster.endpoints]
    message = read_wire(type_of_url(ResourceType.ENDPOINT.value), assigned.body, "", [])
    return [endpoint.address for endpoint in read_assignment(message, dns=True)]


def _edits(*edits: HeaderEdits) -> dict[str, str]:
    return dict(pair for each in edits for pair in each.set)
