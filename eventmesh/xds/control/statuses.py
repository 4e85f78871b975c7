"""The statuses of all objects that control makes promises about, and what has each of them looked at again.

A status depends on more than its own object: on what other objects claim, on what data planes have acknowledged or
refused, here and at other replicas. Whoever learns of such a change has no need to know whose statuses that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from eventmesh.kube.api import Resource
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import (
    KINGRESS,
    PROTOCOL_DECLARATION,
    SERVERLESS_SERVICE,
    SERVICE,
    SERVICE_INTERFACE,
    TRAFFIC_POLICY,
)
from eventmesh.xds.control.acceptance import AcceptanceStatus, Problem
from eventmesh.xds.control.backends import MissingBackends
from eventmesh.xds.control.changes import CLUSTER_SCOPED, Effect, Handler
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.ingress_status import IngressStatus
from eventmesh.xds.control.interfaces.problems import declaration_problem, interface_problem
from eventmesh.xds.control.policy.problems import problem_of as policy_problem
from eventmesh.xds.control.promises import Promises, Promising
from eventmesh.xds.control.publisher import Publication
from eventmesh.xds.control.serverless_status import ServerlessStatus


class Statuses:
    """The controllers of statuses, with their promises."""

    def __init__(
        self,
        ground: Ground,
        elsewhere: Callable[[Resource, Key], str | None],
        others: Sequence[Promising],
    ) -> None:
        """`elsewhere` returns why a data plane of another replica does not take an object; `others` are controllers of
        other kinds, those of Gateway API and of access."""
        api, informers, clock, acks = ground.api, ground.informers, ground.clock, ground.acks
        watcher, in_force, builder = ground.watcher, ground.in_force, ground.builder
        self._watcher = watcher
        self._in_force = in_force
        self._builder = builder
        self._refusals = ground.refusals
        self._elsewhere = elsewhere
        self._missing = MissingBackends(watcher.of)
        self._troubled: Mapping[Key, object] = {}
        self._offers_lost: Mapping[Key, object] = {}
        self.ingresses = IngressStatus(
            api,
            informers.of(KINGRESS),
            clock,
            acks,
            in_force.ingresses,
            ground.settings,
            invalid=lambda: builder.certificates.problems | watcher.invalid,
            conflicts=lambda: builder.conflicts,
            refusals=ground.refusals,
            elsewhere=lambda key: elsewhere(KINGRESS, key),
            missing=self._missing.message,
        )
        self._serverless = ServerlessStatus(api, informers.of(SERVERLESS_SERVICE), informers.of(SERVICE), clock, acks)
        # An API to which nobody has given our own kinds has none of them; routes do not wait for these.
        self.policies = AcceptanceStatus(
            api,
            TRAFFIC_POLICY,
            informers.of(TRAFFIC_POLICY, may_be_absent=True),
            clock,
            acks,
            self._policy_problem,
            refusal=self._policy_refusal,
            is_held=in_force.policies.holds,
        )
        kinds: tuple[tuple[Resource, Problem], ...] = (
            (SERVICE_INTERFACE, self._interface_problem),
            (PROTOCOL_DECLARATION, self._declaration_problem),
        )
        self._interfaces, self._declarations = (
            AcceptanceStatus(api, kind, informers.of(kind, may_be_absent=True), clock, acks, problem)
            for kind, problem in kinds
        )
        own = (self.ingresses, self._serverless, self.policies, self._interfaces, self._declarations)
        self.parts: Sequence[Promising] = (*own, *others)

    def watches(self) -> Iterator[tuple[Resource, Handler, Promises]]:
        """Yield which kinds are watched, who takes them in, and who keeps promises about them; not those of others."""
        yield KINGRESS, self._watcher.ingress, self.ingresses.promises
        yield SERVERLESS_SERVICE, self._watcher.serverless, self._serverless.promises
        yield TRAFFIC_POLICY, self._watcher.policy, self.policies.promises
        yield SERVICE_INTERFACE, self._watcher.interface, self._interfaces.promises
        yield PROTOCOL_DECLARATION, self._watcher.declaration, self._declarations.promises

    def still_open(self) -> int:
        """Return how many objects wait for acknowledgements."""
        return sum(len(part.promises.still_open()) for part in self.parts)

    def progressed(self) -> None:
        """Take note that a data plane has come, answered or gone: promises may have come true."""
        for part in self.parts:
            for key in part.promises.still_open():
                part.controller.enqueue(key)

    def published(self, publication: Publication, effect: Effect) -> None:
        """Take note of a publication: what it contains is promised once it is acknowledged."""
        if effect is Effect.EVERYTHING:
            self._renew_troubled()
            for key in self._missing.renew(self._in_force.rebuilt):
                self.ingresses.promises.changed(key, Effect.EVERYTHING)
            for namespace in self._in_force.rebuilt:
                # Another Service or an older policy may be there now.
                view = self._watcher.of(namespace)
                named = (
                    (self.policies, view.policies),
                    (self._interfaces, view.interfaces),
                    (self._declarations, view.declarations),
                )
                for status, keys in named:
                    for key in keys:
                        status.promises.changed(key, Effect.ENDPOINTS)
        for key in self._refusals.published(self._builder.versions):
            self.ingresses.promises.changed(key, Effect.ENDPOINTS)
        for part in self.parts:
            for key in part.promises.published(publication, effect):
                part.controller.enqueue(key)

    def _renew_troubled(self) -> None:
        """Have the status of each KIngress and ServiceInterface written anew that has won or lost a host, a certificate
        or a name by the change of another object."""
        conflicts, certificates = self._builder.conflicts, self._builder.certificates.problems
        troubled = {key: (conflicts.get(key), certificates.get(key)) for key in {*conflicts, *certificates}}
        for key in _differing(self._troubled, troubled):
            self.ingresses.promises.changed(key, Effect.EVERYTHING)
        self._troubled = troubled
        lost = dict(self._builder.offers.lost)
        for key in _differing(self._offers_lost, lost):
            self._interfaces.promises.changed(key, Effect.EVERYTHING)
        self._offers_lost = lost

    def _policy_problem(self, key: Key) -> tuple[str, str] | None:
        return policy_problem(key, self._watcher.of(key.namespace), self._watcher.invalid_policies.get(key))

    def _interface_problem(self, key: Key) -> tuple[str, str] | None:
        wrong, lost = self._watcher.invalid_interfaces.get(key), self._builder.offers.lost.get(key, {})
        return interface_problem(key, self._watcher.of(key.namespace), wrong, lost)

    def _declaration_problem(self, key: Key) -> tuple[str, str] | None:
        view = self._watcher.of(CLUSTER_SCOPED)
        return declaration_problem(key, view, self._watcher.invalid_declarations.get(key))

    def _policy_refusal(self, key: Key) -> str | None:
        """Return why a data plane would not take a policy, or a cluster that it holds for; None when all take it."""
        carriers = self._in_force.carriers(self._watcher.of(key.namespace).policies[key])
        own = (self._in_force.policies.message(key), *map(self._refusals.message, carriers))
        return next(filter(None, (*own, self._elsewhere(TRAFFIC_POLICY, key))), None)


def _differing(before: Mapping[Key, object], after: Mapping[Key, object]) -> Iterator[Key]:
    return (key for key in {*before, *after} if before.get(key) != after.get(key))
