"""The settings in force while ConfigMaps change.

A ConfigMap that does not parse keeps the settings in force that were there before. Admission refuses it; one that came
in another way is told, as is a key that changes nothing, by an Event beside the map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.config_maps import PARSERS, without_effect
from eventmesh.controllers.serving.settings import SYSTEM_NAMESPACE, LocalSettings, ServingSettings
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP

_log = log.get("controllers.serving.settings")


class SettingsStore:
    """The settings in force, kept true by an informer of ConfigMaps."""

    def __init__(self, config_maps: Informer, clock: Clock, recorder: EventRecorder, local: LocalSettings) -> None:
        self._config_maps = config_maps
        self._recorder = recorder
        self._initial = ServingSettings(local)
        self._current = self._initial
        self._changed: list[Callable[[], None]] = []
        config_maps.add_handler(self._config_map_changed)
        self.controller = Controller("settings", config_maps, self._tell, clock)
        """Tells authors what becomes of their settings; the settings themselves change without it."""

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
        obj = new or old or {}
        if not _is_setting(obj):
            return
        name, parse = PARSERS[obj["metadata"]["name"]]
        try:
            value = parse((new or {}).get("data") or {})
        except ConfigError as error:
            _log.warning("setting refused, the former one stays", field=error.path, reason=error.problem)
            return
        if value != getattr(self._current, name):
            self._current = dataclasses.replace(self._current, **{name: value})  # type: ignore[arg-type]
            for changed in self._changed:
                changed()

    async def _tell(self, key: Key) -> None:
        obj = self._config_maps.get(key.name, key.namespace)
        if obj is None or not _is_setting(obj):
            return
        data = obj.get("data") or {}
        try:
            PARSERS[key.name][1](data)
        except ConfigError as error:
            await self._recorder.record(obj, EventKind.WARNING, "SettingRefused", str(error))
        idle = without_effect(key.name, data)
        if idle:
            _log.warning("settings without effect", config_map=key.name, keys=", ".join(idle))
            await self._recorder.record(obj, EventKind.WARNING, "NoEffect", f"without effect here: {', '.join(idle)}")


def _is_setting(obj: Object) -> bool:
    key = key_of(obj)
    return key.namespace == SYSTEM_NAMESPACE and key.name in PARSERS
