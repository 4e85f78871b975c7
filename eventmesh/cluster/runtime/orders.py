"""What a pod's machine wants done; `worker` does it."""

from __future__ import annotations

from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.probe import Probe


@frozen
class Start:
    """Start the process of a container; answer with `started`, `not_started` or `exited`."""

    container: str


@frozen
class Send:
    """Send a signal to the process group of a container."""

    container: str
    signal: int


@frozen
class Ask:
    """Ask the container's process what the probe asks; answer with `probed`."""

    container: str
    probe: Probe
    run: int


@frozen
class Tell:
    """Record an Event of the pod."""

    reason: str
    message: str
    warning: bool = True


Order = Start | Send | Ask | Tell
