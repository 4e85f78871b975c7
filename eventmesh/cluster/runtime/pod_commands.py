"""What is executed for each container of one pod, in which view of the files and within which limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.commands import function_command, sidecar_command, write_bootstrap
from eventmesh.cluster.runtime.host import Host
from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.orders import Tell
from eventmesh.cluster.runtime.pod_groups import PIDS_LIMIT, PodGroups
from eventmesh.cluster.runtime.privileges import confined
from eventmesh.cluster.runtime.process import Command, Process
from eventmesh.cluster.runtime.sandbox import PodSandbox
from eventmesh.cluster.runtime.teller import PodTeller
from eventmesh.cluster.runtime.views import Scene, scratch_of, view_of
from eventmesh.cluster.runtime.volumes import PodVolumes
from eventmesh.cluster.runtime.warm_start import warmed
from eventmesh.kube.warm_start import warm_start


class PodCommands:
    """The commands of one pod."""

    def __init__(
        self,
        host: Host,
        teller: PodTeller,
        sandbox: PodSandbox,
        volumes: PodVolumes,
        groups: PodGroups,
        processes: Mapping[str, Process],
        directory: Path,
    ) -> None:
        """`processes` are those of the containers that run, as they come and go; `directory` is the pod's."""
        self._host = host
        self._teller = teller
        self._sandbox = sandbox
        self._volumes = volumes
        self._groups = groups
        self._processes = processes
        self._directory = directory
        self.image_ids: dict[str, str] = {}
        """The images that the containers really run."""

    def begin(self, name: str, record: Callable[[Tell], None]) -> Command:
        """Return what to execute for a run of the container that begins, and make what it is to run in.

        Raises UnknownImageError, and MeshError or OSError for what it asks for and cannot have.
        """
        self._begin_group(name)
        command = self.command(name)
        if name == podspec.SIDECAR or warm_start(self._teller.pod) == "false":
            return command
        command, why = warmed(self._teller.pod, command, self._image(name))
        if why:
            record(Tell("NotStartedWarm", f"{name} starts as usual: {why}"))
        return command

    def command(self, name: str) -> Command:
        """Return how a container is run, or what is run beside its process; raises as `begin`."""
        pod, place, references = self._teller.pod, self._sandbox.place, self._host.references
        if name == podspec.SIDECAR:
            # At each start: a certificate of the first one may have expired.
            bootstrap = self._directory / "bootstrap.json"
            write_bootstrap(bootstrap, self._host.bootstrap(pod, place.address))
            return sidecar_command(pod, place, self._sandbox.notify, bootstrap, references)
        container, image = podspec.container(pod, name), self._image(name)
        self.image_ids[name] = image.reference
        scene = Scene(
            self._volumes,
            self._directory / ".layers" / name,
            self._directory / ".scratch" / name,
            self._host.network_note,
            self._processes.get(name),
            self._groups.of(name),
        )
        view = view_of(container, image, scene)
        confinement = confined(view, pod, container, image_user=image.user, image_group=image.group)
        scratch = "" if image.root is not None else scratch_of(self._directory, self._host.network_note)
        return function_command(pod, container, image, place, references, confinement, scratch)

    def _begin_group(self, name: str) -> None:
        """Make a control group; a whole one for a container image, which expects to see its own."""
        limits = podspec.limits(self._teller.pod, name)
        if name != podspec.SIDECAR:
            whole = self._image(name).root is not None
            # A fork of a prepared interpreter waits elsewhere.
            ready = warm_start(self._teller.pod) == "false"
            self._groups.begin(name, replace(limits, pids=PIDS_LIMIT), whole=whole, ready=ready)
        elif limits:
            self._groups.begin(name, limits)

    def _image(self, container: str) -> Image:
        return self._host.images.find(podspec.container(self._teller.pod, container).get("image", ""))
