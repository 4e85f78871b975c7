"""Who is let in by http while encryption is asked for without exception, and what is reached by https."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from eventmesh.activator import job_sink, kafka_sink, request_reply
from eventmesh.activator.broker.ingress import HANDLER as BROKER_HANDLER
from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES, route_at
from eventmesh.activator.https_entrance import LISTENER, Door, HttpsEntrance, reachable, secured
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.eventing_features import Features, FeatureStore, TransportEncryption
from eventmesh.kube.knative import KAFKA_SINK_INGRESS
from eventmesh.kube.resources import SECRET
from eventmesh.kube.server_certificates import NAMESPACE, SECRETS
from eventmesh.model.route import Serve
from eventmesh.transport.exchange import Reply
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.waiting import WAIT_S

if TYPE_CHECKING:
    from eventmesh.core._core import Request

VECTORS = Path(__file__).parents[2] / "vectors" / "tls"
ENTRIES = {"tls.crt": "server.pem", "tls.key": "server.key", "ca.crt": "authority.pem"}

FUNCTION = "spiffe://cluster.local/ns/default/sa/default"
GATEWAY = "spiffe://cluster.local/ns/eventmesh-system/sa/gateway"


class Taken:
    async def handle(self, request: Request) -> Reply:
        return Reply(202)


async def answered(mode: TransportEncryption, *names: str) -> int:
    features = cast(FeatureStore, SimpleNamespace(current=Features(transport=mode)))
    request = cast("Request", SimpleNamespace(peer_names=list(names)))
    return (await Door(Taken(), features).handle(request)).status


@pytest.mark.parametrize("mode", [TransportEncryption.DISABLED, TransportEncryption.PERMISSIVE])
async def test_everybody_is_let_in_while_http_is_taken(mode: TransportEncryption) -> None:
    assert [await answered(mode), await answered(mode, GATEWAY), await answered(mode, FUNCTION)] == [202] * 3


async def test_strictly_only_a_workload_under_mtls_is_let_in() -> None:
    strict = TransportEncryption.STRICT
    assert await answered(strict, FUNCTION) == 202
    # What a gateway passes on it may have taken in clear text.
    assert [await answered(strict), await answered(strict, GATEWAY)] == [404, 404]


def test_a_listener_on_every_address_is_reached_at_one() -> None:
    at = ("0.0.0.0:8443", "[::]:8443", "10.0.0.1:8443", "")  # noqa: S104 - read, not bound
    assert [reachable(one) for one in at] == ["127.0.0.1:8443", "[::1]:8443", "10.0.0.1:8443", ""]


async def test_every_kind_is_reached_by_https_without_a_door_once_one_certificate_is_there(tmp_path: Path) -> None:
    clock, limit, known = ManualClock(), MAX_EVENT_BYTES, asyncio.Event()
    features = cast(FeatureStore, SimpleNamespace(current=Features(), subscribe=lambda _changed: None))
    hosts = (job_sink.HOST, kafka_sink.host(limit), request_reply.host(limit))
    plain, tasks = route_at("127.0.0.1:0", limit, *hosts), TaskGroup("test")
    data = {name: base64.b64encode((VECTORS / file).read_bytes()).decode() for name, file in ENTRIES.items()}
    async with embedded(tmp_path, clock) as cluster:
        api = cluster.in_process()
        await api.create(SECRET, {"metadata": {"name": "somebody-elses"}}, NAMESPACE)
        entrance = HttpsEntrance(api, clock, features, "127.0.0.1:0")
        try:
            for informer in entrance.informers:
                tasks.spawn("informer", informer.run())
            await entrance.synced()
            # By name: the process need not be allowed to read others.
            assert not any(list(informer) for informer in entrance.informers)
            entrance.subscribe(known.set)
            features.current = Features(transport=TransportEncryption.STRICT)
            assert entrance.beside(plain, BROKER_HANDLER).listeners == ()
            await api.create(SECRET, {"metadata": {"name": SECRETS[KAFKA_SINK_INGRESS].name}, "data": data}, NAMESPACE)
            async with asyncio.timeout(WAIT_S):
                await known.wait()
            (listener,) = entrance.beside(plain, BROKER_HANDLER).listeners
            (table,) = entrance.beside(plain, BROKER_HANDLER).route_tables
            assert (listener.name, listener.route_table, table.name) == (LISTENER, LISTENER, LISTENER)
            assert listener.tls is not None and len(listener.tls.certificates) == 1
            actions = [route.action for host in table.virtual_hosts for route in host.routes]
            handlers = (BROKER_HANDLER, job_sink.HANDLER, kafka_sink.HANDLER, request_reply.HANDLER)
            assert {action.handler for action in actions if isinstance(action, Serve)} == set(map(secured, handlers))
            features.current = Features()
            assert entrance.beside(plain, BROKER_HANDLER).listeners == ()
        finally:
            await tasks.stop()
