"""The listener that says what the inbound side of a workload does before its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final
from weakref import WeakValueDictionary

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control import envoy
from eventmesh.xds.control.access.by_name import FiltersByName, said
from eventmesh.xds.control.access.emitting import clusters_asked, encoded, filters_of, python_filters_of
from eventmesh.xds.control.access.providers import CONFIG_MAP
from eventmesh.xds.control.access.values import AuthorizationPolicy, ExtensionProvider, Labels, Policy, selects
from eventmesh.xds.control.envoy import HttpListener, Protocol
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import service_cluster
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

INBOUND: Final = "inbound"
"""The listener that says how a workload's own inbound listeners speak TLS, and whom they let through. Its address is a
placeholder, Istio's of `virtualInbound`: the workload knows better where it listens."""
_PLACEHOLDER: Final = ("0.0.0.0", 15006)  # noqa: S104 - never bound


def inbound_listener(filters: Iterable[Object]) -> Resource:
    """Return the listener with these filters before its router."""
    return envoy.http_listener(HttpListener(INBOUND, *_PLACEHOLDER, table=""), filters=map(encoded, filters))


@dataclass(frozen=True)
class _Inbound(Resource):
    """The listener of some workloads, and what it was made of."""

    filters: list[Object] = field(repr=False, compare=False)


class InboundAccess:
    """Keeps the policies of access of all namespaces, and what workloads are told of them."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._providers: dict[str, tuple[ExtensionProvider, str]] = {}
        self._unavailable: dict[str, tuple[str, str]] = {}
        self._asking: dict[str, list[AuthorizationPolicy]] = {}
        """Those that name a provider, by namespace."""
        self._listeners: WeakValueDictionary[tuple[str, frozenset[tuple[str, str]]], _Inbound] = WeakValueDictionary()
        """As long as somebody is told of them: each revision of a function has labels of its own."""

    def renew(self, namespace: str, view: View) -> bool:
        """Take in a namespace; return whether workloads elsewhere are concerned."""
        before = self._views.get(namespace, View())
        changed = said(before) != said(view) or before.filters != view.filters
        if any((*said(view), view.filters, view.providers)):
            self._views[namespace] = view
        else:
            self._views.pop(namespace, None)
        asking = [policy for policy in view.authorizations.values() if policy.provider]
        if asking:
            self._asking[namespace] = asking
        else:
            self._asking.pop(namespace, None)
        return namespace == SYSTEM_NAMESPACE and changed

    def resolve(self, view: Callable[[str], View]) -> bool:
        """Find the Services of all extension providers, `view` being what there is in a namespace; return whether
        anything has changed."""
        before = self._providers, self._unavailable
        self._providers, self._unavailable = {}, {}
        for name, provider in self._views.get(SYSTEM_NAMESPACE, View()).providers.items():
            if isinstance(provider, str):
                self._unavailable[name] = "InvalidProvider", provider
            elif problem := _problem(provider, view(provider.service.namespace)):
                self._unavailable[name] = "ProviderNotFound", problem
            else:
                self._providers[name] = provider, service_cluster(provider.service, provider.port)
        return before != (self._providers, self._unavailable)

    def lacks(self) -> dict[Key, tuple[str, str]]:
        """Return (reason, message) for each policy that means requests about which nobody can be asked."""
        found = {}
        for policy in chain.from_iterable(self._asking.values()):
            name = policy.provider
            if name not in self._providers:
                unknown = "UnknownProvider", f"extensionProviders of {CONFIG_MAP} has no {name!r}"
                reason, message = self._unavailable.get(name, unknown)
                found[policy.key] = reason, f"{message}; requests that the rules mean are refused"
        return found

    def is_asked_in(self, namespaces: Iterable[str]) -> bool:
        """Tell whether a provider's Service is in one of `namespaces`."""
        where = {provider.service.namespace for provider, _ in self._providers.values()}
        return not where.isdisjoint(namespaces)

    def clusters(self, namespace: str, labels: Labels) -> list[str]:
        """Return the clusters that a workload with these labels asks before it lets requests in."""
        return clusters_asked(self.filters(namespace, labels)) if self._providers else []

    def policies(self, namespace: str, labels: Labels) -> list[Policy]:
        """Return the policies that select a workload with these labels."""
        found: list[Policy] = []
        for view in self._views_for(namespace):
            found += view.authorizations.values()
            found += view.authentications.values()
            found += view.filters.values()
        return [policy for policy in found if selects(policy.selector, labels)]

    def filters(self, namespace: str, labels: Labels) -> list[Object]:
        """Return the filters, as documents, of a workload with these labels."""
        key_sets = self._views.get(SYSTEM_NAMESPACE, View()).key_sets
        views = self._views_for(namespace)
        return [*filters_of(views, labels, self._providers, key_sets), *python_filters_of(views, labels)]

    def by_name(self, namespace: str, labels: Labels) -> FiltersByName:
        """Return the filters of a workload with these labels, for a proxy whose listener names them."""
        return FiltersByName(tuple(self._views_for(namespace)), labels)

    def _views_for(self, namespace: str) -> list[View]:
        """Return where the policies stand that may select workloads of a namespace; one may be both."""
        names = dict.fromkeys((SYSTEM_NAMESPACE, namespace))
        return [self._views[name] for name in names if name in self._views]

    def listeners(self, namespace: str, labels: frozenset[tuple[str, str]]) -> Mapping[str, Resource]:
        """Return the listener that a workload is told; none where no policy selects it, unless one did: a sidecar to
        whom nothing is said goes on by what it has heard last."""
        filters = self.filters(namespace, dict(labels)) if self._views else []
        known = self._listeners.get((namespace, labels))
        if not filters and known is None:
            return {}
        if known is None or known.filters != filters:
            made = inbound_listener(filters)
            known = _Inbound(made.type, made.name, made.version, made.pieces, filters)
            self._listeners[namespace, labels] = known
        return {INBOUND: known}


def _problem(provider: ExtensionProvider, view: View) -> str:
    """Return why a provider cannot be asked; empty when it can."""
    key, number = provider.service, provider.port
    service = view.services.get(key)
    if service is None or service.placeholder or service.of_revision:
        why = "there is no Service" if service is None else "a Knative Service has no pods of its own to ask:"
        return f"provider {provider.name}: {why} {key}"
    port = next((port for port in service.ports if port.number == number), None)
    if port is None:
        return f"provider {provider.name}: Service {key} has no port {number}"
    if provider.speaks_grpc and port.protocol is not Protocol.HTTP2:
        return f"provider {provider.name}: port {number} of Service {key} is not one of gRPC; say appProtocol: grpc"
    if port.protocol not in (Protocol.HTTP1, Protocol.HTTP2):
        return f"provider {provider.name}: port {number} of Service {key} does not speak HTTP"
    return ""
