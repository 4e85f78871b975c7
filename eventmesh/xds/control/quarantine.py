"""Which object is to blame when a data plane refuses the routes, so that one author's mistake stops nobody else.

A route table is joined from many KIngresses and the policies that hold for them, and a proxy refuses it whole. Those
that changed since the last acknowledged table are suspects: they are set aside, with what was accepted of them before
in their place, so that everything else goes on; then they are tried again one at a time, and the one whose trial is
refused is convicted. It stays out until its object changes. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.gateway_api.values import Route
from eventmesh.xds.control.objects import Ingress

MAX_PUBLICATIONS = 64
"""Publications remembered while a data plane does not answer; a refusal of an older one blames what is new in none."""


class Published(Protocol):
    """Something authored that becomes part of route tables: a KIngress, a TrafficPolicy."""

    @property
    def key(self) -> Key:
        """Return which object it is."""
        ...


P = TypeVar("P", bound=Published)


@frozen
class Verdict(Generic[P]):
    """What is kept out, and the data plane's words."""

    subject: P
    message: str


@dataclass(slots=True)
class Quarantine(Generic[P]):
    """What is kept out, what is on trial, and what was acknowledged last of each object of one kind."""

    is_named: Callable[[P, str], bool] = lambda subject, message: False
    """Tells whether a refusal speaks of an object, by a host of it or by its name."""
    convicted: dict[Key, Verdict[P]] = field(default_factory=dict)
    _suspects: dict[Key, Verdict[P]] = field(default_factory=dict)
    _trial: Key | None = None
    _proven: dict[Key, P] = field(default_factory=dict)
    _published: dict[int, Mapping[Key, P]] = field(default_factory=dict)
    """What each publication contained that has not been acknowledged by all, by generation."""

    def effective(self, subjects: Mapping[Key, P]) -> Mapping[Key, P]:
        """Return what is to be published: for a KIngress that is kept out, its last acknowledged form, if any."""
        out = dict(subjects)
        for key, verdict in [*self.convicted.items(), *self._suspects.items()]:
            if key == self._trial or subjects.get(key) != verdict.subject:
                continue
            if key in self._proven:
                out[key] = self._proven[key]
            else:
                del out[key]
        return out

    @property
    def is_open(self) -> bool:
        """Tell whether somebody is suspected, and not yet cleared or convicted."""
        return bool(self._suspects)

    def held(self) -> frozenset[Key]:
        """Return the KIngresses of which something else than their newest form is published, or on trial."""
        return frozenset((*self.convicted, *self._suspects))

    def observed(self, key: Key, subject: P | None) -> None:
        """Take note that a KIngress has changed or gone: whatever was held against its old form is void."""
        for held in (self.convicted, self._suspects):
            if key in held and held[key].subject != subject:
                del held[key]
        if self._trial == key and key not in self._suspects:
            self._trial = None
        if subject is None:
            self._proven.pop(key, None)

    def published(self, generation: int, subjects: Mapping[Key, P]) -> None:
        """Take note of what a publication contains."""
        self._published[generation] = subjects
        while len(self._published) > MAX_PUBLICATIONS:
            del self._published[min(self._published)]

    def may_be_about(self, generation: int) -> bool:
        """True when a refusal of routes published at `generation` may be about something of this kind."""
        return bool(self._unproven_at(generation))

    def refused(self, generation: int, message: str) -> list[Key]:
        """Take in a refusal of routes published at `generation`; return who is held back because of it."""
        new = self._unproven_at(generation)
        held = {subject.key for subject in new if self._is_held(subject)}
        if held:
            return []  # The answer to a publication from before they were set aside: nothing new is learnt.
        named = [subject for subject in new if self.is_named(subject, message)]
        blamed = named or new
        if self._trial is not None and self._trial in [subject.key for subject in blamed]:
            blamed = [subject for subject in blamed if subject.key == self._trial]
            self._suspects.pop(self._trial, None)
            self._trial = None
        into = self.convicted if len(blamed) == 1 else self._suspects
        into.update({subject.key: Verdict(subject, message) for subject in blamed})
        return [subject.key for subject in blamed]

    def acknowledged(self, done: Callable[[int], bool]) -> bool:
        """Take note of what everybody has acknowledged, as `done` says by generation.

        True when a suspect has been cleared or is to be tried: the next publication differs.
        """
        newest = max((generation for generation in self._published if done(generation)), default=None)
        if newest is None:
            return False
        contained = self._published[newest]
        self._proven.update(contained)
        self._published = {number: rest for number, rest in self._published.items() if number > newest}
        trial = self._suspects.get(self._trial) if self._trial is not None else None
        if trial is not None and self._trial is not None:
            if contained.get(self._trial) != trial.subject:
                return False  # Not published yet.
            del self._suspects[self._trial]
        self._trial = min(self._suspects, default=None)
        return self._trial is not None

    def _unproven_at(self, generation: int) -> list[P]:
        """Return what a publication contained in a form nobody had acknowledged."""
        at = max((number for number in self._published if number <= generation), default=None)
        contained = self._published[at] if at is not None else {}
        return [subject for key, subject in contained.items() if self._proven.get(key) != subject]

    def _is_held(self, subject: P) -> bool:
        verdicts = (self.convicted.get(subject.key), self._suspects.get(subject.key))
        return subject.key != self._trial and any(v is not None and v.subject == subject for v in verdicts)

    def message(self, key: Key) -> str | None:
        """Return why the KIngress is kept out; None when it is not, or not known to be the cause."""
        verdict = self.convicted.get(key)
        return verdict.message if verdict else None

    def messages(self) -> Mapping[Key, str]:
        """Return what is kept out for good, and why."""
        return {key: verdict.message for key, verdict in self.convicted.items()}

    def holds(self, key: Key) -> bool:
        """True while the current form of the KIngress is not being published, or only on trial."""
        return key in self.convicted or key in self._suspects


def names_ingress(ingress: Ingress, message: str) -> bool:
    """Tell whether a refusal speaks of a KIngress."""
    # Virtual hosts are called `<namespace>/<name>/<rule>`.
    hosts = [host for rule in ingress.rules for host in rule.hosts]
    return f"{ingress.key}/" in message or any(host in message for host in hosts)


def names_route(route: Route, message: str) -> bool:
    """Tell whether a refusal speaks of a route of Gateway API."""
    # Its routes are called `<namespace>/<name>/<rule>`.
    return f"{route.key}/" in message or any(host in message for host in route.hostnames)
