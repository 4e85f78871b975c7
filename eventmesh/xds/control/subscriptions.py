"""What one type on one stream has asked for, been sent, and answered: no I/O, no clock.

One `Subscription` covers both variants of the protocol. They differ in how requests name resources and in whether
a response must be complete; versions, nonces, refusals and forced answers are the same. `streams` joins the
types of a stream and decides the order between them.

Rules are numbered as in envoyproxy/envoy docs/root/api-docs/xds_protocol.rst; each has a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.xds.control.bundles import Bundle, bundled, shared_names
from eventmesh.xds.control.grpc_servers import MAX_SERVERS, is_server
from eventmesh.xds.control.holdings import Holdings
from eventmesh.xds.control.messages import Request
from eventmesh.xds.control.resources import Configuration, Resource, absent_host, set_version
from eventmesh.xds.resource_types import ResourceType

WILDCARD = "*"

_INDEPENDENT = (ResourceType.CLUSTER, ResourceType.ENDPOINT)
"""Types of which one refused resource says nothing about the others."""


MAX_NAMES = 50_000
"""Of one type, on one stream. Ten times the clusters of a mesh of 5,000 services; of a client that goes on naming what
does not exist, each name would be remembered."""

MAX_HOSTS_REMEMBERED = 4_096
"""Virtual hosts that a stream asks for by name. Beyond them an unknown host is answered and forgotten, since it may be
anybody's invention; once it is there, the next request asks for it again."""

MAX_NAME_LENGTH = 1_024
"""Of one name. The longest of ours, a port of a Service with its namespace, is below 150; Istio's are below 600."""

MAX_WORDS = 4_096
"""Characters kept of a refusal: conditions and Events take fewer, and Envoy's words are some hundreds."""


class TooMuchAskedError(Exception):
    """The client names more than it can have use for; end its stream."""


class Variant(Enum):
    """The two forms of the protocol."""

    SOTW = "sotw"
    DELTA = "delta"


@frozen
class Push:
    """One response to be written."""

    type: ResourceType
    bundle: Bundle
    version: str
    nonce: str
    generation: int
    changed: frozenset[str]
    """Names in `resources` whose version the client did not hold; the others are there because a response must be
    complete or an answer was forced."""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Return what is new to the client, or told to it again."""
        return self.bundle.resources

    @property
    def removed(self) -> tuple[str, ...]:
        """Return names that the client shall drop."""
        return self.bundle.removed


@frozen
class Refusal:
    """A NACK: what the client would not take, in its own words. It goes on with what it had."""

    type: ResourceType
    generation: int
    names: tuple[str, ...]
    """The resources it may concern: those it mentions, else all that were new to the client."""
    message: str
    versions: tuple[str, ...] = ()
    """Of `names`."""

    @property
    def is_certain(self) -> bool:
        """True when it can be about nothing else than `names`."""
        return len(self.names) == 1 or all(mentions(self.message, name) for name in self.names)


@dataclass(slots=True)
class Subscription:
    """The state of one type on one stream."""

    type: ResourceType
    variant: Variant
    active: bool = False
    """The client has sent at least one request for this type."""
    names: frozenset[str] = frozenset()
    wildcard: bool = False
    covered: frozenset[str] | None = None
    """What the wildcard stands for; None: everything. Of clients that ask for virtual hosts on demand."""
    nonce: str = ""
    """Of the newest response; empty before the first."""
    in_flight: Push | None = None
    acknowledged: int = -1
    """Generation up to which the client has accepted everything it asked for."""
    held: Holdings = field(default_factory=Holdings)
    """What the client holds, or is being sent."""
    dirty: frozenset[str] = frozenset()
    """Names to compare with the configuration at the next push."""
    force: frozenset[str] = frozenset()
    """Names to answer whether or not they changed."""
    answer_due: bool = False
    """A request that must be answered even by an empty response."""
    refused: dict[str, str] = field(default_factory=dict)
    """Name and version of refused resources: the same bytes are never sent again."""
    words: str = ""
    """Of the latest refusal."""
    suspects: list[str] = field(default_factory=list)
    """Resources of a refused response that named none: they are tried one by one, the first one next."""
    _ever_named: bool = False

    # Requests.

    def receive(self, request: Request, configuration: Configuration) -> Refusal | None:
        """Take in one request; return the refusal when it is a NACK. Raises TooMuchAskedError."""
        self._bound(request)
        if self.variant is Variant.SOTW:
            if self.nonce and request.nonce and request.nonce != self.nonce:
                return None  # Stale: an answer to a response that a newer one has overtaken (SotW rule 3).
            refusal = self._answered(request, configuration)
            self._wanted(request, configuration)
        else:
            refusal = self._answered(request, configuration)
            self._increments(request, configuration)
        self.active = True
        return refusal

    def _bound(self, request: Request) -> None:
        named = (*request.names, *request.subscribe, *request.initial_versions)
        kept = self.names if self.variant is Variant.DELTA else frozenset()
        # A client that comes back says most names twice: once as what it holds and once as what it wants.
        if len(named) + len(kept) > MAX_NAMES and len(kept.union(named)) > MAX_NAMES:
            raise TooMuchAskedError(f"more than {MAX_NAMES} names of {self.type.short} on one stream; name fewer")
        if self.type is ResourceType.LISTENER:
            servers = {name for name in named if is_server(name)}
            if servers and len(servers.union(filter(is_server, kept))) > MAX_SERVERS:
                raise TooMuchAskedError(f"more than {MAX_SERVERS} gRPC servers on one stream; name fewer")
        longest = max(map(len, named), default=0)
        if longest > MAX_NAME_LENGTH:
            raise TooMuchAskedError(f"a {self.type.short} name of {longest} characters; at most {MAX_NAME_LENGTH}")

    def _answered(self, request: Request, configuration: Configuration) -> Refusal | None:
        push = self.in_flight
        if push is None or request.nonce != push.nonce:
            return None
        self.in_flight = None
        if request.error is None:
            self._accept(push, configuration)
            return None
        return self._refuse(push, request.error[:MAX_WORDS], configuration)

    def _accept(self, push: Push, configuration: Configuration) -> None:
        self.held.acknowledge(push.bundle, configuration.of(self.type))
        if self.suspects and self.suspects[0] in push.changed:
            self.suspects.pop(0)
            self.dirty = self.dirty.union(self.suspects[:1])
        if not self._is_held_up:
            self.acknowledged = max(self.acknowledged, push.generation)

    @property
    def _is_held_up(self) -> bool:
        """True while something refused stands between the client and the newest generation.

        A cluster or its endpoints stand for themselves: once it is known which one is refused, all others are
        served, and whoever depends on that one learns it by its own condition (`refusals`).
        """
        return bool(self.suspects) or (bool(self.refused) and self.type not in _INDEPENDENT)

    def _refuse(self, push: Push, message: str, configuration: Configuration) -> Refusal:
        """Set aside what the refusal is about, and send the rest again without it.

        Envoy and gRPC apply the good part of a refused response, other clients none of it; both are right after
        the rest has been sent once more.
        """
        self.words = message
        sent = {resource.name: resource.version for resource in push.resources}
        candidates = push.changed or frozenset(sent)
        mentioned = sorted(name for name in candidates if mentions(message, name))
        blamed = mentioned or sorted(candidates)
        self.held.refuse()
        # What has changed since is another resource, and innocent.
        current = configuration.of(self.type)
        guilty = [name for name in blamed if name in current and current[name].version == sent[name]]
        self.dirty |= candidates - set(guilty)
        self.suspects = [name for name in self.suspects if name not in blamed]
        if mentioned or len(blamed) == 1:
            self.refused.update({name: sent[name] for name in guilty})
        else:
            self.suspects = guilty
        self.dirty = self.dirty.union(self.suspects[:1])
        return Refusal(self.type, push.generation, tuple(blamed), message, tuple(sent[name] for name in blamed))

    def _wanted(self, request: Request, configuration: Configuration) -> None:
        """State of the world: the request lists everything that is wanted."""
        wanted = shared_names(name for name in request.names if name != WILDCARD)
        explicit = WILDCARD in request.names
        if request.names:
            self._ever_named = True
        # No names at all means everything only while none has ever been named (SotW rule 5), and only for the types
        # that clients do ask for wholesale.
        legacy = not request.names and not self._ever_named and self.type.absence_deletes
        wildcard = explicit or legacy
        known, dropped = self.names, self.names - wanted
        if wildcard and not self.wildcard:
            self.dirty = shared_names(self.dirty.union(configuration.of(self.type)))
            self.answer_due = True
        if not wildcard:
            # What is no longer asked for has been forgotten by the client (SotW rule 4).
            self.held.forget((self.held.names() if self.wildcard else dropped) - wanted)
        self.names, self.wildcard = wanted, wildcard
        self.force = _united(self.force, wanted - known if self.active else wanted)

    def _increments(self, request: Request, configuration: Configuration) -> None:
        """Delta: the request adds and removes names, whatever its nonce (delta rule 5)."""
        # The client's own copies of a thousand names go with its request: others have asked for the same.
        subscribe = shared_names(request.subscribe)
        if not self.active:
            self.held.brought(request.initial_versions, configuration.of(self.type))
            unnamed = not subscribe and not request.unsubscribe
            if (unnamed and self.type.absence_deletes) or WILDCARD in subscribe:
                self._start_wildcard(configuration)
            elif unnamed and self.type is ResourceType.VIRTUAL_HOST:
                self.answer_due = True  # Its route table is not used before there is an answer, of nothing.
        elif WILDCARD in subscribe and not self.wildcard:
            self._start_wildcard(configuration)
        if WILDCARD in subscribe:
            subscribe -= {WILDCARD}
        if subscribe:
            self.names = shared_names(_united(self.names, subscribe))
            self.force = _united(self.force, subscribe)
        if request.unsubscribe:
            self._unsubscribe(frozenset(request.unsubscribe))

    def _unsubscribe(self, names: frozenset[str]) -> None:
        dropped = self.names & names
        if dropped:
            self.names = shared_names(self.names - dropped)
        if WILDCARD in names:
            self.wildcard = False
            self._forget((self.held.names() | dropped) - self.names)
        elif self.wildcard:
            self.force |= dropped  # Still covered by the wildcard, or gone: the client must hear (delta rule 3).
        else:
            self._forget(dropped)

    def _start_wildcard(self, configuration: Configuration) -> None:
        self.wildcard = True
        # A client that already holds resources needs an answer only if something differs (delta rule 6).
        held = self.held.names()
        self.answer_due = not held
        self.dirty = shared_names(self.dirty.union(configuration.of(self.type), held))

    def _forget(self, names: Set[str]) -> None:
        self.held.forget(names)
        self.force -= names
        self.dirty -= names

    # The configuration.

    def changed(self, names: frozenset[str], configuration: Configuration) -> None:
        """Note that the resources `names` have changed in `configuration`."""
        current = configuration.of(self.type)
        self.held.accepted.follow(current, names)
        if not self.active:
            return
        touched = set(names & self.names)
        if self.wildcard:
            touched.update(names if self.covered is None else names & self.covered)
        for name in touched.intersection(self.refused):
            resource = current.get(name)
            if resource is None or resource.version != self.refused[name]:
                del self.refused[name]
        self.suspects = [name for name in self.suspects if name not in touched]
        self.dirty |= touched
        self.dirty = self.dirty.union(self.suspects[:1])

    def cover(self, names: frozenset[str]) -> None:
        """Have the wildcard stand for `names` alone."""
        if names != self.covered:
            self.dirty |= names ^ self.covered if self.covered is not None else names | self.held.names()
            self.covered = names

    def wants(self, name: str) -> bool:
        """True when the client has asked for `name`."""
        return name in self.names or (self.wildcard and (self.covered is None or name in self.covered))

    def effective(self, name: str, configuration: Configuration) -> Resource | None:
        """Return what this client shall hold under `name`: after a refusal, what it had before."""
        resource = configuration.of(self.type).get(name)
        if resource is None or not self.wants(name):
            return None
        if self.refused.get(name) == resource.version or name in self.suspects[1:]:
            return self.held.accepted.get(name)
        return resource

    def compare(self, configuration: Configuration) -> tuple[list[Resource], list[str], bool]:
        """Return (resources to send, names to remove, whether a response is due), and forget that it was asked."""
        update: list[Resource] = []
        gone: list[str] = []
        absent: list[str] = []
        for name in sorted(self.dirty | self.force):
            resource = self.effective(name, configuration)
            if resource is not None:
                if name in self.force or self.held.version(name) != resource.version:
                    update.append(resource)
                continue
            is_asked = name in self.force
            if is_asked and self.type is ResourceType.VIRTUAL_HOST:
                update.append(absent_host(name))
                absent.append(name)
                is_asked = False
            if is_asked or self.held.holds(name):
                gone.append(name)
        excess = len(self.names) - MAX_HOSTS_REMEMBERED
        if absent and excess > 0:
            # All at once: a client may name as many in one request as it may in all.
            self.names = shared_names(self.names.difference(absent[:excess]))
        due = bool(update or gone) or self.answer_due
        self.dirty = self.force = frozenset()
        self.answer_due = False
        return update, gone, due

    def settle(self, generation: int) -> None:
        """Note that the client lacks nothing of `generation`."""
        if self.in_flight is None and not self._is_held_up:
            self.acknowledged = max(self.acknowledged, generation)

    def send(
        self, update: list[Resource], gone: list[str], kept: Iterable[str], configuration: Configuration, nonce: str
    ) -> Push | None:
        """Return the response for these changes; None when this variant has no way to say them.

        `kept` are names that are no longer configured but must not vanish yet.
        """
        changed = [r.name for r in update if self.held.version(r.name) != r.version]
        if self.variant is Variant.SOTW:
            if self.type.absence_deletes:
                # What is gone is said by its absence; that it is must be known when it comes back.
                bundle = bundled(self._complete(kept, configuration), gone)
            elif not update:
                return None  # Absence means nothing here (SotW rules 6 and 8).
            else:
                bundle = bundled(update, gone)
            version = set_version(bundle.resources)
        else:
            bundle = bundled(update, gone)
            version = str(configuration.generation)  # Only for people: what counts is the version of each resource.
        self.held.sending(bundle)
        push = Push(
            type=self.type,
            bundle=bundle,
            version=version,
            nonce=nonce,
            generation=configuration.generation,
            changed=bundle.names if len(changed) == len(bundle.resources) else shared_names(changed),
        )
        self.nonce = nonce
        self.in_flight = push
        return push

    def _complete(self, kept: Iterable[str], configuration: Configuration) -> tuple[Resource, ...]:
        names = set(configuration.of(self.type)) if self.wildcard else set(self.names)
        found = {name: resource for name in names if (resource := self.effective(name, configuration)) is not None}
        for name in kept:
            if name not in found and name in self.held.accepted:
                found[name] = self.held.accepted[name]
        return tuple(found[name] for name in sorted(found))


def _united(names: frozenset[str], more: frozenset[str]) -> frozenset[str]:
    """Return both; the very same set where one says it all: thousands of streams share those of a thousand names."""
    return names | more if names and more else names or more


def mentions(message: str, name: str) -> bool:
    """Tell whether `name` stands in `message` as a word of its own: `local` is not mentioned by `localhost`."""
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", message) is not None
