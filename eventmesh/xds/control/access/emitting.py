"""What the inbound side of a workload is told of the policies that select it, in Envoy's filters.

The order is Istio's: tokens first, then who must not, then who may. Policies of the mesh's own namespace hold for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from eventmesh.kube.api import Object
from eventmesh.xds.control.access.values import AuthorizationPolicy, Labels, RequestAuthentication, selects
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.objects import View
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type

_PREFIX: Final = "type.googleapis.com/"
_RBAC: Final = "envoy.extensions.filters.http.rbac.v3.RBAC"
_JWT: Final = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def filters_of(views: Iterable[View], labels: Labels) -> list[Object]:
    """Return the filters before the router, as documents, of a workload with these labels; `views` are those of the
    mesh's own namespace and of the workload's."""
    views = tuple(views)
    tokens = [one for view in views for _, one in sorted(view.authentications.items()) if selects(one.selector, labels)]
    rules = [one for view in views for _, one in sorted(view.authorizations.items()) if selects(one.selector, labels)]
    found = [_jwt(tokens)] if tokens else []
    if denying := [one for one in rules if one.denies]:
        found.append(_rbac("deny", denying, "DENY"))
    if allowing := [one for one in rules if not one.denies]:
        found.append(_rbac("allow", allowing, "ALLOW"))
    return found


def _rbac(name: str, policies: list[AuthorizationPolicy], action: str) -> Object:
    named = {f"{one.key}[{at}]": rule for one in policies for at, rule in enumerate(one.rules)}
    return {"name": name, "typed_config": {"@type": _PREFIX + _RBAC, "rules": {"action": action, "policies": named}}}


def _jwt(policies: list[RequestAuthentication]) -> Object:
    providers = {f"{one.key}[{at}]": provider for one in policies for at, provider in enumerate(one.providers)}
    any_of = [*({"provider_name": name} for name in providers), {"allow_missing": {}}]
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": any_of}}}]
    return {"name": "jwt", "typed_config": {"@type": _PREFIX + _JWT, "providers": providers, "rules": rules}}


def encoded(document: Object) -> HttpFilter:
    """Return a filter as it is sent."""
    config = dict(document["typed_config"])
    url = config.pop("@type")
    name = url.removeprefix(_PREFIX)
    message = read_document(message_type(name), config, "", [])
    return made(
        HttpFilter, name=document["name"], typed_config=made(Any, type_url=url, value=write_wire(name, message.fields))
    )
