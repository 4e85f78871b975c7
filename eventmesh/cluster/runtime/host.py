"""What all pods of one mesh share."""

from __future__ import annotations

from pathlib import Path

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.commands import SidecarBootstrap
from eventmesh.cluster.runtime.environment import References
from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.networks import NetworkStock
from eventmesh.cluster.runtime.notify import NotifySockets
from eventmesh.cluster.runtime.process import ProcessLauncher
from eventmesh.cluster.runtime.ready_groups import ReadyGroups
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder


@frozen
class Host:
    """The machine and the mesh, as each pod's worker sees them."""

    api: Api
    clock: Clock
    launcher: ProcessLauncher
    networks: NetworkStock
    addresses: PodAddresses
    images: ImageStore
    notify: NotifySockets
    references: References
    recorder: EventRecorder
    bootstrap: SidecarBootstrap
    directory: Path
    """Logs and bootstraps, one folder a pod."""
    network_note: str
    """Why pods cannot have networks of their own here; empty when they can."""
    groups: ControlGroups
    ready_groups: ReadyGroups
