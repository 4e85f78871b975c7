"""What every filter promises, whoever has written it: about any request a decision that can be carried out."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from eventmesh.dataplane.filters import Filter, Go, Reply, Seen
from tests.waiting import WAIT_S

REQUESTS = (
    Seen("GET", "", "/"),
    Seen("GET", "shop.test", "/orders?id=1", {"authorization": "Bearer x", "cookie": "a=b"}, "http1", "10.0.0.1:5"),
    Seen("POST", "shop.test", "/shop.Orders/Find", {"content-type": "application/grpc"}, "http2", "10.0.0.1:5"),
    Seen("find", "com.shop.Orders", "/com.shop.Orders/find", {"sofa_head_target_app": "shop"}, "bolt", "10.0.0.1:5"),
    Seen("find", "com.shop.Orders", "/com.shop.Orders/find", {"group": "a"}, "dubbo", "10.0.0.1:5"),
    Seen("find", "orders", "/orders/find", {}, "framed", ""),
    Seen("OPTIONS", "\xff", "*", {"x-odd": "\xff\x80"}),
    Seen("GET", "shop.test", "/" + "a" * 50_000, {f"x-{number}": "v" * 500 for number in range(100)}),
)


class FilterContract:
    """Inherit from it, and return the filter in `made`."""

    def made(self) -> Filter:
        raise AssertionError("return the filter that is to keep the contract")

    @pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.protocol} {request.path[:20]}")
    async def test_it_decides_about_any_request(self, request_: Seen) -> None:
        said = self.made()(request_)
        async with asyncio.timeout(WAIT_S):
            decision = await said if inspect.isawaitable(said) else said
        match decision:
            case Go(headers, remove):
                assert isinstance(remove, tuple), "of one name, too: a comma behind it"
                assert not {name.lower() for name in headers} & {name.lower() for name in remove}, "set and taken away"
                told = headers
            case Reply(status, body, headers):
                assert 200 <= status < 600 and isinstance(body, str | bytes)
                told = headers
        for name, value in told.items():
            assert name.isascii() and not set(value) & set("\r\n\0"), name
            value.encode("latin-1")

    @pytest.mark.parametrize("request_", REQUESTS[:2], ids=["bare", "full"])
    async def test_it_leaves_what_it_is_shown_as_it_is(self, request_: Seen) -> None:
        before = dict(request_.headers)
        said = self.made()(request_)
        if inspect.isawaitable(said):
            await said
        assert dict(request_.headers) == before
