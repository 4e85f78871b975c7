"""What is executed for a container: the function's own command, or the sidecar beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.base.secret_file import write_secret
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.environment import ContainerConfigError, References, container_env, expand
from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.launcher_process import product_pythonpath
from eventmesh.cluster.runtime.process import UNCONFINED, Command, Network
from eventmesh.cluster.runtime.surroundings import surroundings
from eventmesh.cluster.runtime.wire import Confinement
from eventmesh.kube.api import Object
from eventmesh.kube.injection import has_sidecar
from eventmesh.kube.objects import labels_of

SIDECAR_ENTRY: Final = "eventmesh.cli.main:main"

QUEUE_SERVING_PORT: Final = 8012
"""The queue-proxy's own port for requests."""

FORWARD_PROXY_PORT: Final = 15001
"""Where the sidecar listens for what the function sends: on the pod's own loopback, else on the pod's address."""

DRAIN_QUIET_S: Final = 0.5
"""A pod's sidecar ends when no request has come for so long. Data planes hear of a pod's end within milliseconds here;
the half minute of Knative's queue-proxy is made for clusters where that takes seconds."""

CONTAINER_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs of a container image are looked for that names no PATH, as with every engine."""

_REVISION: Final = "serving.knative.dev/revision"
_CONFIGURATION: Final = "serving.knative.dev/configuration"
_SERVICE: Final = "serving.knative.dev/service"

SidecarBootstrap = Callable[[Object, str], Object]
"""(pod, its address) -> the Envoy bootstrap of its sidecar, as it is now: a first certificate may be in it."""


@frozen
class Place:
    """Where one pod lives."""

    address: str
    port: podspec.UserPort
    """Where its function really listens: what the spec says, or a free port of the host's network."""
    network: Network | None


def function_command(
    pod: Object,
    container: Object,
    image: Image,
    place: Place,
    references: References,
    confinement: Confinement = UNCONFINED,
    scratch: str = "",
) -> Command:
    """Return how to run a function container; raises ContainerConfigError naming what it asks for and cannot have.

    `scratch` is a directory of the pod's own for what is written for a while.
    """
    problem = podspec.unsupported(pod, container)
    if problem:
        raise ContainerConfigError(problem)
    asked = container_env(container, pod, place.address, references)
    env = surroundings() if image.root is None else {"PATH": CONTAINER_PATH, "HOME": "/"}
    if scratch:
        env["TMPDIR"] = scratch
    env["HOSTNAME"] = pod["metadata"]["name"]
    requested = container["name"] == podspec.serving(pod)["name"]
    if requested:
        env["PORT"] = str(place.port.number)
    if has_sidecar(pod):
        proxy = f"http://{place.address if place.network is None else '127.0.0.1'}:{FORWARD_PROXY_PORT}"
        env |= {"HTTP_PROXY": proxy, "http_proxy": proxy}
        env |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    env |= image.env
    env |= asked
    if requested and place.network is None and has_sidecar(pod):
        # Whatever port was asked for, this free one is the pod's on the host's network.
        env["PORT"] = str(place.port.number)
    command = [expand(word, env) for word in container.get("command") or ()] or list(image.command)
    has_args = "args" in container or container.get("command")
    args = [expand(word, env) for word in container.get("args") or ()] if has_args else list(image.args)
    home = image.directory / image.workdir if image.root is None else Path(image.workdir)
    workdir = container.get("workingDir") or str(home)
    if not container.get("command") and command[0].startswith(("./", "../")):
        # The image's program is the image's, wherever the container is to work.
        command[0] = str(home / command[0])
    return Command((*command, *args), env, workdir, confinement=confinement)


def sidecar_command(pod: Object, place: Place, notify_socket: str, bootstrap: Path, references: References) -> Command:
    """Return how to run the sidecar of a pod: queue-proxy's variables, and where it finds the function."""
    asked = container_env(podspec.sidecar_spec(pod), pod, place.address, references)
    env = {**os.environ, "PYTHONPATH": product_pythonpath(os.environ)}
    env |= _queue_proxy_defaults(pod, place)
    env |= asked
    env |= {
        "SERVING_POD": pod["metadata"]["name"],
        "SERVING_POD_IP": place.address,
        "USER_PORT": str(place.port.number),
        "EVENTMESH_USER_PROTOCOL": place.port.protocol,
        "EVENTMESH_DRAIN_QUIET_S": str(DRAIN_QUIET_S),
        "NOTIFY_SOCKET": notify_socket,
    }
    if place.network is not None:
        env["EVENTMESH_POD_NETNS"] = place.network.path
    elif "SERVING_READINESS_PROBE" in env:
        env["SERVING_READINESS_PROBE"] = _moved_probe(env["SERVING_READINESS_PROBE"], place.port.number)
    return Command(("sidecar", "--bootstrap", str(bootstrap)), env, "/", entry=SIDECAR_ENTRY)


def _moved_probe(text: str, port: int) -> str:
    """Return the probe, asked at the port where the function listens instead of the one its author gave it."""
    probe = json.loads(text)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        if handler in probe:
            probe[handler] = {**(probe[handler] or {}), "port": port}
    return json.dumps(probe)


def write_bootstrap(path: Path, bootstrap: Mapping[str, object]) -> None:
    """Store a bootstrap for its owner's eyes alone: it may hold a private key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # It is written anew at every start, and a function waits for this one.
    write_secret(path, json.dumps(bootstrap).encode(), durable=False)


def _queue_proxy_defaults(pod: Object, place: Place) -> dict[str, str]:
    labels, metadata = labels_of(pod), pod["metadata"]
    knative = _REVISION in labels
    env = {
        "CONTAINER_CONCURRENCY": "0",
        "REVISION_TIMEOUT_SECONDS": "300" if knative else "0",
        # A pod that is no revision is reached through plain Services, at the port that it names itself.
        "QUEUE_SERVING_PORT": str(QUEUE_SERVING_PORT if knative else podspec.user_port(pod).number),
        "SERVING_NAMESPACE": metadata["namespace"],
        "SERVING_REVISION": labels.get(_REVISION, labels.get("app", metadata["name"])),
        "SERVING_CONFIGURATION": labels.get(_CONFIGURATION, ""),
        "SERVING_SERVICE": labels.get(_SERVICE, ""),
    }
    probe = podspec.readiness_probe(pod)
    if probe is not None:
        env["SERVING_READINESS_PROBE"] = json.dumps(probe)
    return env
