"""What a data plane starts with: its bootstrap, and its certificate in it when the bootstrap asks for one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from eventmesh.base.clock import Clock
from eventmesh.xds.bootstrap import Bootstrap

if TYPE_CHECKING:
    from eventmesh.xds.client.workload_identity import WorkloadIdentity


async def identified(
    bootstrap: Bootstrap, clock: Clock, ended: Callable[[], Coroutine[object, object, object]]
) -> tuple[Bootstrap, WorkloadIdentity | None] | None:
    """Return `bootstrap` with its certificate, and who renews that; as it is when it asks for none.

    Nothing should be served or asked before. None when `ended()` returns first: there is nothing to do any more.
    """
    if bootstrap.identity is None:
        return bootstrap, None
    # A sidecar whose certificate is brought by control does without.
    from eventmesh.xds.client.workload_identity import begin

    return await begin(bootstrap, clock, ended())
