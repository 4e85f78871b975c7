"""`eventmesh control` and `eventmesh gateway` as processes of their own: the one may go, the other goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import ClientError

from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.kube.api import Api
from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, SERVICE
from tests.component.embedded_api import served
from tests.component.planes import ask, backend
from tests.component.processes import data_plane
from tests.component.test_control_command import control
from tests.unit.xds.control import views
from tests.waiting import WAIT_S


async def routed(api: Api, host: str, upstream: str) -> None:
    """Publish `host`, served by the one endpoint `upstream`, as objects of the name before its first dot."""
    name = host.partition(".")[0]
    address, _, port = upstream.rpartition(":")
    split = {**views.split(name), "serviceNamespace": "default"}
    objects = {
        SERVICE: views.service(name, {"name": "http", "port": 80}),
        ENDPOINT_SLICE: {**views.slice_(name, address, port=int(port)), "addressType": "IPv4"},
        KINGRESS: views.ingress(name, views.rule(host, paths=[views.path(split)])),
    }
    for resource, obj in objects.items():
        named = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        named["metadata"] = {**obj["metadata"], "namespace": "default"}
        await api.create(resource, named, "default")


async def answered(address: str, host: str) -> None:
    """Return when the gateway answers for `host`."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                if (await ask(address, headers={"Host": host})).status == 200:
                    return
            except ClientError:
                pass  # the listener is not there yet
            await asyncio.sleep(0.02)


async def test_a_gateway_serves_while_control_is_away_and_hears_of_news_when_it_is_back(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    public = f"127.0.0.1:{unused_tcp_port}"
    async with served(tmp_path) as served_api, backend() as upstream:
        api = served_api.api.in_process()
        flags = ("--kubeconfig", str(served_api.kubeconfig), "--gateway", public, "--local", "127.0.0.1:0")
        async with control(*flags) as (first, port):
            bootstrap = tmp_path / "gateway.json"
            tree = client_bootstrap("gateway", "gateway-1", f"127.0.0.1:{port}", "127.0.0.1:0")
            bootstrap.write_text(json.dumps(tree))
            async with data_plane("gateway", bootstrap):
                await routed(api, "before.test", upstream)
                await answered(public, "before.test")
                first.kill()
                await first.wait()
                answers = [await ask(public, headers={"Host": "before.test"}) for _ in range(20)]
                assert {answer.status for answer in answers} == {200}
                await routed(api, "after.test", upstream)
                assert (await ask(public, headers={"Host": "after.test"})).status == 404
                async with control(*flags, "--address", f"127.0.0.1:{port}"):
                    await answered(public, "after.test")
                    assert (await ask(public, headers={"Host": "before.test"})).status == 200
