"""The function's load, as the autoscaler scrapes it: Knative's `Stat` on :9090/metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from eventmesh.autoscale.stat import Stat, encode_stat
from eventmesh.base.clock import Clock
from eventmesh.core.actions import LoadRow
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

WINDOW_S: Final = 1.0
"""A Stat covers at least one second, Knative's reporting period; scraping more often gets the same one again."""


class LoadMeter:
    """Gathers what the engine tells about one cluster; two readers (scrapes, draining) never take from each other."""

    def __init__(self, take_load: Callable[[float], list[LoadRow]], cluster: str, clock: Clock) -> None:
        self.requests = 0
        """Requests begun since the start."""
        self._take_load = take_load
        self._cluster = cluster
        self._clock = clock
        self._seen_at = clock.monotonic()
        self._window_from = self._seen_at
        self._busy_s = self._proxied_busy_s = 0.0
        self._count = self._proxied_count = 0

    def observe(self) -> None:
        """Take in what happened since the last look."""
        now = self._clock.monotonic()
        passed = now - self._seen_at
        for name, concurrency, requests, proxied_concurrency, proxied_requests in self._take_load(now):
            if name == self._cluster:
                self.requests += requests
                self._busy_s += concurrency * passed
                self._proxied_busy_s += proxied_concurrency * passed
                self._count += requests
                self._proxied_count += proxied_requests
        self._seen_at = now

    def close_window(self) -> tuple[float, float, float, float] | None:
        """Return (average concurrency, requests a second, and both of proxied ones) since the last window, and begin
        a new one; None when it is shorter than WINDOW_S."""
        self.observe()
        length = self._seen_at - self._window_from
        if length < WINDOW_S:
            return None
        figures = (
            self._busy_s / length,
            self._count / length,
            self._proxied_busy_s / length,
            self._proxied_count / length,
        )
        self._window_from = self._seen_at
        self._busy_s = self._proxied_busy_s = 0.0
        self._count = self._proxied_count = 0
        return figures


class StatHandler:
    """Answers scrapes."""

    def __init__(self, meter: LoadMeter, pod_name: str, clock: Clock) -> None:
        self._meter = meter
        self._pod_name = pod_name
        self._clock = clock
        self._started = clock.monotonic()
        self._stat = Stat(pod_name)

    async def handle(self, request: Request) -> Reply:
        """Return the Stat of the last window, as protobuf."""
        if request.method not in ("GET", "HEAD"):
            return Reply(405, (("allow", "GET, HEAD"),))
        return Reply(200, (("content-type", "application/protobuf"),), encode_stat(self.current()))

    def current(self) -> Stat:
        """Return the load of the last full window."""
        figures = self._meter.close_window()
        if figures is not None:
            concurrency, rate, proxied_concurrency, proxied_rate = figures
            self._stat = Stat(
                self._pod_name,
                average_concurrent_requests=concurrency,
                average_proxied_concurrent_requests=proxied_concurrency,
                request_count=rate,
                proxied_request_count=proxied_rate,
                process_uptime=self._clock.monotonic() - self._started,
            )
        return self._stat
