"""The ConfigMaps that say how the mesh goes about: how it traces, and whom its policies may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object
from eventmesh.kube.knative import SERVING_NAMESPACE
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.observability import CONFIG_MAP_NAME, parse_observability
from eventmesh.xds.control.access.providers import CONFIG_MAP
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.watcher import Watcher

_log = log.get("xds.control")

TRACING: Final = Key(SERVING_NAMESPACE, CONFIG_MAP_NAME)


class SettingsMaps:
    """Takes them in. What cannot be read changes nothing."""

    def __init__(self, watcher: Watcher, builder: ResourceBuilder, tell: Callable[[Object, str, str], None]) -> None:
        """`tell(object, reason, message)` warns an object's author."""
        self._watcher = watcher
        self._builder = builder
        self._tell = tell

    def changed(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ConfigMap, as informers tell of it."""
        key = key_of(new or old or {})
        if key == TRACING:
            return self._trace(new)
        effect = self._watcher.config_map(old, new)
        problem = self._watcher.invalid_settings
        if key == CONFIG_MAP and new is not None and problem is not None:
            _log.warning("settings refused, the former ones stay", config_map=key, problem=problem)
            self._tell(new, "SettingRefused", problem)
        return effect

    def _trace(self, new: Object | None) -> Effect:
        """Trace as the map says; `controllers.serving` tells its author what is wrong with it."""
        try:
            self._builder.trace(parse_observability((new or {}).get("data") or {}))
        except ConfigError as error:
            _log.warning("setting refused, the former one stays", field=error.path, reason=error.problem)
            return Effect.NOTHING
        return Effect.EVERYTHING
