"""Why a ServiceInterface or a ProtocolDeclaration cannot hold for what it names. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.kube.objects import Key
from eventmesh.xds.control.interfaces.declarations import refused
from eventmesh.xds.control.interfaces.offers import ports_offered
from eventmesh.xds.control.objects import View

_Problem = tuple[str, str] | None
"""(reason, message); None: there is none."""


def interface_problem(key: Key, view: View, wrong: str | None, lost: Mapping[str, Key]) -> _Problem:
    """Return what keeps a ServiceInterface from being accepted: `wrong` is what of it is not understood, `lost` the
    names that others have. Names that it has not lost hold all the same."""
    if wrong is not None:
        return "Invalid", wrong
    offered = view.interfaces.get(key)
    if offered is None:
        return None
    service = view.services.get(Key(key.namespace, offered.service))
    if service is None:
        return "TargetNotFound", f"there is no Service {offered.service} in namespace {key.namespace}"
    if offered.port and all(port.name != offered.port for port in service.ports):
        return "TargetNotFound", f"Service {offered.service} has no port {offered.port}"
    if not ports_offered(service, offered.port):
        which = f"port {offered.port}" if offered.port else "no port"
        return "UnsupportedProtocol", (
            f"{which} of Service {offered.service} {'does not speak' if offered.port else 'speaks'} a protocol that is "
            "called by interface; its appProtocol must be bolt, dubbo or the name of a ProtocolDeclaration"
        )
    if lost:
        return "Conflicted", "; ".join(f"{name} is offered by {owner} already" for name, owner in sorted(lost.items()))
    return None


def declaration_problem(key: Key, view: View, wrong: str | None) -> _Problem:
    """Return what keeps a ProtocolDeclaration from being accepted."""
    if wrong is not None:
        return "Invalid", wrong
    one = view.declarations.get(key)
    return None if one is None else refused(one, view.declarations)
