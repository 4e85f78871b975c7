"""Keeps the views of all namespaces true while objects change, and tells what a change can affect."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from eventmesh.base.errors import ConfigError
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.knative import SERVING_NAMESPACE
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.observability import CONFIG_MAP_NAME, TracingSettings, parse_observability
from eventmesh.xds.control.access.filter_reading import read_python_filter
from eventmesh.xds.control.access.providers import CONFIG_MAP, read_providers
from eventmesh.xds.control.access.reading import read_authentication, read_authorization
from eventmesh.xds.control.access.values import PythonFilter, RequestAuthentication
from eventmesh.xds.control.certificates import parse_certificate
from eventmesh.xds.control.changes import CLUSTER_SCOPED, Changed, Effect
from eventmesh.xds.control.gateway_api.watcher import GatewayApiWatcher
from eventmesh.xds.control.interfaces.declarations import in_force
from eventmesh.xds.control.interfaces.reading import read_protocol_declaration, read_service_interface
from eventmesh.xds.control.objects import (
    Ingress,
    Slice,
    View,
    function_of,
    in_protocols,
    is_ours,
    parse_account,
    parse_concurrency,
    parse_ingress,
    parse_mtls,
    parse_serverless,
    parse_service,
    parse_slice,
    parse_workload,
)
from eventmesh.xds.control.policy.reading import read_policy
from eventmesh.xds.control.scope import parse_egress
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

_EMPTY = View()

TRACING: Final = Key(SERVING_NAMESPACE, CONFIG_MAP_NAME)
SETTINGS: Final = frozenset((CONFIG_MAP, TRACING))
"""The ConfigMaps that say how the mesh goes about: whom its policies may ask, and how it traces."""


class Watcher:
    """The current views. Each method takes (old, new) as informers tell it."""

    def __init__(self) -> None:
        self.invalid: dict[Key, str] = {}
        """KIngresses that cannot be routed, and why."""
        self.invalid_egress: dict[str, str] = {}
        """Namespaces whose declared egress is not understood, and why."""
        self.invalid_policies: dict[Key, str] = {}
        """TrafficPolicies that are not understood, and why."""
        self.invalid_access: dict[Key, str] = {}
        """AuthorizationPolicies that are not understood, and why."""
        self.invalid_tokens: dict[Key, str] = {}
        """RequestAuthentications that are not understood, and why."""
        self.invalid_filters: dict[Key, str] = {}
        """PythonFilters that are not understood, and why."""
        self.invalid_settings: dict[Key, str] = {}
        """ConfigMaps of SETTINGS that are not understood, and why."""
        self.tracing: TracingSettings | None = None
        """How data planes trace; None: not at all."""
        self.gateway_api = GatewayApiWatcher()
        self.invalid_interfaces: dict[Key, str] = {}
        """ServiceInterfaces that are not understood, and why."""
        self.invalid_declarations: dict[Key, str] = {}
        """ProtocolDeclarations that are not understood, and why."""
        self._views: dict[str, View] = {}
        self._dirty: set[str] = set()
        self._touched: set[Key] = set()
        self._owners: dict[Key, Key] = {}
        """Whose addresses an EndpointSlice has."""
        self._declared: frozenset[str] = frozenset()
        """Protocols that Services may name."""

    def of(self, namespace: str) -> View:
        """Return what there is in a namespace now."""
        return self._views.get(namespace, _EMPTY)

    def copy(self) -> Watcher:
        """Return an independent watcher of the same views, to see what a change would do."""
        twin = Watcher()
        twin._views = dict(self._views)
        twin._owners = dict(self._owners)
        twin._declared = self._declared
        twin.invalid = dict(self.invalid)
        twin.tracing = self.tracing
        twin.gateway_api = self.gateway_api.copy()
        return twin

    def everything(self) -> Changed:
        """Return what a build from nothing must build: all of it."""
        return Changed(frozenset(self._views), routes=True)

    def take_changed(self) -> Changed:
        """Return, and forget, what has changed since the last call."""
        changed = Changed(frozenset(self._dirty), frozenset(self._touched), routes=True)
        self._dirty, self._touched = set(), set()
        return changed

    def take_touched(self) -> Changed:
        """Return, and forget, whose endpoints have changed; what else has changed is kept."""
        changed = Changed(endpoints=frozenset(self._touched))
        self._touched = set()
        return changed

    def ingress(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a KIngress; those of other classes do not exist for us."""
        key = _key(old, new)
        self.invalid.pop(key, None)
        value: Ingress | None = None
        if new is not None and is_ours(new) and not is_deleting(new):
            try:
                value = parse_ingress(new)
            except ValueError as error:
                self.invalid[key] = str(error)
        return self._put("ingresses", key, value, Effect.EVERYTHING)

    def service(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Service."""
        value = in_protocols(parse_service(new), self._declared) if new is not None else None
        return self._put("services", _key(old, new), value, Effect.EVERYTHING)

    def slice(self, old: Object | None, new: Object | None) -> Effect:
        """Take in an EndpointSlice."""
        value = parse_slice(new) if new is not None else None
        key = _key(old, new)
        former, effect = self._owners.pop(key, None), Effect.NOTHING
        if former is not None and (value is None or value.owner != former):
            effect = self._put_slice(former, key, None)
        if value is not None:
            self._owners[key] = value.owner
            effect = max(effect, self._put_slice(value.owner, key, value), key=lambda one: one.value)
        return effect

    def _put_slice(self, owner: Key, key: Key, value: Slice | None) -> Effect:
        self._touched.add(owner)
        pieces = {**self.of(owner.namespace).slices.get(owner, {})}
        pieces.pop(key, None)
        if value is not None:
            pieces[key] = value
        return self._put("slices", owner, pieces or None, Effect.ENDPOINTS)

    def serverless(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ServerlessService: a change of mode moves endpoints and nothing else."""
        key = _key(old, new)
        value = parse_serverless(new) if new is not None and not is_deleting(new) else None
        known = self.of(key.namespace).serverless.get(key)
        moved = known is not None and value is not None and known.protocol is value.protocol
        self._touched.add(key)
        effect = Effect.ENDPOINTS if moved else Effect.EVERYTHING
        return self._put("serverless", key, value, effect)

    def revision(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Revision: its containerConcurrency, and the function it belongs to, for that one's policies."""
        key = _key(old, new)
        value, function = (parse_concurrency(new), function_of(new) or None) if new is not None else (None, None)
        named = self._put(
            "functions", key, function, Effect.EVERYTHING if self.of(key.namespace).policies else Effect.NOTHING
        )
        limited = self._put("concurrency", key, value, Effect.EVERYTHING)
        account = parse_account(new) if new is not None else None
        identified = self._put("accounts", key, account, Effect.EVERYTHING)
        return max(named, limited, identified, key=lambda effect: effect.value)

    def policy(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a TrafficPolicy; one that is not understood holds for nothing."""
        key = _key(old, new)
        return self._put("policies", key, _read(old, new, read_policy, self.invalid_policies), Effect.EVERYTHING)

    def authorization(self, old: Object | None, new: Object | None) -> Effect:
        """Take in an AuthorizationPolicy; one that is not understood lets nobody be meant by it."""
        value = _read(old, new, read_authorization, self.invalid_access)
        return self._put("authorizations", _key(old, new), value, Effect.EVERYTHING)

    def authentication(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a RequestAuthentication; by one that is not understood no token is looked at."""
        key = _key(old, new)
        former = self.of(key.namespace).authentications.get(key)
        value = _read(old, new, read_authentication, self.invalid_tokens)
        effect = self._put("authentications", key, value, Effect.EVERYTHING)
        if former is not None and value is not None:
            for address in self._moved(former, value):
                self.key_set(address, "")
        return effect

    def python_filter(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a PythonFilter; by one that is not understood nobody is asked."""
        value = _read(old, new, read_python_filter, self.invalid_filters)
        return self._put("filters", _key(old, new), value, Effect.EVERYTHING)

    def python_filters(self) -> Iterator[PythonFilter]:
        """Yield the PythonFilters of all namespaces."""
        for view in self._views.values():
            yield from view.filters.values()

    def config_map(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ConfigMap: only SETTINGS matter; those that are not understood change nothing."""
        key = _key(old, new)
        if key not in SETTINGS:
            return Effect.NOTHING
        self.invalid_settings.pop(key, None)
        data = (new or {}).get("data") or {}
        try:
            if key == TRACING:
                self.tracing = parse_observability(data)
                return Effect.EVERYTHING
            providers = read_providers(data)
        except ConfigError as error:
            self.invalid_settings[key] = str(error)
            return Effect.NOTHING
        view = dataclasses.replace(self.of(SYSTEM_NAMESPACE), providers=providers)
        return self._replace(SYSTEM_NAMESPACE, view, Effect.EVERYTHING)

    def key_set(self, address: str, text: str | None) -> Effect:
        """Take in what an issuer has answered; empty: nothing that serves, None: nobody wants to know any more."""
        view = self.of(SYSTEM_NAMESPACE)
        key_sets = {known: keys for known, keys in view.key_sets.items() if known != address}
        if text is not None:
            key_sets[address] = text
        return self._replace(SYSTEM_NAMESPACE, dataclasses.replace(view, key_sets=key_sets), Effect.EVERYTHING)

    def _moved(self, former: RequestAuthentication, value: RequestAuthentication) -> Iterator[str]:
        """Yield addresses that nobody has asked yet, of issuers whose tokens were verified by other keys: a change of
        where the keys are must not have them go unverified meanwhile."""
        answered = self.of(SYSTEM_NAMESPACE).key_sets
        verified = {issuer.name for issuer in former.issuers if not issuer.keys_at or issuer.keys_at in answered}
        for issuer in value.issuers:
            if issuer.keys_at and issuer.keys_at not in answered and issuer.name in verified:
                yield issuer.keys_at

    def authentications(self) -> Iterator[tuple[Key, RequestAuthentication]]:
        """Yield the RequestAuthentications of all namespaces."""
        for view in self._views.values():
            yield from view.authentications.items()

    def addresses_of_keys(self) -> Mapping[str, float]:
        """Return the addresses of key sets that policies name, with the seconds that each may take."""
        wanted: dict[str, float] = {}
        for issuer in (issuer for _, policy in self.authentications() for issuer in policy.issuers if issuer.keys_at):
            wanted[issuer.keys_at] = max(issuer.timeout_s, wanted.get(issuer.keys_at, 0.0))
        return wanted

    def interface(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ServiceInterface; one that is not understood offers nothing."""
        value = _read(old, new, read_service_interface, self.invalid_interfaces)
        return self._put("interfaces", _key(old, new), value, Effect.EVERYTHING)

    def declaration(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ProtocolDeclaration: Services that name it speak it, or no longer do."""
        value = _read(old, new, read_protocol_declaration, self.invalid_declarations)
        effect = self._put("declarations", _key(old, new), value, Effect.EVERYTHING)
        declared = frozenset(in_force(self.of(CLUSTER_SCOPED).declarations.values()))
        if declared != self._declared:
            self._declared = declared
            for namespace, view in list(self._views.items()):
                services = {key: in_protocols(service, declared) for key, service in view.services.items()}
                self._replace(namespace, dataclasses.replace(view, services=services), Effect.EVERYTHING)
        return effect

    def pod(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a pod: its labels and its service account say who answers for a Service."""
        value = parse_workload(new) if new is not None else None
        return self._put("workloads", _key(old, new), value, Effect.EVERYTHING)

    def peer_authentication(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a PeerAuthentication."""
        value = parse_mtls(new) if new is not None and not is_deleting(new) else None
        return self._put("mtls", _key(old, new), value, Effect.EVERYTHING)

    def secret(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Secret: only those of type kubernetes.io/tls matter."""
        value = parse_certificate(new) if new is not None else None
        return self._put("certificates", _key(old, new), value, Effect.EVERYTHING)

    def namespace(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Namespace: only the egress it declares matters; one that is not understood declares nothing."""
        name = _key(old, new).name
        self.invalid_egress.pop(name, None)
        egress: tuple[Key, ...] = ()
        if new is not None:
            try:
                egress = parse_egress(new)
            except ValueError as error:
                self.invalid_egress[name] = str(error)
        return self._replace(name, dataclasses.replace(self.of(name), egress=egress), Effect.EVERYTHING)

    def _put(self, field: str, key: Key, value: object, effect: Effect) -> Effect:
        view = self.of(key.namespace)
        if getattr(view, field).get(key) == value:
            return Effect.NOTHING
        changed = dict(getattr(view, field))
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
        return self._store(key.namespace, dataclasses.replace(view, **{field: changed}), effect)  # type: ignore[arg-type]

    def _replace(self, namespace: str, view: View, effect: Effect) -> Effect:
        return self._store(namespace, view, effect) if self.of(namespace) != view else Effect.NOTHING

    def _store(self, namespace: str, view: View, effect: Effect) -> Effect:
        """Put `view`, which differs from what there is, in place of that: to compare them costs a large namespace."""
        if view == _EMPTY:
            del self._views[namespace]
        else:
            self._views[namespace] = view
        if effect is Effect.EVERYTHING:
            self._dirty.add(namespace)
        return effect


V = TypeVar("V")


def _read(
    old: Object | None,
    new: Object | None,
    read: Callable[[Object], tuple[V | None, list[FieldError]]],
    invalid: dict[Key, str],
) -> V | None:
    """Return what the object says, None when it is going or is not understood; why not stands in `invalid`."""
    invalid.pop(_key(old, new), None)
    if new is None or is_deleting(new):
        return None
    value, errors = read(new)
    if errors:
        invalid[key_of(new)] = "; ".join(map(str, errors))
    return value


def _key(old: Object | None, new: Object | None) -> Key:
    obj = new if new is not None else old
    if obj is None:
        raise ValueError("an informer told of nothing")
    return key_of(obj)
