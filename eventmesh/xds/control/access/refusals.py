"""Which policies of access a workload's sidecar or gRPC server would not take, in its words. Pure.

It is told of all policies that select it in one listener, a sidecar in `inbound` and a server in its own, or an Envoy
in filters by name, and refuses that whole; it goes on by the one it had. Guilty are the policies that its words name,
else those that are new, else all that select it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from eventmesh.xds.control.access.by_name import NAMES
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.control.access.values import Policy
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.grpc_servers import is_server
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.subscriptions import mentions
from eventmesh.xds.resource_types import ResourceType


@dataclass(frozen=True, slots=True)
class _Refused:
    type: ResourceType
    name: str
    version: str
    message: str
    blamed: frozenset[Policy]


@dataclass(slots=True)
class InboundRefusals:
    """The newest refusal of each audience, for as long as it is what that is told. There are no more than audiences."""

    _refused: dict[Audience, _Refused] = field(default_factory=dict)

    def refused(
        self, nack: Nack, told: Callable[[Audience], Iterable[Policy]], is_new: Callable[[Policy], bool]
    ) -> frozenset[Policy]:
        """Take in a refusal; return the policies to blame for it. `told` returns those that an audience is told of."""
        refusal = nack.refusal
        name = next((one for one in refusal.names if _is_made_of_policies(refusal.type, one)), None)
        if not refusal.is_certain or name is None:
            return frozenset()
        policies = frozenset(told(nack.audience))
        named = {policy for policy in policies if mentions(refusal.message, str(policy.key))}
        blamed = frozenset(named or {policy for policy in policies if is_new(policy)} or policies)
        version = refusal.versions[refusal.names.index(name)]
        self._refused[nack.audience] = _Refused(refusal.type, name, version, f"{nack.node}: {refusal.message}", blamed)
        return blamed

    def published(self, version: Callable[[Audience, ResourceType, str], str | None]) -> frozenset[Policy]:
        """Forget refusals of what is not told any more, `version` being that of a resource as an audience is told of
        it; return the policies that were blamed for it."""
        over = [who for who, one in self._refused.items() if version(who, one.type, one.name) != one.version]
        return frozenset(policy for audience in over for policy in self._refused.pop(audience).blamed)

    def message(self, policy: Policy) -> str | None:
        """Return why a sidecar would not take `policy` as it is now; None when none has refused it."""
        return next((refused.message for refused in self._refused.values() if policy in refused.blamed), None)


def _is_made_of_policies(type_: ResourceType, name: str) -> bool:
    match type_:
        case ResourceType.LISTENER:
            return name == INBOUND or is_server(name)
        case ResourceType.EXTENSION:
            return name in NAMES
        case _:
            return False
