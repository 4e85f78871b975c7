"""The kubelet's part: a worker for every pod of the API, and their logs for whoever asks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.adoption import LeftPod, left_pods
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.commands import SidecarBootstrap
from eventmesh.cluster.runtime.host import Host
from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.cluster.runtime.logs import ContainerLog, LogQuery
from eventmesh.cluster.runtime.measuring import Measuring
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.networks import NetworkStock
from eventmesh.cluster.runtime.node import NodeKeeper
from eventmesh.cluster.runtime.notify import NotifySockets
from eventmesh.cluster.runtime.placing import Placing
from eventmesh.cluster.runtime.process import Legacy, Process, ProcessLauncher
from eventmesh.cluster.runtime.ready_groups import ReadyGroups
from eventmesh.cluster.runtime.sessions import Session
from eventmesh.cluster.runtime.teller import remove_directory, remove_pod
from eventmesh.cluster.runtime.worker import PodWorker
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.resources import CONFIG_MAP, NODE, POD, SECRET

_log = log.get("runtime.agent")

STOP_GRACE_S: Final = 3.0
"""When the mesh stops nobody waits for answers any more: functions get this long to end by themselves."""

RETRY_S: Final = 1.0
"""How soon a pod that found no room is tried again."""


class CachedReferences:
    """ConfigMaps and Secrets from the shared informers."""

    def __init__(self, informers: Informers) -> None:
        self._config_maps = informers.of(CONFIG_MAP)
        self._secrets = informers.of(SECRET)

    def config_map(self, namespace: str, name: str) -> Object | None:
        """Return the ConfigMap, or None."""
        return self._config_maps.get(name, namespace)

    def secret(self, namespace: str, name: str) -> Object | None:
        """Return the Secret, or None."""
        return self._secrets.get(name, namespace)


class PodAgent:
    """Runs the pods of the API as local processes."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        *,
        launcher: ProcessLauncher,
        addresses: PodAddresses,
        images: ImageStore,
        bootstrap: SidecarBootstrap,
        data_dir: Path,
        groups: ControlGroups,
        legacy: Legacy | None = None,
    ) -> None:
        """`legacy`: what an earlier runtime has left in the launcher."""
        self._legacy = legacy or Legacy()
        self._left: dict[str, LeftPod] = {}
        self._api = api
        self._clock = clock
        self._launcher = launcher
        self._addresses = addresses
        self._images = images
        self._bootstrap = bootstrap
        self._groups = groups
        self._directory = data_dir / "pods"
        self._pods = informers.of(POD)
        self._placing = Placing(informers.of(NODE), api, clock, self._look_again)
        self._references = CachedReferences(informers)
        self._contents = (informers.of(CONFIG_MAP), informers.of(SECRET))
        self._networks: NetworkStock | None = None
        self._ready_groups: ReadyGroups | None = None
        self._notify: NotifySockets | None = None
        self._host: Host | None = None
        self._workers: dict[str, PodWorker] = {}
        self._names: dict[Key, str] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskGroup("pods")
        self._stopping = False
        self.measuring = Measuring(lambda: self._workers.values(), clock)
        self.node = NodeKeeper(api, clock, data_dir)

    async def start(self) -> None:
        """Begin to run pods, those of an earlier life included; the informers are expected to have synced."""
        note = ""
        self._networks = NetworkStock(self._launcher, self._clock)
        try:
            await self._networks.start()
        except UnavailableError as error:
            note = f"{error}; the function shares the host's network on a port of its own"
            _log.warning("pods share the host's network", reason=error)
        if self._groups.note:
            _log.warning(
                "limits.cpu has no effect, limits.memory is looked at now and then, processes are not counted",
                reason=self._groups.note,
            )
        elif not self._groups.count_processes:
            _log.warning("processes of functions are not counted", reason="the controller pids is not handed down")
        self._notify = NotifySockets()
        self._ready_groups = ReadyGroups(self._groups, self._launcher, self._clock)
        self._host = Host(
            api=self._api,
            clock=self._clock,
            launcher=self._launcher,
            networks=self._networks,
            addresses=self._addresses,
            images=self._images,
            notify=self._notify,
            references=self._references,
            recorder=EventRecorder(self._api, "kubelet", self._clock),
            bootstrap=self._bootstrap,
            directory=self._directory,
            network_note=note,
            groups=self._groups,
            ready_groups=self._ready_groups,
        )
        await self._take_over()
        await self._ready_groups.start()
        self._placing.start()
        self._pods.add_handler(self._changed)
        self._tasks.spawn("measuring", self.measuring.run())
        self._tasks.spawn("node", self.node.run())
        for informer in self._contents:
            informer.add_handler(self._content_changed)

    async def _take_over(self) -> None:
        """Find the pods of what was left; end what belongs to none."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._pods}
        left = left_pods(self._legacy.survivors)
        self._left = {uid: found for uid, found in left.items() if uid in pods and not podspec.is_finished(pods[uid])}
        for uid in left.keys() - self._left.keys():
            for survivor in left[uid].processes.values():
                await self._launcher.signal(survivor.process, signal.SIGKILL)
                for descriptor in survivor.descriptors:
                    os.close(descriptor)
        for found in self._left.values():
            # Before a new pod could take it.
            self._addresses.claim(found.mark.address)
        self._groups.retain({name for found in self._left.values() for name in found.groups.values()})
        inhabited = {found.mark.network for found in self._left.values()}
        for network in self._legacy.networks:
            if network.number not in inhabited:
                await self._launcher.drop_network(network)

    async def stop(self) -> None:
        """End every process, but leave the pods' objects: they run again with the next start."""
        self._stopping = True
        for worker in self._workers.values():
            worker.terminate(STOP_GRACE_S, remove=False)
        if self._running:
            await asyncio.wait(self._running.values(), timeout=STOP_GRACE_S + 1.0)
        await self._placing.stop()
        await self._tasks.stop()
        if self._ready_groups is not None:
            await self._ready_groups.stop()
        self._groups.close()
        if self._networks is not None:
            await self._networks.stop()
        if self._notify is not None:
            self._notify.stop()

    def read_log(self, namespace: str, pod: str, container: str, query: LogQuery) -> AsyncIterator[bytes]:
        """Return the text of a container's log (the first container's when `container` is empty).

        Raises ApiError when there is no such container, or no run of it to read from.
        """
        earlier = self._earlier_log(namespace, pod, container)
        if earlier is not None:
            return earlier.read(query)
        found = self._log(namespace, pod, container)
        name = _named(self._worker(namespace, pod), container)
        if found.runs == 0:
            why = podspec.waiting_reason(self._worker(namespace, pod).pod, name)
            message = f'container "{name}" in pod "{pod}" is waiting to start: {why}'
            raise ApiError(400, "BadRequest", message)
        if query.previous and found.runs == 1:
            message = f'previous terminated container "{name}" in pod "{pod}" not found'
            raise ApiError(400, "BadRequest", message)
        return found.read(query)

    async def open_session(
        self, namespace: str, pod: str, container: str, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Session:
        """Run `argv` in a container (the first when `container` is empty) and return its streams.

        Raises ApiError when there is no such container, MeshError when it or the program does not run.
        """
        worker = self._worker(namespace, pod)
        self._log(namespace, pod, container)
        return await worker.open_session(_named(worker, container), argv, stdin=stdin, tty=tty)

    def attach(self, namespace: str, pod: str, container: str) -> tuple[AsyncIterator[bytes], Process]:
        """Return what a container writes from now on, and its process; raises as `open_session`."""
        worker = self._worker(namespace, pod)
        output = self._log(namespace, pod, container).read(LogQuery(tail_lines=0, follow=True))
        return output, worker.running(_named(worker, container))

    async def dial(self, namespace: str, pod: str, port: int) -> socket.socket:
        """Return a connection to `port` of a pod; raises ApiError for a pod that is not there, UnavailableError."""
        return await self._worker(namespace, pod).dial(port)

    def _worker(self, namespace: str, pod: str) -> PodWorker:
        worker = self._workers.get(self._names.get(Key(namespace, pod), ""))
        if worker is None:
            raise ApiError(400, "BadRequest", f'pod "{pod}" has not been started yet')
        return worker

    def _log(self, namespace: str, pod: str, container: str) -> ContainerLog:
        worker = self._worker(namespace, pod)
        found = worker.log(_named(worker, container))
        if found is None:
            names = worker.containers
            raise ApiError(
                400, "BadRequest", f"container {container} is not valid for pod {pod}: it has {', '.join(names)}"
            )
        return found

    def _earlier_log(self, namespace: str, name: str, container: str) -> ContainerLog | None:
        """Return the log of a pod that ran to its end in an earlier life of the mesh; None for any other."""
        pod = self._pods.get(name, namespace)
        if pod is None or pod["metadata"]["uid"] in self._workers or not podspec.is_finished(pod):
            return None
        directory = self._directory / podspec.directory_name(pod) / (container or podspec.serving(pod)["name"])
        if not directory.is_dir():
            return None
        found = ContainerLog(directory, self._clock)
        found.close()
        return found

    def _changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None  # noqa: S101 - an informer always hands over one of them
        if self._stopping:
            return
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if old is not None and old["metadata"]["uid"] != uid and old["metadata"]["uid"] in self._workers:
            self._workers[old["metadata"]["uid"]].terminate(0.0)
        if new is None:
            self._placing.forget(pod)
            if worker is not None:
                worker.terminate(0.0)
            else:
                directory = self._directory / podspec.directory_name(pod)
                self._tasks.spawn(f"{key_of(pod)} directory", remove_directory(directory))
        elif worker is None:
            if is_deleting(new) and uid in self._left:
                self._begin(new)
                self._workers[uid].terminate(podspec.grace_s(new))
            elif is_deleting(new):
                # Nothing runs for it here: it was on its way out when an earlier life of the mesh ended.
                self._tasks.spawn(f"{key_of(new)} removal", remove_pod(self._api, new, self._clock))
            elif not podspec.is_finished(new) and (uid in self._left or self._placing.places(new)):
                self._begin(new)
        elif is_deleting(new):
            grace = podspec.grace_s(new)
            if old is None or not is_deleting(old) or podspec.grace_s(old) != grace:
                worker.terminate(grace)

    def _look_again(self) -> None:
        """Begin the pods that have waited for the node."""
        for pod in self._pods:
            if pod["metadata"]["uid"] not in self._workers:
                self._changed(None, pod)

    def _content_changed(self, old: Object | None, new: Object | None) -> None:
        """Have the pods of that namespace look at their volumes again; a deleted object leaves its last content."""
        if old is None or new is None:
            return
        for worker in self._workers.values():
            if worker.pod["metadata"]["namespace"] == new["metadata"]["namespace"]:
                worker.refresh_volumes()

    def _begin(self, pod: Object) -> None:
        assert self._host is not None  # noqa: S101 - handlers are added in `start`
        uid = pod["metadata"]["uid"]
        try:
            worker = PodWorker(pod, self._host, self._left.pop(uid, None))
        except (MeshError, OSError, ValueError, KeyError) as error:
            _log.error("pod cannot be run", pod=key_of(pod), reason=error)
            return
        self._workers[uid] = worker
        self._names[key_of(pod)] = uid
        self._running[uid] = self._tasks.spawn(str(key_of(pod)), self._run(uid, worker))

    async def _run(self, uid: str, worker: PodWorker) -> None:
        try:
            await worker.run()
        except UnavailableError as error:
            # Addresses, descriptors, namespaces: what is short now is given back by pods that end.
            _log.warning("pod cannot be run now", pod=key_of(worker.pod), reason=error, retry_s=RETRY_S)
            self._tasks.spawn("retry", self._retry(worker.pod))
        finally:
            self._workers.pop(uid, None)
            self._running.pop(uid, None)
            key = key_of(worker.pod)
            if self._names.get(key) == uid:
                del self._names[key]

    async def _retry(self, pod: Object) -> None:
        await self._clock.sleep(RETRY_S)
        key = key_of(pod)
        present = self._pods.get(key.name, key.namespace)
        if present is not None and present["metadata"]["uid"] not in self._workers:
            self._changed(None, present)


def _named(worker: PodWorker, container: str) -> str:
    """Return the name of the container that is meant: without one, the container that requests go to."""
    return container or str(podspec.serving(worker.pod)["name"])
