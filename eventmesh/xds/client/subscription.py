"""The rules of the xDS transport protocol for one type on the client's side, without a stream.

Source: envoyproxy/envoy docs/root/api-docs/xds_protocol.rst. A subscription outlives streams: `open` starts it on a
new one, and what was accepted before is named there, so that a server sends only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from eventmesh.base.frozen import frozen
from eventmesh.xds.client.messages import Request, Resource, Response
from eventmesh.xds.resource_types import ResourceType

MAX_REASONS = 8
"""Reasons that one NACK gives; more would not fit into what an author gets to see."""


@frozen
class Changes:
    """What a response means for the resources this client holds."""

    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


class Subscription(Protocol):
    """One type, in one of the two variants of the protocol."""

    def open(self) -> Request | None:
        """Return the first request on a new stream; None while nothing is wanted."""
        ...

    def want(self, names: frozenset[str]) -> Request | None:
        """Make `names` what is wanted; return the request that says so, None when nothing needs saying now."""
        ...

    def receive(self, response: Response, held: frozenset[str]) -> Changes:
        """Take in a response, given the names held from earlier ones; it stays unanswered until `settle`."""
        ...

    def settle(self, response: Response, refused: Mapping[str, str]) -> Request | None:
        """Return the ACK, or the NACK that names why each of `refused` was; None when the answer is out of date."""
        ...


def subscription(resource_type: ResourceType, *, delta: bool, wildcard: bool) -> Subscription:
    """Return a subscription to every resource of the type (`wildcard`) or to named ones."""
    made: Subscription = (DeltaSubscription if delta else SotwSubscription)(resource_type, wildcard)
    return made


class DeltaSubscription:
    """Incremental: the server sends what changed, each resource with a version of its own."""

    def __init__(self, resource_type: ResourceType, wildcard: bool) -> None:
        self._type = resource_type
        self._wildcard = wildcard
        self._names: frozenset[str] = frozenset()
        self._versions: dict[str, str] = {}
        self._opened = False

    def open(self) -> Request | None:
        """Say everything that is wanted and the versions still held; without names it means every resource."""
        self._opened = self._wildcard or bool(self._names)
        if not self._opened:
            return None
        return Request(self._type, subscribe=tuple(sorted(self._names)), initial_versions=dict(self._versions))

    def want(self, names: frozenset[str]) -> Request | None:
        """Say what is wanted more and what no longer."""
        added, gone = names - self._names, self._names - names
        self._names = names
        for name in gone:
            self._versions.pop(name, None)
        if not self._opened:
            return self.open()
        if not added and not gone:
            return None
        return Request(self._type, subscribe=tuple(sorted(added)), unsubscribe=tuple(sorted(gone)))

    def receive(self, response: Response, held: frozenset[str]) -> Changes:
        """Leave out what is no longer wanted: an unsubscription may cross a response."""
        return Changes(_wanted(response, self._wildcard, self._names), response.removed)

    def settle(self, response: Response, refused: Mapping[str, str]) -> Request | None:
        """Remember the accepted versions; a refused resource keeps the version that is still in force."""
        for resource in _wanted(response, self._wildcard, self._names):
            if resource.name not in refused:
                self._versions[resource.name] = resource.version
        for name in response.removed:
            if name not in refused:
                self._versions.pop(name, None)
        return Request(self._type, nonce=response.nonce, error=_reason(refused))


class SotwSubscription:
    """State of the world: every request names all that is wanted, LDS and CDS responses carry all there is."""

    def __init__(self, resource_type: ResourceType, wildcard: bool) -> None:
        self._type = resource_type
        self._wildcard = wildcard
        self._names: frozenset[str] = frozenset()
        self._version = ""
        self._nonce = ""
        self._opened = False
        self._unanswered = False

    def open(self) -> Request | None:
        """Say everything that is wanted and the last accepted version; a nonce lives no longer than its stream."""
        self._nonce = ""
        self._unanswered = False
        self._opened = self._wildcard or bool(self._names)
        return self._request() if self._opened else None

    def want(self, names: frozenset[str]) -> Request | None:
        """Say the new names, unless a response is unanswered: the request would count as its ACK, which names them."""
        changed = names != self._names
        self._names = names
        if not self._opened:
            return self.open()
        return self._request() if changed and not self._unanswered else None

    def receive(self, response: Response, held: frozenset[str]) -> Changes:
        """Find what is gone: for LDS and CDS that is what the response leaves out, for others nothing ever."""
        self._nonce = response.nonce
        self._unanswered = True
        resources = _wanted(response, self._wildcard, self._names)
        if not self._type.absence_deletes:
            return Changes(resources, ())
        return Changes(resources, tuple(sorted(held - {resource.name for resource in resources})))

    def settle(self, response: Response, refused: Mapping[str, str]) -> Request | None:
        """Accept the version, or keep the last good one; an answer to an earlier response would be ignored."""
        if response.nonce != self._nonce:
            return None
        self._unanswered = False
        if not refused:
            self._version = response.version
        return self._request(_reason(refused))

    def _request(self, error: str = "") -> Request:
        names = tuple(sorted(self._names))
        return Request(self._type, nonce=self._nonce, error=error, names=names, version=self._version)


def _wanted(response: Response, wildcard: bool, names: frozenset[str]) -> tuple[Resource, ...]:
    return tuple(resource for resource in response.resources if wildcard or resource.name in names)


def _reason(refused: Mapping[str, str]) -> str:
    """Say each reason once, with the resources it concerns; a reason under the empty name concerns none alone."""
    names: dict[str, list[str]] = {}
    for name, why in refused.items():
        names.setdefault(why, []).append(name)
    told = [f"{', '.join(named)}: {why}" if named != [""] else why for why, named in names.items()]
    more = len(told) - MAX_REASONS
    return "; ".join([*told[:MAX_REASONS], f"and {more} more reasons"] if more > 0 else told)
