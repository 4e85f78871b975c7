"""An unmodified Envoy serves Gateway API's routes, and its refusal of one reaches the author in its own words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import GATEWAY, HTTP_ROUTE
from tests.peers.envoy_gateway import EnvoyGateway, envoy_gateway

pytestmark = pytest.mark.peer

BACKENDS = [{"name": "a", "port": 80}]
UNKNOWN_TO_RE2 = "(?R)/x"
"""A flag of expressions that our engine knows and Envoy's does not."""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[EnvoyGateway]:
    async with envoy_gateway(tmp_path, "DELTA_GRPC") as made:
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        await made.bench.create(GATEWAY, "front", {"gatewayClassName": "eventmesh", "listeners": listeners})
        yield made


async def routed(gateway: EnvoyGateway, name: str, *rules: Object) -> None:
    spec = {"parentRefs": [{"name": "front"}], "hostnames": [f"{name}.test"], "rules": list(rules)}
    await gateway.bench.create(HTTP_ROUTE, name, spec)


def programmed(reason: str) -> Callable[[Object], bool]:
    def holds(obj: Object) -> bool:
        parents = (obj.get("status") or {}).get("parents") or []
        found = {one["type"]: one["reason"] for parent in parents for one in parent["conditions"]}
        return found.get("Programmed") == reason

    return holds


async def conditions(gateway: EnvoyGateway, resource: Resource, name: str, reason: str) -> dict[str, Any]:
    obj = await gateway.bench.until(resource, name, programmed(reason))
    return {one["type"]: one for one in obj["status"]["parents"][0]["conditions"]}


async def test_envoy_matches_edits_rewrites_and_redirects(gateway: EnvoyGateway) -> None:
    edits = {"set": [{"name": "x-who", "value": "50%"}]}
    prefix = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    asked = {"path": {"value": "/asked"}, "queryParams": [{"name": "q", "value": "1"}]}
    await routed(
        gateway,
        "full",
        {
            "matches": [{"path": {"value": "/edit"}}],
            "backendRefs": BACKENDS,
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
                {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/all"}}},
            ],
        },
        {
            "matches": [{"path": {"value": "/cut"}}],
            "backendRefs": BACKENDS,
            "filters": [
                {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.test", "path": prefix}},
            ],
        },
        {
            "matches": [asked],
            "backendRefs": BACKENDS,
            "timeouts": {"request": "5s"},
            "retry": {"attempts": 2, "codes": [503]},
        },
        {
            "matches": [{"path": {"value": "/away"}}],
            "filters": [
                {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": 8443}},
            ],
        },
        {"matches": [{"path": {"value": "/nobody"}}], "backendRefs": [{"name": "nobody", "port": 80}]},
    )
    await conditions(gateway, HTTP_ROUTE, "full", "Programmed")
    _, seen = await gateway.get("public", "full.test", "/edit/x?q")
    assert (seen["headers"]["x-who"], seen["path"]) == ("50%", "/all?q")
    _, seen = await gateway.get("public", "full.test", "/cut/off")
    assert (seen["host"], seen["path"]) == ("inner.test", "/off")
    assert [
        (await gateway.get("public", "full.test", path))[0] for path in ("/asked?q=1", "/asked", "/away", "/nobody")
    ] == [
        200,
        404,
        302,
        500,
    ]


async def test_envoys_refusal_of_a_route_is_told_to_its_author_and_the_others_go_on(gateway: EnvoyGateway) -> None:
    await routed(gateway, "good", {"backendRefs": BACKENDS})
    await conditions(gateway, HTTP_ROUTE, "good", "Programmed")
    header = {"name": "x", "type": "RegularExpression", "value": UNKNOWN_TO_RE2}
    await routed(gateway, "bad", {"matches": [{"headers": [header]}], "backendRefs": BACKENDS})
    told = await conditions(gateway, HTTP_ROUTE, "bad", "ConfigurationRefused")
    assert told["Programmed"]["message"].startswith("envoy-1: ") and told["Accepted"]["status"] == "True"
    await routed(gateway, "later", {"backendRefs": BACKENDS})
    await conditions(gateway, HTTP_ROUTE, "later", "Programmed")
    assert [(await gateway.get("public", f"{name}.test"))[0] for name in ("good", "later", "bad")] == [200, 200, 404]
