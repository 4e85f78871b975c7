"""What the inbound side of a workload is told of the policies that select it, in Envoy's filters.

The order is Istio's: tokens first, then whom others are asked about, then who must not, then who may, and behind all of
these functions in Python, as WasmPlugins stand there. Policies of the mesh's own namespace hold for all.

Whom others are asked about is told by rules that only take note (`shadow_rules`), one filter for each provider; the
filter behind it asks where such a note is. Both are as Envoy has them, so that both proxies decide alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from eventmesh.kube.api import Object
from eventmesh.xds.control.access.values import (
    Action,
    AuthorizationPolicy,
    ExtensionProvider,
    Labels,
    PythonFilter,
    TokenIssuer,
    selects,
)
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.objects import View
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type

_PREFIX: Final = "type.googleapis.com/"
_RBAC: Final = "envoy.extensions.filters.http.rbac.v3.RBAC"
_JWT: Final = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_PYTHON: Final = "eventmesh.extensions.filters.http.python_filter.v3.PythonFilter"
_AUTHZ: Final = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"

JWT: Final = "jwt"
DENY: Final = "deny"
ALLOW: Final = "allow"
"""Filters that tokens and policies become, by name."""

_RBAC_NOTES: Final = "envoy.filters.http.rbac"
"""Namespace of the metadata in which the filter rbac takes its notes."""

_NO_KEYS: Final = "no-key-set"
"""No cluster: the names of all others have a slash in them, or are the mesh's own."""

Providers = Mapping[str, tuple[ExtensionProvider, str]]
"""Those that can be asked, by name, with their clusters."""


def filters_of(
    views: Collection[View], labels: Labels, providers: Providers, key_sets: Mapping[str, str]
) -> list[Object]:
    """Return the filters before the router, as documents, of a workload with these labels; `views` are those of the
    mesh's own namespace and of the workload's, `key_sets` are by address. Where a provider cannot be asked, whom it
    should be asked about is refused; where there are no keys, every token of that issuer."""
    tokens = [one for view in views for _, one in sorted(view.authentications.items()) if selects(one.selector, labels)]
    rules = [one for view in views for _, one in sorted(view.authorizations.items()) if selects(one.selector, labels)]
    issuers = {f"{one.key}[{at}]": issuer for one in tokens for at, issuer in enumerate(one.issuers)}
    asked = {name: one for name, one in issuers.items() if not one.keys_at or one.keys_at in key_sets}
    found = [_jwt({name: _with_keys(one, key_sets) for name, one in asked.items()})] if asked else []
    asking = [one for one in rules if one.action is Action.CUSTOM]
    for name in sorted({one.provider for one in asking} & providers.keys()):
        found += _asked(*providers[name], [one for one in asking if one.provider == name])
    denying = [one for one in rules if one.action is Action.DENY]
    if denying := [*(one for one in asking if one.provider not in providers), *denying]:
        found.append(_rbac(DENY, denying, "DENY"))
    if allowing := [one for one in rules if one.action is Action.ALLOW]:
        found.append(_rbac(ALLOW, allowing, "ALLOW"))
    return found


def python_filters_of(views: Collection[View], labels: Labels) -> list[Object]:
    """Return the filters in Python of a workload with these labels; `views` as for `filters_of`."""
    meant = [one for view in views for _, one in sorted(view.filters.items()) if selects(one.selector, labels)]
    return [_python(one) for one in sorted(meant, key=lambda one: -one.priority)]


def step_name(one: PythonFilter) -> str:
    """Return the name of a filter in Python: no other filter of a listener has it, and refusals are told by it."""
    return f"python:{one.key}"


def _python(one: PythonFilter) -> Object:
    return {"name": step_name(one), "typed_config": {"@type": _PREFIX + _PYTHON, **one.config}}


def passing(name: str) -> Object:
    """Return the filter JWT, DENY or ALLOW as it lets everybody through."""
    return {"name": name, "typed_config": {"@type": _PREFIX + (_JWT if name == JWT else _RBAC)}}


def clusters_asked(filters: Iterable[Object]) -> list[str]:
    """Return the clusters that must be there for these filters to ask."""
    found = []
    for config in (one["typed_config"] for one in filters if one["typed_config"]["@type"] == _PREFIX + _AUTHZ):
        if "grpc_service" in config:
            found.append(config["grpc_service"]["envoy_grpc"]["cluster_name"])
        else:
            found.append(config["http_service"]["server_uri"]["cluster"])
    return found


def _rbac(name: str, policies: list[AuthorizationPolicy], action: str) -> Object:
    rules = {"action": action, "policies": _named(policies)}
    return {"name": name, "typed_config": {"@type": _PREFIX + _RBAC, "rules": rules}}


def _named(policies: list[AuthorizationPolicy]) -> Object:
    return {f"{one.key}[{at}]": rule for one in policies for at, rule in enumerate(one.rules)}


def _asked(provider: ExtensionProvider, cluster: str, policies: list[AuthorizationPolicy]) -> list[Object]:
    """Return the filter that notes whom these policies mean, and the one that asks about those."""
    prefix = f"{provider.name}_"
    # Of shadow rules the action changes the note's result and nothing else; that a policy is named is what counts.
    meant = {"action": "DENY", "policies": _named(policies)}
    noting = {"@type": _PREFIX + _RBAC, "shadow_rules": meant, "shadow_rules_stat_prefix": prefix}
    note = {"key": f"{prefix}shadow_effective_policy_id"}
    enabled = {"filter": _RBAC_NOTES, "path": [note], "value": {"present_match": True}}
    asking = {"@type": _PREFIX + _AUTHZ, **_service(provider, cluster), **provider.terms}
    asking |= {"transport_api_version": "V3", "filter_enabled_metadata": enabled}
    return [
        {"name": f"meant/{provider.name}", "typed_config": noting},
        {"name": f"ask/{provider.name}", "typed_config": asking},
    ]


def _service(provider: ExtensionProvider, cluster: str) -> Object:
    if provider.speaks_grpc:
        target = {"cluster_name": cluster, "authority": f"{provider.host}:{provider.port}"}
        return {"grpc_service": {"envoy_grpc": target, "timeout": provider.timeout}}
    uri = {"uri": f"http://{provider.host}:{provider.port}", "cluster": cluster, "timeout": provider.timeout}
    return {"http_service": {"server_uri": uri, **provider.by}}


def _with_keys(issuer: TokenIssuer, key_sets: Mapping[str, str]) -> Object:
    if not issuer.keys_at:
        return issuer.terms
    if text := key_sets[issuer.keys_at]:
        return {**issuer.terms, "local_jwks": {"inline_string": text}}
    # A set to be fetched from a cluster that nobody has: what callers are told is the truth, and no key is invented.
    nowhere = {"uri": issuer.keys_at, "cluster": _NO_KEYS, "timeout": "1s"}
    return {**issuer.terms, "remote_jwks": {"http_uri": nowhere}}


def _jwt(providers: Mapping[str, Object]) -> Object:
    any_of = [*({"provider_name": name} for name in providers), {"allow_missing": {}}]
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": any_of}}}]
    return {"name": JWT, "typed_config": {"@type": _PREFIX + _JWT, "providers": dict(providers), "rules": rules}}


def encoded(document: Object) -> HttpFilter:
    """Return a filter as it is sent."""
    config = dict(document["typed_config"])
    url = config.pop("@type")
    name = url.removeprefix(_PREFIX)
    message = read_document(message_type(name), config, "", [])
    return made(
        HttpFilter, name=document["name"], typed_config=made(Any, type_url=url, value=write_wire(name, message.fields))
    )
