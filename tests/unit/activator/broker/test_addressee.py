"""Which broker or channel a request names, by host and path."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.addressee import Unaddressed, addressee, broker_key, channel_key, channel_of, own_key

ORDERS = channel_key("shop", "orders")


@pytest.mark.parametrize(
    ("authority", "path", "key"),
    [
        ("127.0.0.1:8080", "/shop/default", broker_key("shop", "default")),
        ("broker-ingress.knative-eventing.svc.cluster.local", "/shop/default?x=1", broker_key("shop", "default")),
        ("orders-kn-channel.shop.svc.cluster.local", "/", ORDERS),
        ("orders-kn-channel.shop.svc.cluster.local:80", "", ORDERS),
        ("Orders-kn-channel.shop.svc", "/", ORDERS),
        ("orders-kn-channel.shop", "/", ORDERS),
        ("imc-dispatcher.knative-eventing.svc.cluster.local", "/shop/orders", ORDERS),
        ("imc-dispatcher.knative-eventing.localhost:8080", "/shop/orders", ORDERS),
        ("orders-kn-channel.example.com", "/shop/default", broker_key("shop", "default")),
    ],
)
def test_a_request_is_for_a_broker_by_path_and_for_a_channel_by_host(authority: str, path: str, key: str) -> None:
    assert addressee(authority, path) == key


@pytest.mark.parametrize(
    ("authority", "path", "status", "words"),
    [
        ("127.0.0.1", "/", 404, "/<namespace>/<broker>"),
        ("127.0.0.1", "/a/b/c", 400, "/<namespace>/<broker>"),
        ("imc-dispatcher.knative-eventing.localhost", "/", 404, "/<namespace>/<channel>"),
        ("imc-dispatcher.knative-eventing.svc", "/shop", 400, "/<namespace>/<channel>"),
        ("orders-kn-channel.shop.svc.cluster.local", "/other", 404, "where the channel takes events in"),
    ],
)
def test_a_request_that_names_neither_is_told_how(authority: str, path: str, status: int, words: str) -> None:
    with pytest.raises(Unaddressed, match=words) as refusal:
        addressee(authority, path)
    assert refusal.value.status == status


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://broker-ingress.knative-eventing.svc.cluster.local/shop/default", broker_key("shop", "default")),
        ("http://orders-kn-channel.shop.svc.cluster.local", ORDERS),
        ("http://orders-kn-channel.shop.svc.cluster.local/", ORDERS),
        ("http://imc-dispatcher.knative-eventing.svc.cluster.local/shop/orders", ORDERS),
        ("http://broker-ingress.knative-eventing.svc.cluster.local/shop", ""),
        ("http://broker-ingress.knative-eventing.example.com/shop/default", ""),
        ("http://hello.shop.svc.cluster.local/shop/default", ""),
        ("http://127.0.0.1:8080/shop/default", ""),
        ("", ""),
    ],
)
def test_addresses_inside_this_process_are_recognised_and_no_others(url: str, key: str) -> None:
    assert own_key(url) == key


def test_no_broker_has_a_channels_key() -> None:
    assert channel_of(ORDERS) == ("shop", "orders")
    assert channel_of(broker_key("shop", "orders")) is None
