"""Deletes revisions that `retention` finds not worth keeping, configuration by configuration."""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children
from eventmesh.controllers.serving.configuration import BY_CONFIGURATION, configuration_index
from eventmesh.controllers.serving.names import CONFIGURATION as CONFIGURATION_LABEL
from eventmesh.controllers.serving.retention import judge
from eventmesh.controllers.serving.route import BY_TARGET, targets_index
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import CONFIGURATION, REVISION, ROUTE

_log = log.get("controllers.serving.collector")


class RevisionCollector:
    """The controller that lets old revisions go."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, settings: SettingsStore) -> None:
        self._clock = clock
        self._children = Children(api)
        self._settings = settings
        self._configurations = informers.of(CONFIGURATION)
        self._revisions = informers.of(REVISION)
        self._routes = informers.of(ROUTE)
        self._revisions.add_index(BY_CONFIGURATION, configuration_index)
        self._routes.add_index(BY_TARGET, targets_index)
        self.controller = Controller("revision-gc", self._configurations, self.reconcile, clock)
        self.controller.watch(self._revisions, _configuration_of, settle_s=SETTLE_S)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Delete what is not worth keeping, and come back when the next revision becomes too old."""
        configuration = self._configurations.get(key.name, key.namespace)
        if configuration is None or is_deleting(configuration):
            return
        revisions = {
            obj["metadata"]["name"]: obj
            for obj in self._revisions.by_index(BY_CONFIGURATION, str(key))
            if not is_deleting(obj)
        }
        kept = {name for name in revisions if self._is_named(Key(key.namespace, name))}
        kept.add((configuration.get("status") or {}).get("latestReadyRevisionName") or "")
        now = self._clock.now()
        verdict = judge(revisions.values(), kept, self._settings.current.retention, now)
        for name in verdict.delete:
            _log.info("deleting a revision that is no longer in use", namespace=key.namespace, revision=name)
            await self._children.delete(REVISION, revisions[name])
        if verdict.again_at is not None:
            self.controller.enqueue_after(key, (verdict.again_at - now).total_seconds())

    def _is_named(self, revision: Key) -> bool:
        """Return whether a route names the revision, though its label may not say so yet."""
        return bool(self._routes.by_index(BY_TARGET, str(revision)))

    def _settings_changed(self) -> None:
        for configuration in self._configurations:
            self.controller.enqueue(key_of(configuration))


def _configuration_of(revision: Object) -> Iterator[Key]:
    name = labels_of(revision).get(CONFIGURATION_LABEL)
    if name:
        yield Key(revision["metadata"]["namespace"], name)
