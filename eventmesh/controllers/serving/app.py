"""Serving together: settings, admission and the controllers; its autoscaler is `controllers.autoscaler`."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.controllers.serving.admission.kinds import serving_admissions
from eventmesh.controllers.serving.collector import RevisionCollector
from eventmesh.controllers.serving.configuration import Configurations
from eventmesh.controllers.serving.domain_mapping import DomainMappings
from eventmesh.controllers.serving.images import ImageResolver
from eventmesh.controllers.serving.revision import Revisions
from eventmesh.controllers.serving.route import Routes
from eventmesh.controllers.serving.service import Services
from eventmesh.controllers.serving.settings import LocalSettings
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.admission import Admission
from eventmesh.kube.api import Api, Resource
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import CONFIG_MAP


class ServingControllers:
    """Runs Knative Serving over shared informers.

    Made before the informers are started; `admissions` are the doors to register with an embedded API.
    """

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        images: ImageResolver,
        local: LocalSettings | None = None,
    ) -> None:
        recorder = EventRecorder(api, "serving-controller", clock)
        self._api = api
        self.settings = SettingsStore(informers.of(CONFIG_MAP), clock, recorder, local or LocalSettings())
        self.services = Services(api, informers, clock, recorder)
        self.configurations = Configurations(api, informers, clock, recorder)
        self.revisions = Revisions(api, informers, clock, recorder, self.settings, images)
        self.routes = Routes(api, informers, clock, recorder, self.settings)
        self.domains = DomainMappings(api, informers, clock, recorder, self.settings)
        self.collector = RevisionCollector(api, informers, clock, self.settings)
        self._controllers = (
            self.settings.controller,
            self.services.controller,
            self.configurations.controller,
            self.revisions.controller,
            self.routes.controller,
            self.domains.controller,
            self.collector.controller,
        )

    def admissions(self) -> dict[Resource, Admission]:
        """Return the defaults and rules of each kind."""
        return serving_admissions(lambda: self.settings.current)

    async def start(self) -> None:
        """Begin to work; the informers are expected to have synced."""
        await self.settings.publish(self._api)
        for controller in self._controllers:
            controller.start()

    async def stop(self) -> None:
        """Stop; objects stay as they are."""
        for controller in self._controllers:
            await controller.stop()
