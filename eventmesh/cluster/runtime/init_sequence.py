"""The init containers of one pod, one after the other: which are done, which one the others wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventmesh.cluster.runtime.container import Container, Role


class InitSequence:
    """How far the init containers have come. A side container has done its part once it has started."""

    def __init__(self, containers: Iterable[Container]) -> None:
        """Of all `containers` of the pod it takes those that it is about."""
        self._containers = [each for each in containers if each.role in (Role.INIT, Role.SIDE)]
        self._begun: Container | None = None
        """The one that the next waits for."""
        self._passed: set[str] = set()
        self.failed = False
        """True when one has failed for good: the work will never begin."""

    def __bool__(self) -> bool:
        return bool(self._containers)

    @property
    def remaining(self) -> list[str]:
        """Return the names of those that have not done their part yet."""
        return [each.name for each in self._containers if each.name not in self._passed]

    @property
    def is_running(self) -> bool:
        """True while the one that the next waits for has a process."""
        return self._begun is not None and self._begun.running

    def waits_for(self, container: Container) -> bool:
        """Return whether it is this one that the next, or the work, waits for."""
        return container is self._begun

    def passed(self, container: Container) -> None:
        """Note that it has done its part."""
        self._passed.add(container.name)

    def resume(self, has_begun: bool, is_started: Callable[[Container], bool]) -> None:
        """Find out how far an earlier runtime has come, by the containers themselves; `has_begun`: so has the work."""
        for each in self._containers:
            if each.succeeded or (each.role is Role.SIDE and each.running and (has_begun or is_started(each))):
                self.passed(each)
        self.next()

    def next(self) -> Container | None:
        """Return the first that has its part still to do, which the others wait for from now on; None: all are done."""
        self._begun = next((each for each in self._containers if each.name not in self._passed), None)
        return self._begun
