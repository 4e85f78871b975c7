"""Who may call a function, as somebody with kubectl and nothing else says it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from eventmesh.base.clock import SystemClock
from tests.mesh.objects import add_function
from tests.mesh.processes import WAIT_S, MeshProcess
from tests.peers.command_line import CommandLine
from tests.tokens import key_set, token

pytestmark = pytest.mark.peer

ISSUER = "https://issuer.test"


def _object(kind: str, name: str, **spec: object) -> str:
    selector = {"matchLabels": {"serving.knative.dev/service": "guarded"}}
    metadata = {"name": name, "namespace": "default"}
    header = {"apiVersion": "eventmesh.io/v1alpha1", "kind": kind, "metadata": metadata}
    return json.dumps({**header, "spec": {"selector": selector, **spec}})


TOKENS = _object("RequestAuthentication", "tokens", jwtRules=[{"issuer": ISSUER, "jwks": key_set("ES256")}])
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
    for document in (TOKENS, CALLERS):
        await kubectl("apply", "-f", "-", stdin=document)
    await kubectl("wait", "--for=condition=Ready", "azp/callers", "ra/tokens", "--timeout=30s")
    await kn("service", "create", "guarded", "--image", "dev.local/guarded", "--scale-min", "1")
    assert await status("/open") == 200, "policies hold from the first request on, and let this one through"
    assert [await status("/"), await status("/own/x")] == [403, 403]
    assert await status("/own/x", _bearing("alice", "staff")) == 200
    assert [await status("/own/x", _bearing(*who)) for who in (("alice",), ("bob", "staff"))] == [403, 403]
    assert await status("/open", _bearing("alice", "staff", key="stranger")) == 401
    await kubectl("apply", "-f", "-", stdin=NOBODY)
    await kubectl("wait", "--for=condition=Ready", "azp/nobody", "--timeout=30s")
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
