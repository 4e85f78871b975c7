"""From the targets of a Route to revisions: who gets which share, under which names, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.rollout import ConfigurationRollout, RevisionShare, Rollout
from eventmesh.kube.api import Object
from eventmesh.kube.status import FALSE, UNKNOWN, condition

DEFAULT_TAG = ""
"""The name of the traffic that asks for no tag."""


@frozen
class Target:
    """A share of the traffic, at one revision."""

    revision: Object = field(hash=False)
    percent: int
    configuration: str = ""
    """The configuration whose newest revision this is; empty when the target names a revision."""
    tag: str = ""

    @property
    def latest(self) -> bool:
        """Return whether the target follows a configuration."""
        return bool(self.configuration)

    @property
    def revision_name(self) -> str:
        """Return the revision's name."""
        name: str = self.revision["metadata"]["name"]
        return name


@frozen
class Problem:
    """Why the traffic cannot be assigned, as the condition AllTrafficAssigned says it."""

    status: str
    """`False` when only a change of the objects helps, `Unknown` when time may."""
    reason: str
    message: str


@frozen
class Traffic:
    """The resolved targets of a Route, in the order of its spec; or the problem with the first that has one."""

    targets: tuple[Target, ...] = ()
    problem: Problem | None = None
    hidden: frozenset[str] = frozenset()
    """Tags that only the cluster's own clients may reach."""

    def tags(self) -> list[str]:
        """Return the names under which traffic is reached: the default first, then the tags by name."""
        return [DEFAULT_TAG, *sorted({target.tag for target in self.targets if target.tag})]

    def goal(self) -> Rollout:
        """Return where the traffic is to be in the end: with the newest revision of each configuration."""
        found: dict[tuple[str, str], ConfigurationRollout] = {}
        for tag in self.tags():
            for target in self.targets:
                percent = _percent(target, tag)
                if percent and target.latest:
                    known = found.get((tag, target.configuration))
                    total = percent + (known.percent if known is not None else 0)
                    share = RevisionShare(target.revision_name, total)
                    found[tag, target.configuration] = ConfigurationRollout(target.configuration, tag, total, (share,))
        return Rollout(tuple(found[key] for key in sorted(found)))

    def shares(self, tag: str, rollout: Rollout) -> list[RevisionShare]:
        """Return who answers under `tag` while `rollout` is under way: each revision once, only those with a share."""
        chosen: dict[str, int] = {}
        followed: set[str] = set()
        for target in self.targets:
            percent = _percent(target, tag)
            shares: tuple[RevisionShare, ...] = (RevisionShare(target.revision_name, percent),)
            if percent and target.latest:
                moving = rollout.of(target.configuration, tag)
                shares = moving.revisions if moving is not None and target.configuration not in followed else ()
                followed.add(target.configuration)
            for share in shares:
                chosen[share.revision] = chosen.get(share.revision, 0) + share.percent
        return [RevisionShare(revision, percent) for revision, percent in chosen.items() if percent]

    def told(self, rollout: Rollout) -> list[tuple[Target, RevisionShare]]:
        """Return what status says: the revisions of each target, with their percents of the route's traffic."""
        rows: list[tuple[Target, RevisionShare]] = []
        for target in self.targets:
            moving = rollout.of(target.configuration, DEFAULT_TAG) if target.latest and target.percent else None
            if moving is None or moving.done:
                rows.append((target, RevisionShare(target.revision_name, target.percent)))
            else:
                rows += [(target, share) for share in _apportioned(moving.revisions, target.percent)]
        return rows


Find = Callable[[str], Object | None]
"""Finds an object of the route's namespace by name."""


def _percent(target: Target, tag: str) -> int:
    if tag == DEFAULT_TAG:
        return target.percent
    return 100 if target.tag == tag else 0


def _apportioned(shares: tuple[RevisionShare, ...], percent: int) -> list[RevisionShare]:
    """Return `shares` of the part `percent` of their sum: the newest has what division leaves over."""
    total = sum(share.percent for share in shares)
    parts = [share.percent * percent // total for share in shares]
    parts[-1] += percent - sum(parts)
    return [RevisionShare(share.revision, part) for share, part in zip(shares, parts, strict=True)]


def resolve(route: Object, configurations: Find, revisions: Find) -> Traffic:
    """Return who gets the route's traffic now."""
    targets: list[Target] = []
    for target in route["spec"].get("traffic") or []:
        found = _resolve(target, configurations, revisions)
        if isinstance(found, Problem):
            return Traffic(problem=found)
        configuration = "" if target.get("revisionName") else target["configurationName"]
        targets.append(Target(found, target.get("percent") or 0, configuration, target.get("tag") or ""))
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
