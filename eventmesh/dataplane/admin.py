"""The admin pages of a data plane, at Envoy's own paths and in its words, served by the engine itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from eventmesh import __version__
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.dataplane import prometheus
from eventmesh.dataplane.envoy_address import address_document
from eventmesh.dataplane.figures import Figures
from eventmesh.dataplane.plane import State
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, RouteTable, Serve, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import ExchangeHandler, Reply

if TYPE_CHECKING:
    from eventmesh.base.metrics import Statistics
    from eventmesh.core._core import Request
    from eventmesh.dataplane.plane import DataPlane

LISTENER: Final = "admin"
HANDLER: Final = "admin"

TAP_HELP: Final = "exchanges as they pass (`eventmesh tap`)"

_JSON: Final = (("content-type", "application/json"),)


def pages(address: str) -> Snapshot:
    """Return the listener and the route that serve the admin pages at `address`."""
    everything = Route(RouteMatch("/"), Serve(HANDLER, max_body_bytes=65_536), name=HANDLER)
    return Snapshot(
        version="",
        listeners=(Listener(LISTENER, address, LISTENER, protocol=WireProtocol.HTTP1),),
        route_tables=(RouteTable(LISTENER, (VirtualHost(LISTENER, ("*",), (everything,)),)),),
    )


@frozen
class Page:
    """One page: what it is about, and what makes it."""

    help: str
    render: Callable[[], Reply | Awaitable[Reply]]
    changes_state: bool = False


class Subject(Protocol):
    """What the pages tell about: a data plane, or several workers as one."""

    @property
    def state(self) -> State:
        """What `/ready` answers."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in force."""
        ...

    def addresses(self) -> Mapping[str, str]:
        """Return where each listener really listens."""
        ...

    async def figures(self) -> Figures:
        """Return what has been counted."""
        ...

    async def cluster_statuses(self) -> list[bytes]:
        """Return what each engine tells of clusters and endpoints (`Engine.cluster_statuses`)."""
        ...

    def drain_listeners(self, keep: frozenset[str]) -> None:
        """Accept no more, except on the listeners named in `keep`, and begin to finish what is in flight."""


class Looking:
    """The page `/tap`, whose module is imported when somebody asks for it first: most processes are never looked at."""

    def __init__(self, plane: DataPlane, clock: Clock) -> None:
        self._plane = plane
        self._clock = clock
        self._page: ExchangeHandler | None = None

    async def handle(self, request: Request) -> Reply:
        """Return what has passed (`dataplane.tap`)."""
        if self._page is None:
            from eventmesh.dataplane.tap import EngineSource, TapPage

            self._page = TapPage(EngineSource(self._plane.engine), self._clock)
        return await self._page.handle(request)


class Admin:
    """The `ExchangeHandler` behind the admin listener."""

    def __init__(self, plane: Subject, clock: Clock, node_id: str, on_quit: Callable[[], None]) -> None:
        """`on_quit` ends the process in an orderly way, as SIGTERM does."""
        self._plane = plane
        self._clock = clock
        self._started = clock.monotonic()
        self._node_id = node_id
        self._on_quit = on_quit
        self._pages: Mapping[str, Page] = {
            "/ready": Page("LIVE when requests are served", self._ready),
            "/stats": Page("counters, gauges and histogram totals", self._stats),
            "/stats/prometheus": Page("the same for Prometheus", self._prometheus),
            "/stats?format=prometheus": Page("the same for Prometheus", self._prometheus),
            "/stats?format=json": Page("the same as a document", self._stats_json),
            "/clusters": Page("how clusters and their endpoints fare", self._clusters),
            "/clusters?format=json": Page("the same as a document", self._clusters_json),
            "/config_dump": Page("the configuration in force", self._config_dump),
            "/listeners": Page("where each listener listens", self._listeners),
            "/listeners?format=json": Page("the same as a document", self._listeners_json),
            "/server_info": Page("version, state, uptime", self._server_info),
            "/drain_listeners": Page("accept no more, finish what is in flight", self._drain_listeners, True),
            "/quitquitquit": Page("drain and end the process", self._quit, True),
        }

        self._measured: list[Callable[[], Awaitable[Statistics]]] = []
        self._rooms: dict[str, tuple[str, ExchangeHandler]] = {}

    def add(self, name: str, help_line: str, handler: ExchangeHandler) -> None:
        """Have `handler` answer what is asked at and below the path `/name`."""
        self._rooms[name] = (help_line, handler)

    def measure(self, source: Callable[[], Awaitable[Statistics]]) -> None:
        """Show what `source` returns beside the engine's statistics. A MeshError of it is told in its place."""
        self._measured.append(source)

    async def handle(self, request: Request) -> Reply:
        """Return the page that the path names; 404 lists them all."""
        path, _, query = request.path.partition("?")
        if (room := self._rooms.get(path.split("/")[1])) is not None:
            return await room[1].handle(request)
        form = next((word for word in query.split("&") if word.startswith("format=")), "")
        page = self._pages.get(f"{path}?{form}") or self._pages.get(path)
        if page is None:
            helps = {name: known.help for name, known in self._pages.items()}
            helps |= {f"/{name}": text for name, (text, _) in self._rooms.items()}
            listing = "".join(f"{name}: {text}\n" for name, text in sorted(helps.items()))
            return Reply.text(200 if path == "/" else 404, listing)
        allowed = ("POST",) if page.changes_state else ("GET", "HEAD")
        if request.method not in allowed:
            refusal = Reply.text(405, f"{path} takes {' or '.join(allowed)}\n")
            return Reply(refusal.status, (*refusal.headers, ("allow", ", ".join(allowed))), refusal.body)
        answer = page.render()
        return answer if isinstance(answer, Reply) else await answer

    def _ready(self) -> Reply:
        state = self._plane.state
        return Reply.text(200 if state is State.LIVE else 503, f"{state.value}\n")

    async def _stats(self) -> Reply:
        more, notes = await self._measure()
        figures = await self._plane.figures()
        text = prometheus.render_plain(figures.engine, *more)
        return Reply.text(200, text + _own_counters(figures, ": ") + notes)

    async def _stats_json(self) -> Reply:
        more, _ = await self._measure()
        figures = await self._plane.figures()
        return Reply(200, _JSON, prometheus.render_json(figures.engine, figures.own, *more).encode())

    async def _measure(self) -> tuple[list[Statistics], str]:
        """Return what the other parts of this process count, and comments on those that cannot tell now."""
        found, notes = [], []
        for source in self._measured:
            try:
                found.append(await source())
            except MeshError as error:
                # What can be told is told: monitoring must not go blind because one part is in trouble.
                notes.append(f"# not to be had now: {str(error).splitlines()[0]}\n")
        return found, "".join(notes)

    async def _prometheus(self) -> Reply:
        more, notes = await self._measure()
        figures = await self._plane.figures()
        text = prometheus.render(figures.engine, *more) + _own_counters(figures, " ") + notes
        return Reply(200, (("content-type", prometheus.CONTENT_TYPE),), text.encode())

    async def _clusters(self) -> Reply:
        from eventmesh.dataplane import cluster_statuses as known  # most processes are never asked

        found = known.together(await self._plane.cluster_statuses())
        return Reply.text(200, known.to_text(found, self._plane.snapshot))

    async def _clusters_json(self) -> Reply:
        from eventmesh.dataplane import cluster_statuses as known

        found = known.together(await self._plane.cluster_statuses())
        document = known.to_document(found, self._plane.snapshot)
        return Reply(200, _JSON, json.dumps(document, indent=1).encode())

    def _config_dump(self) -> Reply:
        dump = {
            "node": {"id": self._node_id},
            "snapshot": json.loads(self._plane.snapshot.to_core(), object_hook=_without_key),
        }
        return Reply(200, _JSON, json.dumps(dump, indent=1).encode())

    def _listeners(self) -> Reply:
        return Reply.text(200, "".join(f"{name}::{where}\n" for name, where in self._plane.addresses().items()))

    def _listeners_json(self) -> Reply:
        return Reply(200, _JSON, json.dumps(listener_statuses(self._plane.addresses()), indent=1).encode())

    def _server_info(self) -> Reply:
        info = {
            "version": __version__,
            "state": self._plane.state.value,
            "uptime_current_epoch": f"{int(self._clock.monotonic() - self._started)}s",
            "node": {"id": self._node_id},
            "snapshot_version": self._plane.snapshot.version,
        }
        return Reply(200, _JSON, json.dumps(info, indent=1).encode())

    def _drain_listeners(self) -> Reply:
        # After the answer: draining closes idle connections, this one among them.
        asyncio.get_running_loop().call_soon(self._drain)
        return Reply.text(200, "OK\n")

    def _drain(self) -> None:
        self._plane.drain_listeners(keep=frozenset({LISTENER}))

    def _quit(self) -> Reply:
        asyncio.get_running_loop().call_soon(self._on_quit)
        return Reply.text(200, "OK\n")


def listener_statuses(addresses: Mapping[str, str]) -> dict[str, object]:
    """Return where listeners listen, as Envoy's `/listeners?format=json` tells it (`envoy.admin.v3.Listeners`); that of
    the admin port is left out, as there."""
    listed = [
        {"name": name, "local_address": address_document(where)}
        for name, where in addresses.items()
        if name != LISTENER
    ]
    return {"listener_statuses": listed} if listed else {}


def _own_counters(figures: Figures, separator: str) -> str:
    return "".join(f"{name}{separator}{value}\n" for name, value in figures.own)


def _without_key(members: dict[str, object]) -> dict[str, object]:
    """Return what a dump may show of one object: a certificate's private key is not for reading (as in Envoy)."""
    return members | {"key": "[redacted]"} if members.keys() == {"chain", "key"} else members
