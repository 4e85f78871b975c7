"""Who may call a function, as somebody with kubectl and nothing else says it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from envoy_data_plane.google.rpc import Status

from eventmesh.base.clock import SystemClock
from tests.component.key_server import key_server
from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.authz_service import authz_service
from tests.peers.command_line import CommandLine
from tests.tokens import key_set, token
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

ISSUER = "https://issuer.test"


def _object(kind: str, name: str, **spec: object) -> str:
    selector = {"matchLabels": {"serving.knative.dev/service": "guarded"}}
    metadata = {"name": name, "namespace": "default"}
    header = {"apiVersion": "eventmesh.io/v1alpha1", "kind": kind, "metadata": metadata}
    return json.dumps({**header, "spec": {"selector": selector, **spec}})


OPEN = {"to": [{"operation": {"paths": ["/open"]}}]}
OWN = {
    "from": [{"source": {"requestPrincipals": [f"{ISSUER}/alice"]}}],
    "to": [{"operation": {"methods": ["GET"], "paths": ["/own*"]}}],
    "when": [{"key": "request.auth.claims[groups]", "values": ["staff"]}],
}
CALLERS = _object("AuthorizationPolicy", "callers", rules=[OPEN, OWN])
NOBODY = _object("AuthorizationPolicy", "nobody", action="DENY", rules=[OPEN])


def _bearing(subject: str, *groups: str, key: str = "") -> str:
    claims = {"iss": ISSUER, "sub": subject, "groups": groups, "exp": int(SystemClock().now().timestamp()) + 3600}
    return f"Bearer {token(claims, name=key)}"


async def test_a_function_answers_those_whom_its_policies_name(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine, tmp_path: Path
) -> None:
    async def status(path: str, authorization: str = "") -> int:
        (answer,) = await shared_mesh.ask("guarded.default.localhost", path=path, Authorization=authorization)
        return answer.status

    add_function(shared_mesh, tmp_path / "guarded", "guarded")
    async with key_server(key_set("ES256")) as issuer:
        rules = [{"issuer": ISSUER, "jwksUri": issuer.address}]
        for document in (_object("RequestAuthentication", "tokens", jwtRules=rules), CALLERS):
            await kubectl("apply", "-f", "-", stdin=document)
        await kubectl("wait", "--for=condition=Ready", "azp/callers", "ra/tokens", "--timeout=60s")
    await kn("service", "create", "guarded", "--image", "dev.local/guarded", "--scale-min", "1")
    assert await status("/open") == 200, "policies hold from the first request on, and let this one through"
    assert [await status("/"), await status("/own/x")] == [403, 403]
    assert await status("/own/x", _bearing("alice", "staff")) == 200
    assert [await status("/own/x", _bearing(*who)) for who in (("alice",), ("bob", "staff"))] == [403, 403]
    assert await status("/open", _bearing("alice", "staff", key="stranger")) == 401
    await kubectl("apply", "-f", "-", stdin=NOBODY)
    await kubectl("wait", "--for=condition=Ready", "azp/nobody", "--timeout=60s")
    async with asyncio.timeout(WAIT_S):
        while await status("/open") != 403:
            await asyncio.sleep(0.1)
    assert await status("/own/x", _bearing("alice", "staff")) == 200
    refused = await kubectl.run(
        "apply", "-f", "-", stdin=_object("AuthorizationPolicy", "bad", rules=[{"when": [{"key": "x"}]}])
    )
    assert refused.code != 0 and "spec.rules[0].when[0].key" in refused.err
    await kubectl("delete", "azp", "callers", "nobody")
    await kubectl("delete", "ra", "tokens")
    await kubectl("delete", "ksvc", "guarded")


SETTINGS = """
extensionProviders:
- name: desk
  envoyExtAuthzGrpc: {service: desk.eventmesh-system.svc.cluster.local, port: 9191, timeout: 20s}
"""


def _desk(port: int) -> str:
    """Return the settings of the mesh, and a Service that leads to an authorizer on this machine."""
    where = {"namespace": "eventmesh-system", "name": "desk"}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**where, "name": "config-mesh"},
         "data": {"mesh": SETTINGS}},
        {"apiVersion": "v1", "kind": "Service", "metadata": where,
         "spec": {"ports": [{"name": "grpc", "port": 9191}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {**where, "labels": {"kubernetes.io/service-name": "desk"}}, "addressType": "IPv4",
         "ports": [{"name": "grpc", "port": port}],
         "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]},
    ]  # fmt: skip
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


async def test_a_function_is_asked_for_at_the_desk_from_its_first_request_on(
    shared_mesh: MeshProcess, kn: CommandLine, kubectl: CommandLine, tmp_path: Path
) -> None:
    async def status(path: str, script: str) -> int:
        (answer,) = await shared_mesh.ask("asked.default.localhost", path=path, x_script=script)
        return answer.status

    add_function(shared_mesh, tmp_path / "asked", "asked")
    selector = {"matchLabels": {"serving.knative.dev/service": "asked"}}
    rules = [{"to": [{"operation": {"paths": ["/asked*"]}}]}]
    asking = {"selector": selector, "action": "CUSTOM", "provider": {"name": "desk"}, "rules": rules}
    metadata = {"name": "ask", "namespace": "default"}
    policy = {"apiVersion": "eventmesh.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": metadata}
    answers = {"yes": CheckResponse(status=Status(code=0)), "no": CheckResponse(status=Status(code=7))}
    async with authz_service(answers) as desk:
        await kubectl("apply", "-f", "-", stdin=json.dumps({**policy, "spec": asking}))
        await kubectl("wait", "--for=jsonpath={.status.conditions[?(@.type=='Programmed')].reason}=UnknownProvider",
                      "azp/ask", "--timeout=60s")  # fmt: skip
        await kn("service", "create", "asked", "--image", "dev.local/asked", "--scale-min", "1")
        assert [await status("/", "yes"), await status("/asked", "yes")] == [200, 403], "nobody can be asked yet"
        await kubectl("apply", "-f", "-", stdin=_desk(desk.grpc_address[1]))
        await kubectl("wait", "--for=condition=Ready", "azp/ask", "--timeout=60s")
        async with asyncio.timeout(WAIT_S):
            while await status("/asked", "yes") != 200:
                await asyncio.sleep(0.1)
        assert [await status("/asked", "no"), await status("/", "no")] == [403, 200]
        await kn("service", "update", "asked", "--env", "A=B")
        assert [await status("/asked", word) for word in ("yes", "no")] == [200, 403], "and by a pod made since"
    await kubectl("delete", "azp", "ask")
    await kubectl("delete", "ksvc", "asked")
