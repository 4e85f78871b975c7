"""Which policies of access a workload's sidecar or gRPC server would not take, in its words. Pure.

It is told of all policies that select it in one listener, a sidecar in `inbound` and a server in its own, or an Envoy
in filters by name, and refuses that whole; it goes on by the one it had. Guilty are the policies that its words name,
else those that are new, else all that it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.xds.control.access.by_name import NAMES, filter_of
from eventmesh.xds.control.access.emitting import step_name
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.control.access.values import Policy, PythonFilter
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.grpc_servers import is_server
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.subscriptions import mentions
from eventmesh.xds.resource_types import ResourceType

_Subject = tuple[Audience, ResourceType, str]
"""Whose listener or filter, and its name."""


@frozen
class _Refused:
    version: str
    message: str
    blamed: frozenset[Policy]


@dataclass(slots=True)
class InboundRefusals:
    """The newest refusal of each listener and filter, for as long as its audience is told so. There are no more than
    audiences are told of: one of a sidecar, three of an Envoy, `MAX_SERVERS` of a stream with gRPC servers."""

    _refused: dict[_Subject, _Refused] = field(default_factory=dict)

    def refused(
        self, nack: Nack, told: Callable[[Audience], Iterable[Policy]], is_new: Callable[[Policy], bool]
    ) -> frozenset[Policy]:
        """Take in a refusal; return the policies to blame for it. `told` returns those that an audience is told of."""
        refusal = nack.refusal
        name = next((one for one in refusal.names if _is_made_of_policies(refusal.type, one)), None)
        if not refusal.is_certain or name is None:
            return frozenset()
        # A listener is made of all policies of a workload, a filter by name of some.
        is_filter = refusal.type is ResourceType.EXTENSION
        policies = {policy for policy in told(nack.audience) if not is_filter or filter_of(policy) == name}
        named = {policy for policy in policies if _names(refusal.message, policy)}
        blamed = frozenset(named or {policy for policy in policies if is_new(policy)} or policies)
        version = refusal.versions[refusal.names.index(name)]
        subject = nack.audience, refusal.type, name
        self._refused[subject] = _Refused(version, f"{nack.node}: {refusal.message}", blamed)
        return blamed

    def published(self, version: Callable[[Audience, ResourceType, str], str | None]) -> frozenset[Policy]:
        """Forget refusals of what is not told any more, `version` being that of a resource as an audience is told of
        it; return the policies that were blamed for it."""
        over = [subject for subject, one in self._refused.items() if version(*subject) != one.version]
        return frozenset(policy for subject in over for policy in self._refused.pop(subject).blamed)

    def message(self, policy: Policy) -> str | None:
        """Return why a sidecar would not take `policy` as it is now; None when none has refused it."""
        return next((refused.message for refused in self._refused.values() if policy in refused.blamed), None)


_REFUSING: Final = re.compile(r"filter \S+: '\w+' in (.+?) refuses ")
"""Words of `dataplane.filter_files` about a filter that cannot be made of its configuration, for which steps."""


def _names(message: str, policy: Policy) -> bool:
    if made_for := _REFUSING.search(message):
        # What follows is the configuration, in which any word may stand.
        return isinstance(policy, PythonFilter) and step_name(policy) in made_for[1].split(", ")
    if mentions(message, str(policy.key)):
        return True
    if isinstance(policy, PythonFilter):
        # In the words of `dataplane.filter_files`: the function is missing, or its file is no good.
        file, name = f"filter {policy.config['file']}", policy.config["name"]
        missing = f"{file}: has no filter "
        return f"{missing}{name!r}" in message if missing in message else mentions(message, file)
    return False


def _is_made_of_policies(type_: ResourceType, name: str) -> bool:
    match type_:
        case ResourceType.LISTENER:
            return name == INBOUND or is_server(name)
        case ResourceType.EXTENSION:
            return name in NAMES
        case _:
            return False
