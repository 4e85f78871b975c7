"""The part of control that tells authors of policies of access what has become of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import AUTHORIZATION_POLICY, PYTHON_FILTER, REQUEST_AUTHENTICATION
from eventmesh.xds.control.acceptance import AcceptanceStatus
from eventmesh.xds.control.access.fetching import fetch_keys
from eventmesh.xds.control.access.kept_keys import KeptKeys
from eventmesh.xds.control.access.key_sets import KeySets
from eventmesh.xds.control.access.refusals import InboundRefusals
from eventmesh.xds.control.access.unable import running_no_python
from eventmesh.xds.control.access.values import AuthorizationPolicy, Policy, PythonFilter, RequestAuthentication
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.promises import Promising
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE
from eventmesh.xds.resource_types import ResourceType


class Access:
    """What control does for policies of access beside publishing."""

    def __init__(
        self,
        ground: Ground,
        touch: Callable[[Effect], None],
        tell: Callable[[Object, str, str], None],
    ) -> None:
        """`touch` has what has changed published, `tell(object, reason, message)` warns an object's author."""
        api, informers, clock, watcher = ground.api, ground.informers, ground.clock, ground.watcher
        self._watcher = watcher
        self._touch = touch
        self._tell = tell
        self._informer = informers.of(REQUEST_AUTHENTICATION, may_be_absent=True)
        self.key_sets = KeySets(clock, fetch_keys, self._keys_changed, ground.settings.jwks_refresh_s)
        self.kept = KeptKeys(api, informers, clock, self.key_sets.good)
        self._keys_differ = False
        self._access = ground.builder.access
        self._cache = ground.cache
        self._refusals = InboundRefusals()
        self._lacks: dict[Key, tuple[str, str]] = {}
        self._keys_lacking: dict[Key, tuple[str, str]] = {}
        self._acks = ground.acks
        self._not_run: dict[Key, tuple[str, str]] = {}
        self.policies, self.tokens, self.filters = (
            AcceptanceStatus(
                api,
                kind,
                informers.of(kind, may_be_absent=True),
                clock,
                ground.acks,
                problem=partial(_problem, invalid),
                refusal=partial(self._message, kind),
                lack=lacks.get,
            )
            for kind, invalid, lacks in (
                (AUTHORIZATION_POLICY, watcher.invalid_access, self._lacks),
                (REQUEST_AUTHENTICATION, watcher.invalid_tokens, self._keys_lacking),
                (PYTHON_FILTER, watcher.invalid_filters, self._not_run),
            )
        )

    @property
    def parts(self) -> Sequence[Promising]:
        """Return the controllers that write statuses."""
        return self.policies, self.tokens, self.filters

    async def begin(self) -> None:
        """Return when there is something to publish of every issuer: its keys, those of before, or that it has none."""
        self.key_sets.resume(self.kept.read())
        await self.key_sets.begin()

    def authentication(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a RequestAuthentication, and have the key sets fetched that it names."""
        effect = self._watcher.authentication(old, new)
        if effect is not Effect.NOTHING:
            self.key_sets.want(self._watcher.addresses_of_keys())
            self._keys_differ = True
        return effect

    def refused(self, nack: Nack) -> None:
        """Have the refusal of a sidecar's inbound listener, or of an Envoy's filters by name, told to those whose
        policies it may be about."""
        told = self._refusals.refused(
            nack,
            lambda audience: self._access.policies(audience.namespace, dict(audience.labels)),
            lambda policy: policy.key in self._of(policy).promises.still_open(),
        )
        for policy in told:
            self._of(policy).controller.enqueue(policy.key)

    def published(self) -> None:
        """Take note of a publication: what was refused may not be in it any more, what was missing may be there."""
        _renew(self._lacks, self._access.lacks(), self.policies)
        if self._keys_differ:
            self._keys_differ = False
            _renew(self._keys_lacking, self._without_keys(), self.tokens)
        for policy in self._refusals.published(self._version):
            self._of(policy).promises.changed(policy.key, Effect.ENDPOINTS)
        self.progressed()

    def progressed(self) -> None:
        """Take note that data planes have come, gone or answered: some may be unable to do as filters say."""
        found = running_no_python(self._watcher.python_filters(), self._acks.told_by_name())
        for key in _replace(self._not_run, found):
            self.filters.controller.enqueue(key)

    def _keys_changed(self, address: str, text: str | None) -> None:
        self._keys_differ = True
        effect, why = self._watcher.key_set(address, text), self.key_sets.stale(address)
        for key in self._naming(address):
            # Programmed is what the keys are in, and not what has been published in between.
            self.tokens.promises.changed(key, effect)
            obj = self._informer.get(key.name, key.namespace)
            if why and obj is not None:
                self._tell(obj, "KeysNotRenewed", f"GET {address}: {why}; the former keys stay")
        self._touch(effect)
        self.kept.changed()

    def _naming(self, address: str) -> Iterator[Key]:
        for key, policy in self._watcher.authentications():
            if any(issuer.keys_at == address for issuer in policy.issuers):
                yield key

    def _without_keys(self) -> dict[Key, tuple[str, str]]:
        found = {}
        for key, policy in self._watcher.authentications():
            addresses = (issuer.keys_at for issuer in policy.issuers if issuer.keys_at)
            if said := [
                self._lacking(address, why) for address in addresses if (why := self.key_sets.problem(address))
            ]:
                found[key] = "KeysUnavailable", "; ".join(said)
        return found

    def _lacking(self, address: str, why: str) -> str:
        # Until the first attempt has ended workloads are not told of the issuer (`emitting`).
        is_told = address in self._watcher.of(SYSTEM_NAMESPACE).key_sets
        return f"GET {address}: {why}; tokens of that issuer are {'refused' if is_told else 'not looked at'} meanwhile"

    def _of(self, policy: Policy) -> AcceptanceStatus:
        match policy:
            case AuthorizationPolicy():
                return self.policies
            case RequestAuthentication():
                return self.tokens
            case PythonFilter():
                return self.filters

    def _version(self, audience: Audience, type_: ResourceType, name: str) -> str | None:
        if audience not in self._cache.audiences():
            return None
        told = self._cache.current(audience).of(type_).get(name)
        return told.version if told is not None else None

    def _message(self, kind: Resource, key: Key) -> str | None:
        view = self._watcher.of(key.namespace)
        policies: Mapping[Resource, Mapping[Key, Policy]] = {
            AUTHORIZATION_POLICY: view.authorizations,
            REQUEST_AUTHENTICATION: view.authentications,
            PYTHON_FILTER: view.filters,
        }
        policy = policies[kind].get(key)
        return self._refusals.message(policy) if policy is not None else None


def _renew(known: dict[Key, tuple[str, str]], now: Mapping[Key, tuple[str, str]], status: AcceptanceStatus) -> None:
    """Put `now` in place of what is `known` to be lacking; what differs by it is for the next publication to tell."""
    for key in _replace(known, now):
        status.promises.changed(key, Effect.ENDPOINTS)


def _replace(known: dict[Key, tuple[str, str]], now: Mapping[Key, tuple[str, str]]) -> list[Key]:
    differing = [key for key in known.keys() | now.keys() if known.get(key) != now.get(key)]
    known.clear()
    known.update(now)
    return differing


def _problem(invalid: Mapping[Key, str], key: Key) -> tuple[str, str] | None:
    return ("Invalid", invalid[key]) if key in invalid else None
