"""The autoscaler together: its controllers, its measuring, and the port that activators report to."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.controllers.autoscaler.collector import Collector
from eventmesh.controllers.autoscaler.deciders import Deciders
from eventmesh.controllers.autoscaler.horizontal import HorizontalPodAutoscalers
from eventmesh.controllers.autoscaler.podautoscaler import PodAutoscalers
from eventmesh.controllers.autoscaler.reports import ReportServer
from eventmesh.controllers.autoscaler.scraper import Scraper
from eventmesh.controllers.autoscaler.serverlessservice import ServerlessServices
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers

DEFAULT_ADDRESS = ("127.0.0.1", 18080)


class Autoscaler:
    """Scales every revision of class kpa, and has those of class hpa scaled."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        settings: SettingsStore,
        address: tuple[str, int] = DEFAULT_ADDRESS,
    ) -> None:
        recorder = EventRecorder(api, "autoscaler", clock)
        self._collector = Collector()
        self.deciders = Deciders(self._collector, clock)
        self.autoscalers = PodAutoscalers(api, informers, clock, recorder, settings, self.deciders)
        self.horizontal = HorizontalPodAutoscalers(api, informers, clock, recorder, settings)
        self.serverless = ServerlessServices(api, informers, clock, recorder)
        self._scraper = Scraper(self._collector, self.autoscalers.scrape_targets, clock)
        self.reports = ReportServer(*address, self.deciders.report)
        self._tasks = TaskGroup("autoscaler")

    async def start(self) -> None:
        """Begin to work; the informers are expected to have synced. Raises UnavailableError for a taken port."""
        await self.reports.start()
        self.autoscalers.controller.start()
        self.horizontal.controller.start()
        self.serverless.controller.start()
        self._tasks.spawn("decide", self.deciders.run())
        self._tasks.spawn("scrape", self._scraper.run())

    async def stop(self) -> None:
        """Stop; nothing is scaled any more."""
        await self.reports.stop()
        await self._tasks.stop()
        await self.autoscalers.controller.stop()
        await self.horizontal.controller.stop()
        await self.serverless.controller.stop()
