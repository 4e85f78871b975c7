"""Who is let in by http while encryption is asked for without exception."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from eventmesh.activator.https_entrance import Door, reachable
from eventmesh.kube.eventing_features import Features, FeatureStore, TransportEncryption
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

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
