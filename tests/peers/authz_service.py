"""An authorization service that says what the caller has asked it to, by gRPC and by HTTP."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web
from envoy_data_plane.envoy.service.auth.v3 import CheckRequest, CheckResponse

SCRIPT = "x-script"
"""Request header: for gRPC the name of a response, for HTTP a status and headers as JSON."""


@dataclass
class AuthzService:
    """Both services, and what they were asked."""

    responses: Mapping[str, CheckResponse | grpc.StatusCode]
    grpc_address: tuple[str, int] = ("", 0)
    http_address: tuple[str, int] = ("", 0)
    checks: list[CheckRequest] = field(default_factory=list)

    async def check(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        check = CheckRequest.parse(request)
        self.checks.append(check)
        assert check.attributes is not None and check.attributes.request is not None
        assert check.attributes.request.http is not None
        answer = self.responses[check.attributes.request.http.headers[SCRIPT]]
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "as asked")
        with warnings.catch_warnings():
            # Of fields that services still send, although their class warns of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            return bytes(answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        script: dict[str, Any] = json.loads(request.headers[SCRIPT])
        if "hangs" in script:
            await asyncio.Event().wait()
        headers = {"x-path": request.raw_path, "x-method": request.method, "x-body": body.decode()}
        named = [*headers.items(), *((name, value) for name, value in script.get("headers", []))]
        response = web.Response(status=script["status"], text=script.get("text", ""))
        for name, value in named:
            response.headers.add(name, value)
        return response


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, service: AuthzService) -> None:
        self._service = service

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if details.method == "/envoy.service.auth.v3.Authorization/Check":
            return grpc.unary_unary_rpc_method_handler(self._service.check)
        return None


@asynccontextmanager
async def authz_service(responses: Mapping[str, CheckResponse | grpc.StatusCode]) -> AsyncIterator[AuthzService]:
    """Serve both on free ports of the loopback."""
    service = AuthzService(responses)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(service),))
    service.grpc_address = ("127.0.0.1", server.add_insecure_port("127.0.0.1:0"))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await server.start()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        service.http_address = (str(host), int(port))
        yield service
    finally:
        await server.stop(None)
        await runner.cleanup()
