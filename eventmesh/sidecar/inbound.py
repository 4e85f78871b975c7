"""Requests to the function: the listeners, routes and limits of Knative's queue-proxy contract.

Source: knative/serving, cmd/queue and pkg/queue. The compiled core does all of it per request; Python answers
Knative's own probes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, RouteMatch, TextKind
from eventmesh.model.route import (
    DirectResponse,
    Forward,
    HeaderEdits,
    Route,
    RouteTable,
    Serve,
    VirtualHost,
    WeightedCluster,
)
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Traffic
from eventmesh.sidecar.environment import Pod
from eventmesh.transport.address import InetAddress
from eventmesh.transport.exchange import Reply
from eventmesh.xds.client.inbound import OPEN

if TYPE_CHECKING:
    from eventmesh.core._core import Request

USER: Final = "user"
"""The cluster of the function; its load is what the autoscaler is told."""

KUBELET: Final = "user-kubelet"
"""The same function for the kubelet's probes, which are no load (UA `kube-probe/`)."""

PROBED: Final = "user-probe"
"""The same function for our own probes, at the probe's port."""

FRAME_PROTOCOLS: Final = frozenset((WireProtocol.BOLT, WireProtocol.DUBBO, WireProtocol.FRAMED))
"""Protocols of whole frames. A function that speaks one has a listener and a table for it, and no other."""

PROBE_TABLE: Final = "probe"
PROBE_HANDLER: Final = "network-probe"
STAT_HANDLER: Final = "stat"
DRAIN_HANDLER: Final = "wait-for-drain"

QUEUE_PORT: Final = 8012
H2C_PORT: Final = 8013
STAT_PORT: Final = 9090
ADMIN_PORT: Final = 8022
"""Knative's ports of a queue-proxy."""
BOLT_PORT: Final = 12200
DUBBO_PORT: Final = 20880
"""Defaults for a service of SOFABolt and of Dubbo: beside Knative's own port, which takes HTTP."""

PENDING_PER_SLOT: Final = 10
"""Requests that wait for each one a function takes at once (pkg/queue/breaker: queue depth 10 x concurrency)."""

_MAX_CONNECTIONS: Final = 65_535
"""To the function: one address and port have no more; what bounds it is its concurrency."""

_OWN_HEADERS: Final = HeaderEdits(remove=("knative-serving-revision", "knative-serving-namespace", "k-network-hash"))


def inbound(pod: Pod) -> Snapshot:
    """Return the listeners, routes and clusters that serve the function of `pod`."""
    return Snapshot(
        version="",
        listeners=_listeners(pod),
        route_tables=_tables(pod),
        clusters=(
            _user(pod, USER),
            _user(pod, KUBELET),
            Cluster(
                PROBED,
                (Endpoint(f"127.0.0.1:{pod.probe.port or pod.user_port}"),),
                protocol=WireProtocol.HTTP2 if pod.user_protocol is WireProtocol.HTTP2 else WireProtocol.HTTP1,
                idle_timeout_s=pod.probe.ready_period_s / 2,  # each probe asks on a connection of its own
            ),
        ),
    )


def takes_from_mesh(listener: str) -> bool:
    """Return whether the sidecar's listener of that name takes requests of the mesh, which may come under mTLS;
    Knative's statistics and hooks are asked by those who have no identity."""
    return listener.startswith("inbound")


def cluster_names() -> tuple[str, ...]:
    """Return the clusters that are dialled inside the pod's network namespace."""
    return USER, KUBELET, PROBED


def _listeners(pod: Pod) -> tuple[Listener, ...]:
    def at(name: str, port: int, table: str, protocol: WireProtocol, via: str = "") -> Listener:
        return Listener(
            name,
            str(InetAddress(pod.ip, port)),
            table,
            protocol=protocol,
            via=via,
            forwarded_header=bool(via),
            traffic=Traffic.INBOUND if table.startswith("inbound") else Traffic.NONE,
        )

    is_knative = pod.serving_port == QUEUE_PORT
    listeners = []
    if pod.user_protocol in (WireProtocol.BOLT, WireProtocol.DUBBO):
        listeners.append(at(frames_name(pod), frames_port(pod), frames_name(pod), pod.user_protocol))
    if is_knative or pod.user_protocol not in FRAME_PROTOCOLS:
        listeners.append(at("inbound", pod.serving_port, "inbound", WireProtocol.AUTO, via="sidecar"))
    if is_knative:
        # Callers choose the port by what they speak; both tell HTTP/1.1 and h2c apart by themselves.
        listeners.append(at("inbound-h2c", H2C_PORT, "inbound", WireProtocol.AUTO, via="sidecar"))
    # Outside Knative a pod may use these ports itself, and goes without.
    if pod.serving_port != STAT_PORT:
        listeners.append(at("stat", STAT_PORT, "stat", WireProtocol.HTTP1))
    if pod.serving_port != ADMIN_PORT:
        listeners.append(at("queue-admin", ADMIN_PORT, "queue-admin", WireProtocol.HTTP1))
    return tuple(listeners)


def frames_name(pod: Pod) -> str:
    """Return the name of the listener of a function that speaks a protocol of frames, and of its table."""
    return f"inbound-{pod.user_declaration or pod.user_protocol.value}"


def frames_port(pod: Pod) -> int:
    """Return where the pod takes requests of a protocol of frames."""
    if pod.serving_port != QUEUE_PORT:
        return pod.serving_port
    return {WireProtocol.BOLT: BOLT_PORT, WireProtocol.DUBBO: DUBBO_PORT}.get(pod.user_protocol, pod.user_port)


def declared(pod: Pod, declaration: Declaration) -> Listener:
    """Return the listener of a function that speaks this declared protocol."""
    name, address = frames_name(pod), str(InetAddress(pod.ip, frames_port(pod)))
    return Listener(
        name,
        address,
        name,
        protocol=WireProtocol.FRAMED,
        declarations=(declaration,),
        traffic=Traffic.INBOUND,
    )


def _user(pod: Pod, name: str) -> Cluster:
    return Cluster(
        name,
        (Endpoint(f"127.0.0.1:{pod.user_port}"),),
        protocol=pod.user_protocol,
        declaration=pod.user_declaration,
        max_connections=_MAX_CONNECTIONS,
        max_requests=0,
        max_requests_per_endpoint=pod.concurrency if name == USER else 0,
        # Without a limit of its own nothing waits here but for a connection to come up.
        max_pending=pod.concurrency * PENDING_PER_SLOT or _MAX_CONNECTIONS,
    )


def _tables(pod: Pod) -> tuple[RouteTable, ...]:
    anything = RouteMatch("/")
    to_user = Forward((WeightedCluster(USER),), timeout_s=pod.timeout_s, host_rewrite_header="k-original-host")
    to_user_unseen = Forward((WeightedCluster(KUBELET),), timeout_s=pod.timeout_s)
    default = Route(anything, to_user, name=USER, request_headers=_OWN_HEADERS)
    speaks_frames = pod.user_protocol in FRAME_PROTOCOLS
    if speaks_frames:
        spoken = pod.user_declaration or pod.user_protocol.value.capitalize()
        told = f"this function speaks {spoken}, on port {frames_port(pod)}\n"
        default = Route(anything, DirectResponse(502, told), name=USER)
    routes = (
        # Whether the function takes requests is no secret, and the activator that asks is nobody whom policies name.
        Route(
            _with_header("k-network-probe", TextKind.PRESENT),
            Serve(PROBE_HANDLER),
            name="network-probe",
            filters=OPEN,
        ),
        Route(_with_header("user-agent", TextKind.PREFIX, "kube-probe/"), to_user_unseen, name="kubelet"),
        default,
    )
    tables = [
        _table("inbound", *routes),
        _table("stat", Route(RouteMatch("/metrics"), Serve(STAT_HANDLER))),
        _table("queue-admin", Route(RouteMatch("/wait-for-drain"), Serve(DRAIN_HANDLER))),
        _table(PROBE_TABLE, Route(anything, Forward((WeightedCluster(PROBED),), timeout_s=pod.probe.timeout_s))),
    ]
    if speaks_frames:
        to_user = Forward((WeightedCluster(USER),), timeout_s=pod.timeout_s)
        tables.append(_table(frames_name(pod), Route(anything, to_user, name=USER)))
    return tuple(tables)


def _table(name: str, *routes: Route) -> RouteTable:
    return RouteTable(name, (VirtualHost(name, ("*",), routes),))


def _with_header(name: str, kind: TextKind, value: str = "") -> RouteMatch:
    return RouteMatch("/", headers=(HeaderMatch(name, kind, value),))


class NetworkProbe:
    """Answers requests with `K-Network-Probe` (knative/networking: pkg/http/header; serving: pkg/queue/health)."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    async def handle(self, request: Request) -> Reply:
        """Return 200 `queue` while the function takes requests, else 503; echo the hash of a `probe`; else 400."""
        headers = dict(request.headers)
        match headers.get("k-network-probe", ""):
            case "queue":
                return Reply.text(200, "queue") if self._is_ready() else Reply.text(503, "queue not ready\n")
            case "probe":
                mark = headers.get("k-network-hash", "")
                if not mark:
                    return Reply.text(400, "a probe must have a non-empty K-Network-Hash header\n")
                return Reply(200, (("k-network-hash", mark),))
            case other:
                return Reply.text(400, f"unexpected value of K-Network-Probe: {other!r}\n")
