"""What a pod's containers share, from before the first starts until the last has ended: its address, its network
namespace, the socket of its readiness. Kubernetes' runtimes call it the pod's sandbox.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.adoption import LeftPod, Mark
from eventmesh.cluster.runtime.commands import Place
from eventmesh.cluster.runtime.host import Host
from eventmesh.cluster.runtime.network import free_port
from eventmesh.cluster.runtime.process import Keep, Network
from eventmesh.kube.api import Object
from eventmesh.kube.injection import has_sidecar


class PodSandbox:
    """The sandbox of one pod."""

    def __init__(self, host: Host, pod: Object) -> None:
        self._host = host
        self._pod = pod
        self._uid: str = pod["metadata"]["uid"]
        self._place: Place | None = None
        self.notify = ""
        """The path for NOTIFY_SOCKET; empty without a sidecar."""

    @property
    def place(self) -> Place:
        """Return where the pod lives; only after `open` or `adopt`."""
        assert self._place is not None  # noqa: S101 - nothing of a pod starts before
        return self._place

    async def open(self, on_ready: Callable[[bool], None]) -> None:
        """Take an address and a namespace; `on_ready` is called when the sidecar tells the pod's readiness.

        Raises UnavailableError when either is not to be had now.
        """
        host, port = self._host, podspec.user_port(self._pod)
        network = None
        if has_sidecar(self._pod) and host.network_note:
            port = podspec.UserPort(free_port(), port.protocol)
        elif has_sidecar(self._pod):
            network = await host.networks.take()
        try:
            address = host.addresses.take()
        except UnavailableError:
            await self._drop(network)
            raise
        self._place = Place(address, port, network)
        if has_sidecar(self._pod):
            self.notify = host.notify.open(self._uid, on_ready)

    def adopt(self, left: LeftPod, on_ready: Callable[[bool], None]) -> None:
        """Take over the one that an earlier runtime has left, instead of `open`."""
        mark, host = left.mark, self._host
        sidecar = left.processes.get(podspec.SIDECAR)
        if sidecar is not None:
            told = socket.socket(fileno=sidecar.descriptors[-1])
            self.notify = host.notify.adopt(self._uid, told, on_ready)
        elif has_sidecar(self._pod):
            self.notify = host.notify.open(self._uid, on_ready)
        network = None if mark.network is None else host.launcher.network(mark.network)
        self._place = Place(mark.address, podspec.UserPort(mark.port, mark.protocol), network)

    def network_of(self, container: str) -> Network | None:
        """Return the namespace that a container's processes are in; None: the host's, where the sidecar always is."""
        return None if container == podspec.SIDECAR else self.place.network

    def keep(self, container: str, readers: tuple[int, ...], group: str = "") -> Keep:
        """Return what the next runtime is to know of a container's process; `readers` are the ends of its outputs,
        `group` names its control group."""
        place = self.place
        network = None if place.network is None else place.network.number
        mark = Mark(self._uid, container, place.address, place.port.number, place.port.protocol, network, group)
        told = self._host.notify.descriptor(self._uid) if container == podspec.SIDECAR else None
        return Keep(mark.label(), readers if told is None else (*readers, told))

    async def close(self) -> None:
        """Give everything back."""
        self._host.notify.close(self._uid)
        if self._place is not None:
            self._host.addresses.give_back(self._place.address)
            await self._drop(self._place.network)

    async def _drop(self, network: Network | None) -> None:
        if network is not None:
            with suppress(UnavailableError):
                await self._host.launcher.drop_network(network)
