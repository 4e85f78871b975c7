"""A call that is passed on as it lies is answered, counted and ended as one that all stages look at. Virtual time.

An access log is one thing that makes every stage look: one engine has it, its twin has not, and both are told the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.policy import RetryOn, RetryPolicy
from eventmesh.model.route import Forward, Route, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.frames import FRAMES, Frames
from tests.unit.core.playbook import Peer, Playbook

each = pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)


def route(cluster: str, match: RouteMatch | None = None, **terms: Any) -> Route:
    return Route(match or RouteMatch(), Forward((WeightedCluster(cluster),), **terms))


KEEP = RouteMatch(".*/keep", PathKind.REGEX)
MARKED = RouteMatch(headers=(HeaderMatch("k-proxy-request", TextKind.PRESENT),))
ROUTES: tuple[tuple[Route, ...], ...] = (
    (),
    # One that is told by its path, and asks nothing; one that must be looked at.
    (route("kept", KEEP, timeout_s=3.0), route("up")),
    # Each call must be looked at.
    (route("kept", MARKED), route("up", KEEP, retry=RetryPolicy(on=(RetryOn.CONNECT_FAILURE,))), route("up")),
)

LIMITS: tuple[dict[str, int], ...] = ({}, {}, {"max_requests": 6}, {"max_requests_per_endpoint": 3, "max_pending": 4})
"""Of the first cluster: many callers together have more calls than some of these allow."""


def without_log(config: Snapshot) -> Snapshot:
    return replace(config, listeners=tuple(replace(listener, access_log="") for listener in config.listeners))


class Twins:
    """Two engines that are told the same: one looks at every call, the other passes on what is plain."""

    def __init__(self, frames: Frames, config: Snapshot, seed: int) -> None:
        self.frames = frames
        self.random = random.Random(seed)
        self.meshes = Playbook(config, seed), Playbook(without_log(config), seed)
        self.configs = [config, replace(config, version="2", clusters=self._grown(config.clusters))]
        self.callers: list[int] = []
        self.pending: list[tuple[int, int]] = []
        """Server and id of each call that it has not answered."""
        self.next_id = 0

    def _grown(self, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        first, *others = clusters
        return replace(first, endpoints=(*first.endpoints, Endpoint("10.0.0.9:9"))), *others

    def tell(self, what: Callable[[Playbook], object]) -> None:
        """Do the same to both, and hold what each has ordered against the other."""
        for mesh in self.meshes:
            mesh.log.clear()
            what(mesh)
        looked, passed = (mesh.log for mesh in self.meshes)
        assert looked == passed

    def says(self, conn: int, data: bytes) -> None:
        """Let a peer say something in two pieces."""
        cut = self.random.randrange(len(data) + 1)
        for piece in (data[:cut], data[cut:]):
            self.tell(lambda mesh, piece=piece: mesh.peers[conn].says(piece) if piece else None)  # type: ignore[misc]

    def calls(self) -> None:
        """A caller sends some calls at once; a few are oneway."""
        data = b""
        for _ in range(self.random.randrange(1, 9)):
            self.next_id += 1
            # Methods of one length: whoever hears them knows where each ends.
            method = self.random.choice(("find", "sell", "keep"))
            proxied = {"k-proxy-request": "activator"} if self.random.random() < 0.05 else {}
            oneway = self.random.random() < 0.1
            data += self.frames.oneway(self.next_id) if oneway else self.frames.call(self.next_id, method, proxied)
        self.says(self.random.choice(self.callers), data)

    def hears(self) -> None:
        """Read what servers were sent, a frame at a time as the protocol's own id says."""
        for conn, peer in self.meshes[0].peers.items():
            if peer.address == "client":
                continue
            heard = [mesh.peers[conn].takes() for mesh in self.meshes]
            assert heard[0] == heard[1]
            sample = self.frames.call(0, "find", {})
            if len(heard[0]) % len(sample) == 0:
                frames = [heard[0][at : at + len(sample)] for at in range(0, len(heard[0]), len(sample))]
                self.pending += [(conn, self.frames.id_of(frame)) for frame in frames]

    def answers(self) -> None:
        """A server answers some of what it was asked, in any order."""
        if not self.pending:
            return
        conn, _ = self.random.choice(self.pending)
        mine = [one for one in self.pending if one[0] == conn]
        answered = self.random.sample(mine, self.random.randrange(1, min(len(mine), 4) + 1))
        self.pending = [one for one in self.pending if one not in answered]
        kinds = (self.frames.answer, self.frames.answer, self.frames.failure)
        data = b"".join(self.random.choice(kinds)(id_) for _, id_ in answered)
        if self._lives(self.meshes[0].peers[conn]):
            self.says(conn, data)

    def step(self) -> None:
        """One thing happens."""
        roll = self.random.random()
        peers = [conn for conn, peer in self.meshes[0].peers.items() if self._lives(peer)]
        one = self.random.choice(peers) if peers else None
        if roll < 0.1 or not self.callers:
            self.tell(lambda mesh: mesh.connect())
            self.callers = [conn for conn in peers if self.meshes[0].peers[conn].address == "client"]
        elif roll < 0.5:
            self.calls()
        elif roll < 0.8:
            self.answers()
        elif roll < 0.86:
            seconds = self.random.choice((0.001, 1.0, 6.0))
            self.tell(lambda mesh: mesh.passes(seconds))
        elif roll < 0.92 and one is not None:
            yes = self.random.random() < 0.6
            self.tell(lambda mesh: mesh.peers[one].is_writable(yes, 0 if yes else 500_000))
        elif roll < 0.95:
            config = self.random.choice(self.configs)
            for mesh, form in zip(self.meshes, (config, without_log(config)), strict=True):
                mesh.apply(form)
        elif one is not None:
            end = self.random.choice((Peer.vanishes, Peer.half_closes))
            self.tell(lambda mesh: end(mesh.peers[one]))
            self.forget(one)
        while self.meshes[0].dials:
            self.tell(lambda mesh: mesh.dialled())
        self.hears()
        for conn in list(self.callers):
            if not self._lives(self.meshes[0].peers[conn]):
                self.forget(conn)

    def _lives(self, peer: Peer) -> bool:
        return not {"close", "abort"} & set(peer.events)

    def forget(self, conn: int) -> None:
        for mesh in self.meshes:
            mesh.peers[conn].events.append("abort")
        self.callers = [caller for caller in self.callers if caller != conn]
        self.pending = [one for one in self.pending if one[0] != conn]

    def stats(self) -> list[object]:
        """What each has counted. Sums to a microsecond: what is added at once may differ from what is added singly."""
        both = [json.loads(mesh.engine.stats()) for mesh in self.meshes]
        for stats in both:
            for histogram in stats["histograms"]:
                histogram[3] = round(histogram[3], 3)
        return both


@each
@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_both_order_and_count_the_same(frames: Frames, seed: int) -> None:
    addresses = ("10.0.0.1:1", "10.0.0.2:2")[: 1 + seed % 2]
    clusters = frames.cluster("up", *addresses, **LIMITS[seed % 4]), frames.cluster("kept", "10.0.0.3:3")
    twins = Twins(frames, frames.config(*clusters, routes=ROUTES[seed % 3]), seed)
    for _ in range(150):
        twins.step()
    looked, passed = twins.stats()
    assert looked == passed
    twins.tell(lambda mesh: mesh.do(mesh.engine.drain(mesh.now)))
    twins.tell(lambda mesh: mesh.passes(60.0))
    looked, passed = twins.stats()
    assert looked == passed
    assert [mesh.engine.active() for mesh in twins.meshes] == [0, 0]
