"""Sources as what they are to the dispatcher: a queue with one subscriber."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.activator.broker.addressee import is_broker
from eventmesh.activator.sources.sinks import KubeSinks, source_key
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents.event import Event
from eventmesh.kube.api import EventType, WatchEvent
from eventmesh.kube.informer import Informer
from eventmesh.kube.resources import API_SERVER_SOURCE, KAFKA_SOURCE
from eventmesh.model.delivery import DeliveryPolicy


def source(uri: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "shop", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": spec, "status": {"sinkUri": uri} if uri else {}}


@pytest.fixture
def informer() -> Informer:
    return Informer(None, API_SERVER_SOURCE, SystemClock())  # type: ignore[arg-type]  # is told by the test


def tell(informer: Informer, obj: dict[str, Any], change: EventType = EventType.MODIFIED) -> None:
    informer._apply(WatchEvent(change, obj))


async def test_a_source_is_served_as_soon_as_its_sink_is_known_and_as_long_as_it_is_there(informer: Informer) -> None:
    sinks, changes = KubeSinks([informer]), []
    sinks.subscribe(lambda: changes.append(set(sinks.subscriptions())))
    tell(informer, source())
    assert (sinks.exists("u"), dict(sinks.subscriptions())) == (True, {})
    tell(informer, source("http://sink/"))
    made = sinks.subscriptions()["u"]
    assert (made.broker, made.subscriber_uri) == ("shop/apiserversource:s", "http://sink/")
    assert (made.reply_to, made.prefers_reply) == ("", False)
    tell(informer, source("http://sink/"), EventType.DELETED)
    assert (sinks.exists("u"), dict(sinks.subscriptions())) == (False, {})
    assert changes == [set(), {"u"}, set()]


async def test_filters_decide_what_the_sink_gets(informer: Informer) -> None:
    sinks = KubeSinks([informer])
    tell(informer, source("http://sink/", filters=[{"exact": {"type": "a"}}]))
    passes = sinks.subscriptions()["u"].passes
    events = (Event({"id": "1", "source": "/s", "type": type_, "specversion": "1.0"}) for type_ in ("a", "b"))
    assert [passes(event) for event in events] == [True, False]
    tell(informer, source("http://sink/", filters=[{"glob": {}}]))
    assert dict(sinks.subscriptions()) == {}


def test_nobody_sends_into_the_queue_of_a_source() -> None:
    key = source_key(API_SERVER_SOURCE, "shop", "s")
    assert not is_broker(key)
    assert not KubeSinks([]).has_broker(key)


def kafka_informer() -> Informer:
    return Informer(None, KAFKA_SOURCE, SystemClock())  # type: ignore[arg-type]  # is told by the test


async def test_a_kafka_source_is_delivered_as_it_says_and_each_partition_in_its_order() -> None:
    informer = kafka_informer()
    sinks = KubeSinks([informer])
    delivery = {"retry": 3, "backoffDelay": "PT2S", "deadLetterSink": {"uri": "http://dead/"}}
    made = source("http://sink/", delivery=delivery, ordering="ordered")
    made["status"] |= {"deadLetterSinkUri": "http://dead/", "deadLetterSinkAudience": "the dead"}
    tell(informer, made)
    compiled = sinks.subscriptions()["u"]
    assert compiled.controls.order_by == "knativekafkapartition"
    assert (compiled.policy.retry, compiled.policy.backoff_delay_s) == (3, 2.0)
    assert (compiled.policy.dead_letter_uri, compiled.identity.dead_letter.audience) == ("http://dead/", "the dead")
    tell(informer, source("http://sink/", ordering="unordered"))
    compiled = sinks.subscriptions()["u"]
    assert (compiled.controls.order_by, compiled.policy) == ("", DeliveryPolicy())


async def test_a_kafka_source_with_a_delivery_that_nobody_can_read_is_not_served() -> None:
    informer = kafka_informer()
    sinks = KubeSinks([informer])
    tell(informer, source("http://sink/", delivery={"retry": "often"}))
    assert dict(sinks.subscriptions()) == {}
