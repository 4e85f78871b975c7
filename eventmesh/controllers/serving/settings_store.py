"""The settings in force while ConfigMaps change.

A ConfigMap that does not parse keeps the settings in force that were there before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.config_maps import PARSERS
from eventmesh.controllers.serving.settings import SYSTEM_NAMESPACE, LocalSettings, ServingSettings
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.resources import CONFIG_MAP

_log = log.get("controllers.serving.settings")


class SettingsStore:
    """The settings in force, kept true by an informer of ConfigMaps."""

    def __init__(self, config_maps: Informer, local: LocalSettings) -> None:
        self._config_maps = config_maps
        self._initial = ServingSettings(local)
        self._current = self._initial
        self._changed: list[Callable[[], None]] = []
        config_maps.add_handler(self._config_map_changed)

    @property
    def current(self) -> ServingSettings:
        """Return the settings as of now."""
        return self._current

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a setting has taken another value."""
        self._changed.append(changed)

    async def publish(self, api: Api) -> None:
        """Create the ConfigMaps that do not exist, without keys, so that there is something to look at and to patch.

        A cluster without the system namespace keeps the defaults.
        """
        for name in PARSERS:
            if self._config_maps.get(name, SYSTEM_NAMESPACE) is None:
                metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "eventmesh"}}
                config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
                try:
                    await api.create(CONFIG_MAP, config_map, SYSTEM_NAMESPACE)
                except ApiError as error:
                    if not (error.already_exists or error.not_found):
                        raise

    def _config_map_changed(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        known = PARSERS.get(metadata["name"])
        if known is None or metadata.get("namespace") != SYSTEM_NAMESPACE:
            return
        name, parse = known
        try:
            value = parse((new or {}).get("data") or {})
        except ConfigError as error:
            _log.warning("setting refused, the former one stays", field=error.path, reason=error.problem)
            return
        if value != getattr(self._current, name):
            self._current = dataclasses.replace(self._current, **{name: value})  # type: ignore[arg-type]
            for changed in self._changed:
                changed()
