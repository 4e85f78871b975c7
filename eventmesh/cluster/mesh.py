"""One local mesh: everything that `eventmesh up` runs, wired together, started and stopped in order.

One process holds store, API, controllers, autoscaler, control and runtime; gateway and activator are processes beside
it, started by the same launcher as the pods. Nothing of it outlives `stop`; what outlives the process when it is killed
(`runtime.roster`) is adopted by the next.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Final

from eventmesh import __version__
from eventmesh.base import linux, log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster import addresses, readiness, running
from eventmesh.cluster.addresses import Addresses
from eventmesh.cluster.api.builtin.metrics import metrics_kinds
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.server import ApiServer
from eventmesh.cluster.bootstraps import Bootstraps
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.cluster.parts import Parts
from eventmesh.cluster.runtime.agent import PodAgent
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.commands import SIDECAR_ENTRY
from eventmesh.cluster.runtime.disk import disk_trouble, is_full
from eventmesh.cluster.runtime.images import ImageStore, digests_in
from eventmesh.cluster.runtime.launcher_process import product_pythonpath
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.process import Command, Legacy, ProcessLauncher
from eventmesh.cluster.store.store import Store
from eventmesh.cluster.supervisor import Supervised
from eventmesh.controllers.autoscaler.app import Autoscaler
from eventmesh.controllers.eventing.addresses import BROKERS, CHANNELS, Entrance
from eventmesh.controllers.eventing.admission import ADMISSIONS as EVENTING_ADMISSIONS
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.controllers.serving.app import ServingControllers
from eventmesh.controllers.serving.settings import LocalSettings
from eventmesh.controllers.workloads.app import WorkloadControllers
from eventmesh.kube.api import Api
from eventmesh.kube.config import ACTIVATOR_EXTENSION, CONTROL_EXTENSION, GATEWAY_EXTENSION
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import POD, REVISION
from eventmesh.transport.acceptor import listen_on
from eventmesh.transport.address import parse_address
from eventmesh.transport.netns import HostNetwork
from eventmesh.xds.control.admission import CONTROL_ADMISSIONS
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.event_certificates import EventCertificates
from eventmesh.xds.control.services import Settings
from eventmesh.xds.identity.authority import Authority, GivenAuthority, OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles

_log = log.get("cluster.mesh")

LIVE_WITHIN_S: Final = 60.0
"""A gateway that serves nothing by then never will; its log says why. One that ends is noticed at once; this is for one
that has to read a thousand revisions on a machine that is busy with something else, which took 20 s."""


@frozen
class MeshSettings:
    """What a person decides about a local mesh."""

    data_dir: Path
    kubeconfig: Path
    """Where the kubeconfig is written."""
    api_port: int = 6443
    """0 = any free port, here and below."""
    gateway_port: int = 8080
    authority_files: tuple[Path, Path] | None = None
    """Certificates and key of the authority that certifies identities; None: one of our own, in the data directory."""
    trust_domain: str = "cluster.local"
    """Of the SPIFFE ids; Istio's default too."""
    store: str = ""
    """Where events are kept beside the data directory (`eventmesh activator --store`)."""
    max_event_bytes: int | None = None
    """How long events may be (`eventmesh activator --max-event-bytes`); None: as long as the activator says."""


class Mesh:
    """A local mesh. `start` raises UnavailableError (a port is taken, the data directory is in use or its disk
    full) or ConfigError."""

    def __init__(
        self,
        settings: MeshSettings,
        clock: Clock,
        launcher: ProcessLauncher,
        *,
        again: bool = False,
        inherits: bool = False,
    ) -> None:
        """`launcher` becomes the mesh's own, which stops it; it has preloaded `SIDECAR_MODULES`. `again`: a mesh with
        these settings was ready before, and was killed. `inherits`: what it has left in `launcher` is taken over."""
        self._again = again
        self._inherits = inherits
        self._legacy = Legacy()
        self._settings = settings
        self._clock = clock
        self._launcher = launcher
        self._parts = Parts()
        self._addresses: Addresses | None = None
        self._bootstraps: Bootstraps
        self._sockets: dict[str, list[socket.socket]] = {}
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Resolves, with the reason, when the mesh cannot go on."""

    @property
    def addresses(self) -> Addresses:
        """Return where everything listens; only after `start`."""
        if self._addresses is None:
            raise UnavailableError("the mesh has not been started")
        return self._addresses

    async def start(self) -> None:
        """Start everything; return when requests can be served. What was started is stopped again on an error."""
        try:
            await self._start()
        except OSError as error:
            await self._parts.stop()
            if is_full(error):
                raise UnavailableError(disk_trouble(error, self._settings.data_dir)) from error
            raise
        except BaseException:
            await self._parts.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in the opposite order; pods end, their objects stay."""
        await self._parts.stop()

    async def _start(self) -> None:
        launcher = self._launcher
        launcher.on_lost = self._launcher_lost
        self._parts.add(launcher.stop)
        if self._inherits:
            self._legacy = await launcher.legacy()
        pod_addresses = PodAddresses.reserve(self._legacy.sockets.get("pods"))
        self._parts.add_sync(pod_addresses.close)
        await launcher.hold("pods", [pod_addresses.lease])
        where = self._addresses = self._choose(pod_addresses)
        self._sockets = {
            "gateway": await self._held("gateway", where.gateway, where.gateway_local),
            "activator": await self._held("activator", where.activator, where.broker),
        }
        embedded = self._api()
        api = embedded.in_process()
        informers = Informers(api, self._clock)
        images = ImageStore(self._settings.data_dir)
        workloads = WorkloadControllers(api, informers, self._clock)
        eventing = EventingControllers(
            api,
            informers,
            self._clock,
            brokers=_reachable(BROKERS, where.events_url, where),
            channels=_reachable(CHANNELS, where.channels_url, where),
            through_sidecars=True,
        )
        serving = self._serving(api, informers, images)
        autoscaler = Autoscaler(api, informers, self._clock, serving.settings, _host_and_port(where.autoscaler))
        identities = self._identities()
        certificates = EventCertificates(api, informers, identities, self._clock, addresses.DOMAIN)
        writers = (certificates.controller,)
        control = Control(api, informers, self._clock, _control_settings(where), identities, writers=writers)
        bootstraps = self._bootstraps = Bootstraps(where, identities, control.mtls_mode, control.inbound_filters)
        agent = self._agent(api, informers, launcher, pod_addresses, images, bootstraps)
        for kind in metrics_kinds(agent.measuring.pod_metrics, agent.node.metrics):
            embedded.catalog.add(kind)
        for resource in (REVISION, POD):
            informers.of(resource)
        admissions = {**serving.admissions(), **EVENTING_ADMISSIONS, **CONTROL_ADMISSIONS}
        for resource, admission in eventing.admissions(admissions).items():
            embedded.admission.register(resource, admission)
        await embedded.start()
        self._parts.add(embedded.stop)
        await informers.start()
        self._parts.add(informers.stop)
        images.prune(frozenset(digests_in(chain(informers.of(REVISION), informers.of(POD)))))
        await self._open(embedded, agent)
        await control.start(where.ads, where.ads_secured)
        self._parts.add(control.stop)
        await control.start_admin(*_host_and_port(where.control_admin))
        # All that waits for something comes before the controllers, who first look at every object there is, and have
        # all the time they need for that.
        await self._data_planes()
        await autoscaler.start()
        self._parts.add(autoscaler.stop)
        await agent.start()
        self._parts.add(agent.stop)
        workloads.start()
        self._parts.add(workloads.stop)
        eventing.start()
        self._parts.add(eventing.stop)
        await serving.start()
        self._parts.add(serving.stop)
        self._tell()

    def _tell(self) -> None:
        """Say to `eventmesh status`, `down` and `env` where everything is."""
        since = self._clock.now().isoformat(timespec="seconds")
        where = asdict(self.addresses)
        watchdog = os.getppid()
        facts = running.Running(
            os.getpid(),
            __version__,
            since,
            str(self._settings.kubeconfig),
            where,
            watchdog,
            linux.start_time(watchdog),
        )
        running.tell(self._settings.data_dir, facts)

    def _launcher_lost(self) -> None:
        if not self.lost.done():
            self.lost.set_result("the process launcher ended, and every pod with it")

    async def _open(self, embedded: EmbeddedApi, agent: PodAgent) -> None:
        """Serve the API on its port, and write how to reach it."""
        server = ApiServer(embedded, _host_and_port(self.addresses.api), self._settings.data_dir / "tls", agent)
        await server.start()
        self._parts.add(server.stop)
        embedded.publish_authority(server.credentials.ca_pem)
        write_kubeconfig(
            self._settings.kubeconfig,
            server.url,
            server.credentials.ca_pem,
            server.credentials.token,
            client=server.credentials.client,
            admin_ports={
                ACTIVATOR_EXTENSION: self.addresses.activator_admin,
                GATEWAY_EXTENSION: self.addresses.gateway_admin,
                CONTROL_EXTENSION: self.addresses.control_admin,
            },
        )

    # -- the parts

    def _api(self) -> EmbeddedApi:
        store = Store(self._settings.data_dir / running.STORE, self._clock)
        self._parts.add_sync(store.close)
        return EmbeddedApi(store, self._clock)

    def _serving(self, api: Api, informers: Informers, images: ImageStore) -> ServingControllers:
        secure_port = addresses.port_of(self.addresses.gateway_tls)
        local = LocalSettings(addresses.DOMAIN, self.addresses.gateway_port, secure_port, claims_domains=True)
        return ServingControllers(api, informers, self._clock, images, local)

    def _identities(self) -> Identities:
        files = self._settings.authority_files
        if files is None:
            authority: Authority = OwnAuthority(RootFiles(self._settings.data_dir / "ca"), self._clock)
        else:
            authority = GivenAuthority(*files, self._clock)
        return Identities(authority, self._clock, self._settings.trust_domain)

    def _agent(
        self,
        api: Api,
        informers: Informers,
        launcher: ProcessLauncher,
        pod_addresses: PodAddresses,
        images: ImageStore,
        bootstraps: Bootstraps,
    ) -> PodAgent:
        return PodAgent(
            api,
            informers,
            self._clock,
            launcher=launcher,
            addresses=pod_addresses,
            images=images,
            bootstrap=bootstraps.of_pod,
            data_dir=self._settings.data_dir,
            groups=ControlGroups.find(owner=launcher.pid),
            legacy=self._legacy,
        )

    async def _data_planes(self) -> None:
        where = self.addresses
        gateway = self._supervised("gateway", where.gateway_admin)
        activator = self._supervised(
            "activator",
            where.activator_admin,
            f"--autoscaler=http://{where.autoscaler}/stats",
            f"--broker={where.broker}",
            f"--broker-tls={where.broker_tls}",
            f"--data-dir={self._settings.data_dir / 'events'}",
            f"--kubeconfig={self._settings.kubeconfig}",
            f"--store={self._settings.store}",
            *([f"--max-event-bytes={limit}"] if (limit := self._settings.max_event_bytes) else ()),
            f"--protect={where.ads}",
            f"--protect={where.control_admin}",
            f"--protect={where.gateway_admin}",
        )
        await asyncio.gather(self._serve(gateway, where.gateway_admin), self._serve(activator, where.activator_admin))

    def _choose(self, pods: PodAddresses) -> Addresses:
        """Return where everything listens: where it did before, if clients and pods know that already."""
        told = running.last_told(self._settings.data_dir) if self._again else None
        if told is not None and told.addresses and told.watchdog == os.getppid():
            return Addresses(**told.addresses)
        holds = addresses.Holds()
        self._parts.add_sync(holds.close)
        return addresses.choose(self._settings.api_port, self._settings.gateway_port, pods.own(1), holds)

    async def _held(self, name: str, *where: str) -> list[socket.socket]:
        """Listen at the addresses for as long as the launcher lives: while the process that serves them is started
        again, or this one, clients wait instead of being refused."""
        sockets = list(self._legacy.sockets.get(name) or ())
        if not sockets:
            sockets = [listen_on(parse_address(address), HostNetwork()) for address in where]
            await self._launcher.hold(name, sockets)
        for held in sockets:
            self._parts.add_sync(held.close)
        return sockets

    def _supervised(self, role: str, admin: str, *flags: str) -> Supervised:
        file = self._settings.data_dir / "run" / f"{role}.json"
        self._bootstraps.keep(file, role, admin)
        env = {**os.environ, "PYTHONPATH": product_pythonpath(os.environ)}
        command = Command((role, "--bootstrap", str(file), *flags), env, "/", entry=SIDECAR_ENTRY)
        logs = self._settings.data_dir / "logs"
        left = next((each for each in self._legacy.survivors if each.label == role), None)
        return Supervised(role, command, self._launcher, logs, self._clock, self._sockets[role], left)

    async def _serve(self, plane: Supervised, admin: str) -> None:
        """Start a data plane and return when it serves; one that ends meanwhile, or never serves, ends the start."""
        await plane.start()
        self._parts.add(plane.stop)
        tasks = TaskGroup("mesh")
        live = tasks.spawn("readiness", readiness.until_live(admin, self._clock))
        await asyncio.wait((live, plane.failed), timeout=LIVE_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        await tasks.stop()
        if plane.failed.done():
            raise UnavailableError(f"the {plane.name} cannot run: {plane.failed.result()}")
        if not live.done() or live.cancelled():
            logs = self._settings.data_dir / "logs" / plane.name
            raise UnavailableError(f"the {plane.name} does not serve after {LIVE_WITHIN_S:.0f} s; see {logs}")


def _reachable(entrance: Entrance, url: str, where: Addresses) -> Entrance:
    return replace(entrance, outside=url, outside_secured=where.secured_url(entrance.service))


def _control_settings(where: Addresses) -> Settings:
    return Settings(
        public=_host_and_port(where.gateway),
        secure=_host_and_port(where.gateway_tls),
        local=_host_and_port(where.gateway_local),
        activator=_host_and_port(where.activator),
        brokers=(_host_and_port(where.broker),),
        domain=addresses.DOMAIN,
    )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
