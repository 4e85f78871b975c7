"""The protocols of whole frames, each as one value: what is done to one of them is done to all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import Filters
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core import test_bolt, test_dubbo, test_motan2
from tests.unit.core.declared import declaration
from tests.unit.core.playbook import Peer, Playbook

Call = Callable[[int, str, Mapping[str, str]], bytes]


@dataclass(frozen=True)
class Frames:
    """A protocol: how to write it, and what its errors are called."""

    name: str
    protocol: WireProtocol
    call: Call
    """A call of this id and method, with headers or attachments."""
    oneway: Callable[[int], bytes]
    """A call with a body that is not to be answered."""
    answer: Callable[[int], bytes]
    failure: Callable[[int], bytes]
    """An answer of a server that says that it has failed, or is busy."""
    id_of: Callable[[bytes], int]
    code: Callable[[bytes], int]
    """The code of an error of the mesh."""
    busy: int
    late: int
    forbidden: int
    configured: int
    declarations: tuple[Declaration, ...] = ()

    def cluster(self, name: str = "up", *addresses: str, **terms: object) -> Cluster:
        endpoints = tuple(map(Endpoint, addresses or ("10.0.0.1:1",)))
        declared = self.declarations[0].name if self.declarations else ""
        return Cluster(name, endpoints, protocol=self.protocol, declaration=declared, **terms)  # type: ignore[arg-type]

    def mesh(self, *clusters: Cluster, routes: tuple[Route, ...] = (), filters: Filters | None = None) -> Playbook:
        """Run what `config` describes."""
        return Playbook(self.config(*clusters, routes=routes, filters=filters))

    def config(
        self, *clusters: Cluster, routes: tuple[Route, ...] = (), filters: Filters | None = None, **listener: object
    ) -> Snapshot:
        """One listener; every route given, or all to the first cluster under `filters`."""
        clusters = clusters or (self.cluster(),)
        to_first = Route(RouteMatch(), Forward((WeightedCluster(clusters[0].name),)), name="all", filters=filters)
        host = VirtualHost("host", ("*",), routes or (to_first,))
        front = Listener("in", "", "t", self.protocol, self.declarations, access_log="log", **listener)  # type: ignore[arg-type]
        return Snapshot("1", (front,), (RouteTable("t", (host,)),), clusters)


def _bolt_call(id_: int, method: str, headers: Mapping[str, str]) -> bytes:
    pairs: dict[str, Any] = {"service": test_bolt.SERVICE, "sofa_head_method_name": method, **headers}
    return test_bolt.request(id_, **pairs)


def _dubbo_call(id_: int, method: str, headers: Mapping[str, str]) -> bytes:
    attachments: dict[str, Any] = dict(headers)
    return test_dubbo.call(id_, method=method, **attachments)


def _motan_call(id_: int, method: str, headers: Mapping[str, str]) -> bytes:
    return test_motan2.frame(id_, {"M_p": "com.weibo.User", "M_m": method, **headers})


def _motan_code(data: bytes) -> int:
    length = int.from_bytes(data[13:17], "big")
    code: int = json.loads(data[17 : 17 + length].decode().split("\n")[1])["errcode"]
    return code


FRAMES = (
    Frames(
        "bolt",
        WireProtocol.BOLT,
        _bolt_call,
        lambda id_: test_bolt.request(id_, b"a letter", kind=2),
        test_bolt.response,
        lambda id_: test_bolt.error(id_, 4),
        test_bolt.id_of,
        lambda data: int.from_bytes(data[10:12], "big"),
        busy=4,
        late=7,
        forbidden=1,
        configured=4,
    ),
    Frames(
        "dubbo",
        WireProtocol.DUBBO,
        _dubbo_call,
        lambda id_: test_dubbo.call(id_, flags=0x82, note="a letter"),
        test_dubbo.value,
        lambda id_: test_dubbo.error(id_, 100, "busy"),
        test_dubbo.id_of,
        lambda data: data[3],
        busy=100,
        late=31,
        forbidden=70,
        configured=70,
    ),
    Frames(
        "motan2",
        WireProtocol.FRAMED,
        _motan_call,
        lambda id_: test_motan2.frame(id_, test_motan2.META, b"a letter", kind=6),
        lambda id_: test_motan2.frame(id_, kind=1),
        lambda id_: test_motan2.frame(id_, {"M_e": "{}"}, kind=1, status=9),
        test_motan2.id_of,
        _motan_code,
        busy=10002,
        late=10003,
        forbidden=10001,
        configured=10001,
        declarations=(declaration("motan2"),),
    ),
)


def one_at_a_time(mesh: Playbook, frames: Frames, count: int, headers: Mapping[str, str] | None = None) -> list[str]:
    """Make calls one after the other, each answered; return who was asked."""
    servers: dict[str, Peer] = {}
    asked = []
    caller = mesh.connect()
    for id_ in range(count):
        caller.says(frames.call(id_, "find", headers or {}))
        if mesh.dials:
            fresh = mesh.dialled()
            servers[fresh.address] = fresh
        (server,) = (peer for peer in servers.values() if peer.heard)
        server.says(frames.answer(frames.id_of(server.takes())))
        assert caller.takes() == frames.answer(id_)
        asked.append(server.address)
    return asked
