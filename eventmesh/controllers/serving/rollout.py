"""Gradual rollout: how the traffic of a configuration moves from its old revisions to the newest. Pure.

After Serving, pkg/reconciler/route/traffic/rollout.go. A new revision starts with one percent. When the data plane has
acknowledged that, the time it took is the shortest step that makes sense, and the rest moves in equal steps so that all
is done after the duration asked for. A revision that comes meanwhile starts with one percent of its own and
takes its steps from the newest before it; where the configuration's own share shrinks, the oldest lose first.

The state stands in an annotation of the KIngress in the form that Serving gives it, times in nanoseconds since 1970.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping

from eventmesh.base.durations import parse_go
from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.names import ROLLOUT_DURATION
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of

_NS = 1_000_000_000


@frozen
class RevisionShare:
    """A revision, and its percent of the traffic of the route (not of the configuration)."""

    revision: str
    percent: int


@frozen
class Steps:
    """When traffic moves next, and how much; all zero when nothing is under way."""

    started_ns: int = 0
    next_ns: int = 0
    """0 until the data plane has acknowledged the first percent."""
    every_ns: int = 0
    size: int = 0


@frozen
class ConfigurationRollout:
    """Who gets the traffic that follows a configuration's newest revision, under one tag of the route."""

    configuration: str
    tag: str
    percent: int
    revisions: tuple[RevisionShare, ...]
    """Oldest first; their percents add up to `percent`."""
    steps: Steps = Steps()

    @property
    def done(self) -> bool:
        """Return whether the newest revision has all there is."""
        return len(self.revisions) < 2


@frozen
class Rollout:
    """The rollouts of a route, by tag and configuration."""

    configurations: tuple[ConfigurationRollout, ...] = ()

    @property
    def done(self) -> bool:
        """Return whether every newest revision has all there is."""
        return all(each.done for each in self.configurations)

    @property
    def next_ns(self) -> int | None:
        """Return when the next step is due; None when none is."""
        return min((each.steps.next_ns for each in self.configurations if each.steps.next_ns), default=None)

    def of(self, configuration: str, tag: str) -> ConfigurationRollout | None:
        """Return the rollout of one configuration under one tag; None when it has no traffic there."""
        wanted = (configuration, tag)
        return next((each for each in self.configurations if (each.configuration, each.tag) == wanted), None)

    def revisions(self) -> Iterator[str]:
        """Yield every revision that has a share."""
        for each in self.configurations:
            yield from (share.revision for share in each.revisions)

    def without(self, is_gone: Callable[[str], bool]) -> Rollout:
        """Return the rollout with the shares of revisions that are gone at the next newer one."""
        return Rollout(tuple(_without(each, is_gone) for each in self.configurations))


def rollout_duration_s(route: Object, settings: ServingSettings) -> float:
    """Return over how long a route's traffic moves: by its annotation, else by config-network; 0 = at once."""
    try:
        said_s = parse_go(annotations_of(route).get(ROLLOUT_DURATION, "0"))
    except ValueError:
        said_s = 0.0  # Admission refuses it; an object that came in another way gets the cluster's duration.
    return max(0.0, said_s) or settings.network.rollout_duration_s


def acknowledged(rollout: Rollout, now_ns: int, duration_s: float) -> Rollout:
    """Return `rollout` with the steps planned of what has just begun: its first percent has arrived everywhere."""
    return Rollout(
        tuple(
            _planned(each, now_ns, duration_s) if each.steps.started_ns and not each.steps.every_ns else each
            for each in rollout.configurations
        )
    )


def step(goal: Rollout, before: Rollout, now_ns: int) -> Rollout:
    """Return how traffic is to flow now, on the way from `before` to `goal`.

    `goal` has one revision for each configuration. What `before` does not know is where it should be at once.
    """
    moved = []
    for target in goal.configurations:
        known = before.of(target.configuration, target.tag)
        # One percent cannot be spread.
        moved.append(target if known is None or target.percent <= 1 else _moved(target, known, now_ns))
    return Rollout(tuple(sorted(moved, key=lambda each: (each.tag, each.configuration))))


def _moved(goal: ConfigurationRollout, before: ConfigurationRollout, now_ns: int) -> ConfigurationRollout:
    shares = _adjusted(before, goal.percent)
    newest = goal.revisions[-1].revision
    if not shares or (shares[-1].revision == newest and len(shares) == 1):
        return goal
    if shares[-1].revision != newest:
        return dataclasses.replace(goal, revisions=_begun(shares, newest), steps=Steps(started_ns=now_ns))
    steps = dataclasses.replace(before.steps, size=min(before.steps.size, goal.percent))
    if not steps.size or now_ns < steps.next_ns:
        return dataclasses.replace(goal, revisions=shares, steps=steps)
    shares = _shifted(shares, steps.size)
    if len(shares) == 1:
        return goal
    return dataclasses.replace(
        goal, revisions=shares, steps=dataclasses.replace(steps, next_ns=now_ns + steps.every_ns)
    )


def _adjusted(before: ConfigurationRollout, percent: int) -> tuple[RevisionShare, ...]:
    """Return the shares when the configuration's own is now `percent`: the newest gains, the oldest lose."""
    shares = before.revisions
    if not shares:
        return ()
    if percent >= before.percent:
        gained = dataclasses.replace(shares[-1], percent=shares[-1].percent + percent - before.percent)
        return (*shares[:-1], gained)
    return _taken(shares, before.percent - percent)


def _taken(shares: tuple[RevisionShare, ...], percent: int) -> tuple[RevisionShare, ...]:
    """Return the shares with `percent` taken from the oldest, and those left out that have nothing any more."""
    for index, share in enumerate(shares):
        if share.percent > percent:
            return (dataclasses.replace(share, percent=share.percent - percent), *shares[index + 1 :])
        percent -= share.percent
    return ()


def _begun(shares: tuple[RevisionShare, ...], newest: str) -> tuple[RevisionShare, ...]:
    """Return the shares with one percent of what was newest given to `newest`."""
    index = max(number for number, share in enumerate(shares) if share.percent > 0)
    giver = dataclasses.replace(shares[index], percent=shares[index].percent - 1)
    given = (*shares[:index], giver, *shares[index + 1 :], RevisionShare(newest, 1))
    return tuple(share for share in given if share.percent)


def _shifted(shares: tuple[RevisionShare, ...], size: int) -> tuple[RevisionShare, ...]:
    """Return the shares after a step: `size` goes to the newest, from those before it, the next newest first."""
    *older, newest = shares
    wanted = size
    while older and wanted:
        last = older.pop()
        if last.percent > wanted:
            older.append(dataclasses.replace(last, percent=last.percent - wanted))
            wanted = 0
        else:
            wanted -= last.percent
    return (*older, dataclasses.replace(newest, percent=newest.percent + size - wanted))


def _planned(rollout: ConfigurationRollout, now_ns: int, duration_s: float) -> ConfigurationRollout:
    # Clocks drift, and a step below a second is no observation.
    shortest_s = max(1, math.ceil((now_ns - rollout.steps.started_ns) / _NS))
    left_s = max(1.0, duration_s - shortest_s)
    rest = rollout.percent - 1
    count = min(max(1.0, left_s / shortest_s), rest)
    every_ns = int(left_s / count * _NS)
    # Rounded up from a half, as Go does.
    size = math.floor(rest / count + 0.5)
    steps = Steps(rollout.steps.started_ns, now_ns + every_ns, every_ns, size)
    return dataclasses.replace(rollout, steps=steps)


def _without(rollout: ConfigurationRollout, is_gone: Callable[[str], bool]) -> ConfigurationRollout:
    kept: list[RevisionShare] = []
    orphaned = 0
    for share in rollout.revisions:
        if is_gone(share.revision):
            orphaned += share.percent
        else:
            kept.append(dataclasses.replace(share, percent=share.percent + orphaned))
            orphaned = 0
    if orphaned and kept:
        kept[-1] = dataclasses.replace(kept[-1], percent=kept[-1].percent + orphaned)
    return dataclasses.replace(rollout, revisions=tuple(kept))


# -- the annotation


def written(rollout: Rollout) -> str:
    """Return the rollout as Serving writes it into the annotation."""
    configurations = [_written(each) for each in rollout.configurations]
    return json.dumps({"configurations": configurations} if configurations else {}, separators=(",", ":"))


def read(text: str) -> Rollout | None:
    """Return the rollout that an annotation holds; None when it makes no sense: traffic then moves at once."""
    try:
        found = Rollout(tuple(_read(each) for each in json.loads(text).get("configurations") or ()))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if all(map(_is_valid, found.configurations)) else None


def _written(rollout: ConfigurationRollout) -> Mapping[str, object]:
    steps = rollout.steps
    times = {
        "starttime": steps.started_ns,
        "nextStepTime": steps.next_ns,
        "stepDuration": steps.every_ns,
        "stepSize": steps.size,
    }
    return {
        "configurationName": rollout.configuration,
        **({"tag": rollout.tag} if rollout.tag else {}),
        "percent": rollout.percent,
        "revisions": [{"revisionName": share.revision, "percent": share.percent} for share in rollout.revisions],
        "stepParams": {name: value for name, value in times.items() if value},
    }


def _read(obj: Mapping[str, object]) -> ConfigurationRollout:
    revisions, steps = obj.get("revisions") or [], obj.get("stepParams") or {}
    if not isinstance(revisions, list) or not isinstance(steps, dict):
        raise TypeError("revisions is a list, stepParams a map")
    times = (steps.get(name, 0) for name in ("starttime", "nextStepTime", "stepDuration", "stepSize"))
    return ConfigurationRollout(
        configuration=_text(obj["configurationName"]),
        tag=_text(obj.get("tag", "")),
        percent=_number(obj["percent"]),
        revisions=tuple(RevisionShare(_text(each["revisionName"]), _number(each["percent"])) for each in revisions),
        steps=Steps(*map(_number, times)),
    )


def _is_valid(rollout: ConfigurationRollout) -> bool:
    steps, total = rollout.steps, sum(share.percent for share in rollout.revisions)
    positive = min(steps.started_ns, steps.next_ns, steps.every_ns, *(s.percent for s in rollout.revisions), 0) == 0
    return positive and 0 <= steps.size <= rollout.percent <= 100 and total == rollout.percent


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value
