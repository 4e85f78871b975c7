"""Which EventTypes are made of what is seen."""

from __future__ import annotations

from typing import Any

from eventmesh.activator.broker.addressee import broker_key, channel_key
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.event_types import MAX_TYPES, EventTypes, event_type_of
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents.event import Event
from eventmesh.kube.eventing_features import AUTO_CREATE, FeatureStore, parse_features
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import BROKER, CONFIG_MAP

SHOP: dict[str, Any] = {"metadata": {"name": "shop", "namespace": "ns", "uid": "u"}}


def stored(broker: str, type_: str = "order", source: str = "/s") -> StoredEvent:
    event = Event({"id": "1", "source": source, "type": type_, "specversion": "1.0"})
    return StoredEvent(1, 0.0, broker, event)


def catalogue(flag: str = "enabled") -> EventTypes:
    informers = Informers(None, SystemClock())  # type: ignore[arg-type]  # never asked
    features = FeatureStore(informers.of(CONFIG_MAP))
    features.current = parse_features({AUTO_CREATE: flag})
    return EventTypes(None, informers, features)  # type: ignore[arg-type]  # never asked


async def test_each_type_and_source_is_written_once() -> None:
    made = catalogue()
    for event in (stored(broker_key("ns", "shop")), stored(broker_key("ns", "shop")), stored(channel_key("ns", "c"))):
        made.accepted(event)
    made.accepted(stored(broker_key("ns", "shop"), source="/other"))
    assert made._waiting.qsize() == 3


async def test_nothing_is_made_of_the_queues_of_sources_nor_while_the_flag_is_off() -> None:
    made = catalogue()
    made.accepted(stored("ns/pingsource:clock"))
    assert made._waiting.empty()
    off = catalogue("disabled")
    off.accepted(stored(broker_key("ns", "shop")))
    assert off._waiting.empty()


async def test_a_sender_that_makes_up_types_fills_nothing() -> None:
    made = catalogue()
    for number in range(MAX_TYPES + 10):
        made.accepted(stored(broker_key("ns", "shop"), f"type-{number}"))
    assert made._waiting.qsize() == MAX_TYPES


def test_an_event_type_names_its_broker_and_goes_with_it() -> None:
    first = event_type_of(("ns/shop", "order", "/s", "http://schema/"), BROKER, SHOP)
    assert first["spec"]["reference"] == {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "namespace": "ns",
        "name": "shop",
    }
    assert (first["spec"]["type"], first["spec"]["source"], first["spec"]["schema"]) == (
        "order",
        "/s",
        "http://schema/",
    )
    assert first["metadata"]["ownerReferences"][0]["uid"] == "u"
    other = event_type_of(("ns/shop", "order", "/t", ""), BROKER, SHOP)
    assert first["metadata"]["name"] != other["metadata"]["name"] and "schema" not in other["spec"]
