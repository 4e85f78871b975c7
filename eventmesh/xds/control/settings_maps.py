"""The ConfigMaps that say how the mesh goes about, as they change: the builder is told, and who wrote nonsense."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base import log
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.watcher import TRACING, Watcher

_log = log.get("xds.control")


class SettingsMaps:
    """Takes them in. What cannot be read changes nothing."""

    def __init__(self, watcher: Watcher, builder: ResourceBuilder, tell: Callable[[Object, str, str], None]) -> None:
        """`tell(object, reason, message)` warns an object's author."""
        self._watcher = watcher
        self._builder = builder
        self._tell = tell

    def changed(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ConfigMap, as informers tell of it."""
        effect = self._watcher.config_map(old, new)
        key = key_of(new or old or {})
        problem = self._watcher.invalid_settings.get(key)
        if problem is not None:
            _log.warning("settings refused, the former ones stay", config_map=key, problem=problem)
        # What is wrong with the other one, `controllers.serving` tells its author.
        if problem is not None and new is not None and key != TRACING:
            self._tell(new, "SettingRefused", problem)
        self._builder.trace(self._watcher.tracing)
        return effect
