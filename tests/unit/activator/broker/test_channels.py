"""What becomes of the entries of a channel's `spec.subscribers`."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.activator.broker.addressee import broker_key, channel_key
from eventmesh.activator.broker.channels import compile_subscriber
from eventmesh.base.errors import ConfigError
from eventmesh.model.delivery import DeliveryPolicy

CHANNEL = {"metadata": {"name": "orders", "namespace": "shop"}, "spec": {}}
BROKER = "http://broker-ingress.knative-eventing.svc.cluster.local/shop/default"
OTHER = "http://bills-kn-channel.shop.svc.cluster.local"


def entry(**fields: Any) -> dict[str, Any]:
    return {"uid": "u", "generation": 1, "name": "s", "subscriberUri": "http://function/", **fields}


def test_a_subscriber_gets_everything_of_its_channel_and_is_tried_as_often_as_a_trigger() -> None:
    made = compile_subscriber(CHANNEL, entry())
    assert (made.broker, made.subscriber_uri, made.reply_to) == (channel_key("shop", "orders"), "http://function/", "")
    assert made.policy == DeliveryPolicy()
    assert made.prefers_reply


@pytest.mark.parametrize(
    ("reply", "to"),
    [
        (BROKER, broker_key("shop", "default")),
        (OTHER, channel_key("shop", "bills")),
        ("http://elsewhere/", "http://elsewhere/"),
    ],
)
def test_replies_stay_in_this_process_when_they_can(reply: str, to: str) -> None:
    assert compile_subscriber(CHANNEL, entry(replyUri=reply)).reply_to == to


def test_a_subscriber_that_is_a_channel_is_handed_its_events() -> None:
    assert compile_subscriber(CHANNEL, entry(subscriberUri=OTHER)).subscriber_key == channel_key("shop", "bills")
    assert compile_subscriber(CHANNEL, entry()).subscriber_key == ""


def test_an_entry_without_a_subscriber_gets_the_event_where_replies_would_go() -> None:
    made = compile_subscriber(CHANNEL, entry(subscriberUri=None, replyUri="http://elsewhere/"))
    assert (made.subscriber_uri, made.reply_to) == ("http://elsewhere/", "")


def test_its_delivery_block_holds_and_a_wrong_one_is_named() -> None:
    block = {"retry": 2, "backoffDelay": "PT1S", "deadLetterSink": {"uri": "http://letters/"}}
    policy = compile_subscriber(CHANNEL, entry(delivery=block)).policy
    assert (policy.retry, policy.backoff_delay_s, policy.dead_letter_uri) == (2, 1.0, "http://letters/")
    with pytest.raises(ConfigError, match="delivery.retry"):
        compile_subscriber(CHANNEL, entry(delivery={"retry": -1}))
