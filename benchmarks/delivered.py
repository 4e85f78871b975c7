"""Stored events that go out once more over HTTP/1.1: a whole activator on one processor, and a subscriber in C that
answers 202 at once."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks import event_contenders
from benchmarks.contenders import find, others
from benchmarks.event_api import NAME, NAMESPACE
from benchmarks.event_contenders import EventContender
from benchmarks.measure import Server, free_port

LOOK_AGAIN_S = 0.05
LONGEST_S = 120.0
WAITING = f'eventmesh_trigger_backlog{{namespace="{NAMESPACE}",trigger="{NAME}"}} '
DELIVERED = f'eventmesh_trigger_events_total{{namespace="{NAMESPACE}",trigger="{NAME}",outcome="delivered"}} '


def measured(fill: Callable[[Path, str], None], rounds: int) -> Iterator[tuple[float, float]]:
    """Yield for each replay of all events how many came a second, and microseconds of the activator's processor time
    for each. `fill` puts events of a broker, given by its key, into the store at a path."""
    with _subscriber() as uri, _activator(fill, uri) as activator:
        _until_known(activator)
        for _ in range(rounds):
            yield _replayed(activator)


def _replayed(activator: EventContender) -> tuple[float, float]:
    _until_quiet(activator)
    before, used, began = _told(activator), activator.cpu_s(), time.perf_counter()
    key = f"{NAMESPACE}/{NAME}"
    urllib.request.urlopen(_at(activator, "/events/replays", {"broker": key, "trigger": key})).close()  # noqa: S310
    last = _until_quiet(activator)
    events = _told(activator) - before
    return events / (last - began), (activator.cpu_s() - used) / max(events, 1) * 1e6


def _until_quiet(activator: EventContender) -> float:
    """Return when the last event was delivered, once nothing waits any more."""
    known, at = -1, time.perf_counter()
    deadline = at + LONGEST_S
    while time.perf_counter() < deadline:
        told = _told(activator)
        if told != known:
            known, at = told, time.perf_counter()
        elif time.perf_counter() - at > 1.0:
            return at
        time.sleep(LOOK_AGAIN_S)
    raise RuntimeError(f"{known} events were delivered in {LONGEST_S:g} s, and it goes on")


def _told(activator: EventContender) -> int:
    """Return how many events have been delivered so far."""
    return int(float(_metrics(activator).partition(DELIVERED)[2].partition("\n")[0] or 0))


def _metrics(activator: EventContender) -> str:
    return str(urllib.request.urlopen(_at(activator, "/stats/prometheus")).read().decode())  # noqa: S310


def _at(activator: EventContender, path: str, order: Any = None) -> urllib.request.Request:
    body = None if order is None else json.dumps(order).encode()
    return urllib.request.Request(f"http://127.0.0.1:{activator.admin}{path}", body)  # noqa: S310  # our own address


def _until_known(activator: EventContender) -> None:
    """Return when the activator delivers to its trigger: its admin port listens later than that for events."""
    deadline = time.perf_counter() + LONGEST_S
    while time.perf_counter() < deadline:
        with suppress(urllib.error.URLError):
            if WAITING in _metrics(activator):
                return
        time.sleep(LOOK_AGAIN_S)
    raise RuntimeError("the activator does not know its trigger")


@contextmanager
def _activator(fill: Callable[[Path, str], None], subscriber: str) -> Iterator[EventContender]:
    contender = event_contenders.start("eventmesh", subscriber=subscriber, fill=fill)
    try:
        yield contender
    finally:
        contender.stop()


@contextmanager
def _subscriber() -> Iterator[str]:
    directory, port = Path(mkdtemp(prefix="bench-subscriber-")), free_port()
    (directory / "nginx.conf").write_text(_NGINX.format(directory=directory, port=port))
    server = Server([find("nginx"), "-c", str(directory / "nginx.conf")], directory, cpus=others())
    try:
        server.wait_for(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.stop()


_NGINX = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {directory}/body;
  server {{ listen 127.0.0.1:{port}; location / {{ return 202; }} }}
}}
"""
