"""What the parts of one control stand on, made once and handed to each."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api
from eventmesh.kube.informer import Informers
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.in_force import InForce
from eventmesh.xds.control.listeners import LISTENED_TABLES
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.control.refusals import ClusterRefusals
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.issuer import Identities


class Ground:
    """From objects to data planes and back: what was seen, what is in force, what was built, who has taken it."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, settings: Settings, identities: Identities | None
    ) -> None:
        self.api = api
        self.informers = informers
        self.clock = clock
        self.settings = settings
        self.identities = identities
        self.metrics = Metrics()
        self.watcher = Watcher()
        self.in_force = InForce(self.watcher)
        self.mtls = MeshMtls(identities) if identities is not None else None
        self.builder = ResourceBuilder(settings, self.in_force.world, self.mtls)
        self.cache = SnapshotCache(self.builder.sets)
        self.acks = AckTracker(clock, lambda role: LISTENED_TABLES.get(role, frozenset()))
        self.refusals = ClusterRefusals(self.builder.referrers)
