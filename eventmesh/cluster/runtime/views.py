"""What a container is to see of the files: the machine's own with its volumes, or the root of a container image."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.cgroups import Group
from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.launcher_process import PRODUCT_PATH
from eventmesh.cluster.runtime.process import Process
from eventmesh.cluster.runtime.scratch import PLACES, scratch_mounts
from eventmesh.cluster.runtime.volumes import PodVolumes
from eventmesh.cluster.runtime.wire import Confinement, Mount
from eventmesh.kube.api import Object

_OF_EVERY_ROOT: Final = (Path("/dev"), Path("/proc"))
_FILES: Final = ("SSL_CERT_FILE",)
"""Variables of its user's surroundings that name a file."""


@frozen
class Scene:
    """What there is of one container already."""

    volumes: PodVolumes
    layer: Path
    """Where what it writes into the root of its image may be kept: its own, below the directory of the pod."""
    scratch: Path
    """Where what it writes for a while is kept if it sees the machine's files: as `layer`."""
    network_note: str
    """Why this host gives no namespaces to this user; empty when it does."""
    running: Process | None
    """Its process, beside which something else is to be run."""
    group: Group | None = None
    """The control group of its present run."""


def view_of(container: Object, image: Image, scene: Scene) -> Confinement:
    """Return the view of a container, or of what is run beside its process; raises ContainerConfigError."""
    view, group = _files_of(container, image, scene), scene.group
    if group is None:
        return view
    shown = () if view.beside or scene.network_note else group.mounts
    return replace(view, groups=group.directories, mounts=(*view.mounts, *shown))


def _files_of(container: Object, image: Image, scene: Scene) -> Confinement:
    if scene.network_note and container.get("volumeMounts"):
        raise ContainerConfigError(f"volumeMounts: {scene.network_note}; use env and envFrom")
    if image.root is None:
        return _of_the_machine(container, image, scene)
    if scene.network_note:
        raise ContainerConfigError(f"image {image.name}: it has a root directory of its own, but {scene.network_note}")
    if scene.running is not None:
        # A second overlay over the same layer would not show what the first one writes.
        return Confinement(beside=scene.running.pid)
    mounts = scene.volumes.mounts(container, _OF_EVERY_ROOT)
    scene.volumes.staging.mkdir(parents=True, exist_ok=True)
    read_only = (container.get("securityContext") or {}).get("readOnlyRootFilesystem")
    # As with the kubelet, a container that is started again finds the files of its image.
    shutil.rmtree(scene.layer, ignore_errors=True)
    return Confinement(mounts, str(scene.volumes.staging), str(image.root), "" if read_only else str(scene.layer))


def _of_the_machine(container: Object, image: Image, scene: Scene) -> Confinement:
    """Return the view of a container whose image has no root of its own."""
    needed: tuple[Path, ...] = (Path(PRODUCT_PATH), Path(sys.executable), Path(sys.prefix))
    asked = scene.volumes.mounts(container, (image.directory, *needed))
    if scene.network_note:
        return Confinement(asked, str(scene.volumes.staging))
    # Every pod of a version runs the same files: what one changes, all others would run.
    seen = (Mount(str(image.directory), str(image.directory), read_only=True), *asked)
    # Of an environment, the interpreter's library lies elsewhere.
    needed = (*needed, Path(sys.base_prefix), *(Path(os.environ[name]) for name in _FILES if os.environ.get(name)))
    scratch = scratch_mounts(scene.scratch, seen, needed, fresh=scene.running is None)
    return Confinement((*seen, *scratch), str(scene.volumes.staging))


def scratch_of(directory: Path, network_note: str) -> str:
    """Return where a container that sees the machine's files writes for a while: its own `/tmp`, and a directory of its
    pod's own, below the pod's `directory`, on a host without namespaces."""
    if not network_note:
        return PLACES[0]
    path = directory / ".tmp"
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o1777)
    return str(path)
