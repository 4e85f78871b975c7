"""What of the objects is in force: the views that are published, without what a data plane has refused.

Policies are attached to what they hold for here, so that everything downstream sees routes and clusters with their
policies on them; and two quarantines keep out what was refused, policies before the KIngresses that carry them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TypeVar

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.changes import Changed
from eventmesh.xds.control.gateway_api.values import Route, RouteKind, World
from eventmesh.xds.control.objects import Ingress, View
from eventmesh.xds.control.policy.attaching import attached
from eventmesh.xds.control.policy.values import RoutePolicy, TrafficPolicy
from eventmesh.xds.control.quarantine import Quarantine, names_ingress, names_route
from eventmesh.xds.control.watcher import Watcher


@frozen
class Blamed:
    """What is held back because of a refusal."""

    ingresses: Sequence[Key] = ()
    policies: Sequence[Key] = ()
    routes: Mapping[RouteKind, Sequence[Key]] = field(default_factory=dict)


class InForce:
    """The views of a watcher as they are published."""

    def __init__(self, watcher: Watcher) -> None:
        self.ingresses: Quarantine[Ingress] = Quarantine(names_ingress)
        self.policies: Quarantine[TrafficPolicy] = Quarantine()
        self.routes: Mapping[RouteKind, Quarantine[Route]] = {kind: Quarantine(names_route) for kind in RouteKind}
        self.rebuilt: frozenset[str] = frozenset()
        """Namespaces of which everything was built last."""
        self._watcher = watcher
        self._attached: dict[str, tuple[View, View]] = {}
        self._routed: dict[str, Mapping[Key, Ingress]] = {}
        self._obeyed: dict[str, Mapping[Key, TrafficPolicy]] = {}
        self._all_routed: dict[Key, Ingress] = {}
        self._all_obeyed: dict[Key, TrafficPolicy] = {}
        self._held: frozenset[Key] = frozenset()

    def view(self, namespace: str) -> View:
        """Return what to publish of a namespace."""
        view = self._with_policies(namespace)
        ingresses = self.ingresses.effective(view.ingresses)
        _replace(self._all_routed, self._routed, namespace, ingresses)
        _replace(self._all_obeyed, self._obeyed, namespace, view.policies)
        return dataclasses.replace(view, ingresses=ingresses)

    def _with_policies(self, namespace: str) -> View:
        view = self._watcher.of(namespace)
        if self.policies.held():
            return attached(dataclasses.replace(view, policies=self.policies.effective(view.policies)))
        known = self._attached.get(namespace)
        if known is None or known[0] is not view:
            known = self._attached[namespace] = (view, attached(view))
        return known[1]

    def world(self) -> World:
        """Return the Gateway API objects to publish."""
        world = self._watcher.gateway_api.world
        if not any(quarantine.held() for quarantine in self.routes.values()):
            return world
        return dataclasses.replace(
            world,
            routes={
                route.id: route
                for kind, quarantine in self.routes.items()
                for route in quarantine.effective(world.of_kind(kind)).values()
            },
        )

    def take_changed(self) -> Changed:
        """Return what must be built again: what has changed, and where something is held back or was."""
        changed = self._watcher.take_changed()
        held = self.ingresses.held() | self.policies.held()
        self.rebuilt = changed.namespaces | {key.namespace for key in (*held, *self._held)}
        self._held = held
        return dataclasses.replace(changed, namespaces=self.rebuilt)

    def take_touched(self) -> Changed:
        """Return whose endpoints must be built again."""
        return self._watcher.take_touched()

    def ingress_changed(self, key: Key) -> None:
        """Take note that a KIngress has another form, or has gone."""
        self.ingresses.observed(key, self._with_policies(key.namespace).ingresses.get(key))

    def policy_changed(self, key: Key) -> None:
        """Take note that a TrafficPolicy has another form, or has gone."""
        self.policies.observed(key, self._watcher.of(key.namespace).policies.get(key))

    def route_changed(self, kind: RouteKind, key: Key) -> None:
        """Take note that a route of Gateway API has another form, or has gone."""
        self.routes[kind].observed(key, self._watcher.gateway_api.world.routes.get((kind.value, key)))

    def published(self, generation: int) -> None:
        """Take note that what `view` returned last is a publication."""
        self.ingresses.published(generation, dict(self._all_routed))
        self.policies.published(generation, dict(self._all_obeyed))
        world = self.world()
        for kind, quarantine in self.routes.items():
            quarantine.published(generation, world.of_kind(kind))

    def acknowledged(self, proves: Callable[[int], bool]) -> bool:
        """Take note of what everybody has acknowledged; True when the next publication differs by it."""
        changed = [self.ingresses.acknowledged(proves), self.policies.acknowledged(proves)]
        return any([*changed, *(quarantine.acknowledged(proves) for quarantine in self.routes.values())])

    def refused(self, generation: int, message: str) -> Blamed:
        """Take in a refusal of routes; return what is held back because of it.

        New policies are suspected before the KIngresses that carry them, and routes of Gateway API before those.
        """
        if self.policies.may_be_about(generation):
            return Blamed(policies=self.policies.refused(generation, message))
        for kind, quarantine in self.routes.items():
            if quarantine.may_be_about(generation):
                return Blamed(routes={kind: quarantine.refused(generation, message)})
        return Blamed(ingresses=self.ingresses.refused(generation, message))

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether something is kept out that may yet turn out to be innocent."""
        routes = any(quarantine.is_open for quarantine in self.routes.values())
        return self.ingresses.is_open or self.policies.is_open or routes

    def carriers(self, policy: TrafficPolicy) -> list[Key]:
        """Return the KIngresses with a path under `policy`."""
        ingresses = self._with_policies(policy.key.namespace).ingresses
        return [key for key, ingress in ingresses.items() if _carries(ingress, policy.route)]


V = TypeVar("V")


def _replace(
    everything: dict[Key, V], known: dict[str, Mapping[Key, V]], namespace: str, found: Mapping[Key, V]
) -> None:
    """Put `found` in place of what `everything` holds of the namespace."""
    for key in known.get(namespace, {}):
        everything.pop(key, None)
    known[namespace] = found
    everything.update(found)


def _carries(ingress: Ingress, policy: RoutePolicy) -> bool:
    return any(path.policy == policy for rule in ingress.rules for path in rule.paths)
