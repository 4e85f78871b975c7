"""From the targets of a Route to revisions: who gets which share, under which names, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eventmesh.kube.api import Object
from eventmesh.kube.status import FALSE, UNKNOWN, condition

DEFAULT_TAG = ""
"""The name of the traffic that asks for no tag."""


@dataclass(frozen=True, slots=True)
class Target:
    """A share of the traffic, at one revision."""

    revision: Object = field(hash=False)
    percent: int
    latest: bool
    tag: str = ""

    @property
    def revision_name(self) -> str:
        """Return the revision's name."""
        name: str = self.revision["metadata"]["name"]
        return name


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the traffic cannot be assigned, as the condition AllTrafficAssigned says it."""

    status: str
    """`False` when only a change of the objects helps, `Unknown` when time may."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """The resolved targets of a Route, in the order of its spec; or the problem with the first that has one."""

    targets: tuple[Target, ...] = ()
    problem: Problem | None = None

    def tags(self) -> list[str]:
        """Return the names under which traffic is reached: the default first, then the tags in order."""
        return [DEFAULT_TAG, *dict.fromkeys(target.tag for target in self.targets if target.tag)]

    def shares(self, tag: str) -> list[tuple[Object, int]]:
        """Return the revisions and percents behind `tag`; each revision once, those without a share left out."""
        chosen: dict[str, tuple[Object, int]] = {}
        for target in self.targets:
            percent = target.percent if tag == DEFAULT_TAG else 100 if target.tag == tag else 0
            if percent:
                known = chosen.get(target.revision_name, (target.revision, 0))
                chosen[target.revision_name] = (target.revision, known[1] + percent)
        return list(chosen.values())


Find = Callable[[str], Object | None]
"""Finds an object of the route's namespace by name."""


def resolve(route: Object, configurations: Find, revisions: Find) -> Traffic:
    """Return who gets the route's traffic now."""
    targets: list[Target] = []
    for target in route["spec"].get("traffic") or []:
        found = _resolve(target, configurations, revisions)
        if isinstance(found, Problem):
            return Traffic(problem=found)
        latest = not target.get("revisionName")
        targets.append(Target(found, target.get("percent") or 0, latest, target.get("tag") or ""))
    return Traffic(tuple(targets))


def _resolve(target: Object, configurations: Find, revisions: Find) -> Object | Problem:
    name = target.get("revisionName")
    if not name:
        return _newest(target["configurationName"], configurations, revisions)
    revision = revisions(name)
    if revision is None:
        return Problem(FALSE, "RevisionMissing", f'Revision "{name}" referenced in traffic not found.')
    ready = condition(revision, "Ready")
    if ready is not None and ready["status"] == FALSE:
        return Problem(FALSE, "RevisionMissing", f'Revision "{name}" failed to become ready.')
    if ready is None or ready["status"] == UNKNOWN:
        return Problem(UNKNOWN, "RevisionMissing", f'Revision "{name}" is not yet ready.')
    return revision


def _newest(name: str, configurations: Find, revisions: Find) -> Object | Problem:
    configuration = configurations(name)
    if configuration is None:
        return Problem(FALSE, "ConfigurationMissing", f'Configuration "{name}" referenced in traffic not found.')
    newest = (configuration.get("status") or {}).get("latestReadyRevisionName")
    if not newest:
        ready = condition(configuration, "Ready")
        if ready is not None and ready["status"] == FALSE:
            return Problem(FALSE, "RevisionMissing", f'Configuration "{name}" does not have any ready Revision.')
        message = f'Configuration "{name}" is waiting for a Revision to become ready.'
        return Problem(UNKNOWN, "RevisionMissing", message)
    revision = revisions(newest)
    if revision is None:
        return Problem(FALSE, "RevisionMissing", f'Revision "{newest}" referenced in traffic not found.')
    return revision
