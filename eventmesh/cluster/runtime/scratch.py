"""Where a container that sees the machine's own files writes for a while: places of its own, as container images have.

Only says what is to be shown where, and makes what is shown; the child of the launcher shows it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from eventmesh.cluster.runtime.wire import Mount

PLACES: Final = ("/tmp", "/var/tmp")  # noqa: S108 - the places that everybody writes to are what this is about
"""What a container has for itself. `/dev/shm` stays the machine's: in memory, and of no use to a pod on disk."""

_ANYBODY: Final = 0o1777


def scratch_mounts(
    directory: Path, shown: Sequence[Mount], needed: Iterable[Path], *, fresh: bool
) -> tuple[Mount, ...]:
    """Return what shows directories below `directory`, the container's own, at PLACES; not where `shown`, which it
    sees anyway, has a volume.

    `needed` are paths without which it could not be started: those that lie in such a place stay, and cannot be
    written. `fresh` empties the directories first and makes the mount points in them: for a run that begins. Only
    then, since a program that runs may have put links there.
    """
    taken = {os.path.realpath(mount.target) for mount in shown}
    # One may be a link to another.
    places = [place for place in dict.fromkeys(map(os.path.realpath, PLACES)) if place not in taken]
    kept = tuple(Mount(path, path, read_only=True) for path in _outermost(needed, places))
    own = {place: directory / place.strip("/").replace("/", "-") for place in places}
    if fresh:
        shutil.rmtree(directory, ignore_errors=True)
        for place, made in own.items():
            made.mkdir(parents=True)
            made.chmod(_ANYBODY)
            for mount in (*shown, *kept):
                _make_point(mount, place, made)
    return (*(Mount(str(made), place, read_only=False) for place, made in own.items()), *kept)


def _outermost(paths: Iterable[Path], places: Sequence[str]) -> Iterator[str]:
    """Yield those of `paths` that lie in one of `places`, without those that lie in another."""
    inside = {path for path in paths if any(path.is_relative_to(place) for place in places) and path.exists()}
    yield from sorted(str(path) for path in inside if inside.isdisjoint(path.parents))


def _make_point(mount: Mount, place: str, own: Path) -> None:
    """Make what `mount` can be shown at, if that is in `place`, of which `own` is to be seen."""
    target = Path(os.path.normpath(mount.target))
    if not target.is_relative_to(place):
        return
    point = own / target.relative_to(place)
    if os.path.isdir(mount.source):
        point.mkdir(parents=True, exist_ok=True)
    else:
        point.parent.mkdir(parents=True, exist_ok=True)
        point.touch()
