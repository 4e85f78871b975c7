"""The part of control that tells authors of policies of access what has become of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Resource
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION
from eventmesh.xds.control.acceptance import AcceptanceStatus
from eventmesh.xds.control.access.published import INBOUND, InboundAccess
from eventmesh.xds.control.access.refusals import InboundRefusals
from eventmesh.xds.control.access.values import AuthorizationPolicy, Policy
from eventmesh.xds.control.acks import AckTracker, Nack
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.promises import Promising
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType


class Access:
    """What control does for policies of access beside publishing."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        watcher: Watcher,
        access: InboundAccess,
        acks: AckTracker,
        cache: SnapshotCache,
    ) -> None:
        self._watcher = watcher
        self._access = access
        self._cache = cache
        self._refusals = InboundRefusals()
        self._lacks: dict[Key, tuple[str, str]] = {}
        self.policies, self.tokens = (
            AcceptanceStatus(
                api,
                kind,
                informers.of(kind, may_be_absent=True),
                clock,
                acks,
                problem=partial(_problem, invalid),
                refusal=partial(self._message, kind),
                lack=lacks.get,
            )
            for kind, invalid, lacks in (
                (AUTHORIZATION_POLICY, watcher.invalid_access, self._lacks),
                (REQUEST_AUTHENTICATION, watcher.invalid_tokens, {}),
            )
        )

    @property
    def parts(self) -> Sequence[Promising]:
        """Return the controllers that write statuses."""
        return self.policies, self.tokens

    def refused(self, nack: Nack) -> None:
        """Have the refusal of a sidecar's inbound listener told to those whose policies it may be about."""
        told = self._refusals.refused(
            nack,
            lambda audience: self._access.policies(audience.namespace, dict(audience.labels)),
            lambda policy: policy.key in self._of(policy).promises.still_open(),
        )
        for policy in told:
            self._of(policy).controller.enqueue(policy.key)

    def published(self) -> None:
        """Take note of a publication: what was refused may not be in it any more, what was missing may be there."""
        before = dict(self._lacks)
        self._lacks.clear()
        self._lacks.update(self._access.lacks())
        for key in before.keys() | self._lacks.keys():
            if before.get(key) != self._lacks.get(key):
                self.policies.promises.changed(key, Effect.ENDPOINTS)
        for policy in self._refusals.published(self._version):
            self._of(policy).promises.changed(policy.key, Effect.ENDPOINTS)

    def _of(self, policy: Policy) -> AcceptanceStatus:
        return self.policies if isinstance(policy, AuthorizationPolicy) else self.tokens

    def _version(self, audience: Audience) -> str | None:
        if audience not in self._cache.audiences():
            return None
        listener = self._cache.current(audience).of(ResourceType.LISTENER).get(INBOUND)
        return listener.version if listener is not None else None

    def _message(self, kind: Resource, key: Key) -> str | None:
        view = self._watcher.of(key.namespace)
        policies: Mapping[Key, Policy] = view.authorizations if kind is AUTHORIZATION_POLICY else view.authentications
        return self._refusals.message(policies[key]) if key in policies else None


def _problem(invalid: Mapping[Key, str], key: Key) -> tuple[str, str] | None:
    return ("Invalid", invalid[key]) if key in invalid else None
