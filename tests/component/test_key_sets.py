"""Key sets from real servers: fetched within bounds, told to workloads, rotated, and kept when the issuer is away."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP, EVENT, REQUEST_AUTHENTICATION
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.access.fetching import MAX_KEY_SET_BYTES, fetch_keys
from eventmesh.xds.control.access.kept_keys import CONFIG_MAP_KEY
from eventmesh.xds.control.services import Settings
from tests.component.ads_client import LDS, AdsClient, connected
from tests.component.control_bench import Bench
from tests.component.https_sinks import SinkAuthority
from tests.component.key_server import KeyServer, key_server
from tests.free_ports import free_port
from tests.tokens import key_set
from tests.waiting import WAIT_S

OLD, NEW = key_set("ES256", name="old"), key_set("ES256", name="new")


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, settings=Settings(jwks_refresh_s=0.05))
    await bench.start()
    yield bench
    await bench.stop()


async def test_a_set_is_fetched_over_http_and_over_https_from_whom_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with key_server(OLD) as plain:
        assert await fetch_keys(plain.address, 20) == OLD
    authority = tmp_path / "authority.pem"
    signer = SinkAuthority()
    signer.certify(tmp_path / "server.pem", "localhost")
    authority.write_text(signer.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    async with key_server(NEW, context) as secure:
        with pytest.raises(UnavailableError, match="(?i)certificate"):
            await fetch_keys(secure.address, 20)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert await fetch_keys(secure.address, 20) == NEW


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"", "answered 404"),
        (302, OLD.encode(), "answered 302"),
        (200, b"<html>", "what it answers no JSON"),
        (200, b'{"keys": []}', "what it answers has no RSA, EC"),
        (200, b"\xff", "no HTTP, or no text"),
        (200, b" " * (MAX_KEY_SET_BYTES + 1), f"more than {MAX_KEY_SET_BYTES} bytes"),
    ],
)
async def test_what_is_no_key_set_is_said(status: int, body: bytes, words: str) -> None:
    async with key_server("") as server:
        server.status, server.body = status, body
        with pytest.raises(UnavailableError, match=words):
            await fetch_keys(server.address, 20)


async def test_what_is_no_http_is_not_quoted() -> None:
    async def secret(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SECRET-2.0 ready\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(secret, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UnavailableError) as refused:
            await fetch_keys(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 20)
    assert "no HTTP" in str(refused.value) and "SECRET" not in str(refused.value)


async def test_nobody_and_silence_are_said() -> None:
    with pytest.raises(UnavailableError, match="Cannot connect"):
        await fetch_keys(f"http://127.0.0.1:{free_port()}/", 20)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UnavailableError, match="no answer within 0.1 s"):
            await fetch_keys(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 0.1)


def held(sidecar: AdsClient, text: str) -> bool:
    """Tell whether the workload verifies tokens by that key set."""
    key = json.loads(text)["keys"][0]["x"]
    return any(key.encode() in body for body in sidecar.held[LDS].values())


async def until_held(sidecar: AdsClient, text: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not held(sidecar, text):
            await asyncio.sleep(0.01)


def reason(obj: Object) -> object:
    return (condition(obj, "Programmed") or {}).get("reason")


async def accept(bench: Bench, server: KeyServer) -> None:
    rules = [{"issuer": "i", "jwksUri": server.address, "timeout": "20s"}]
    await bench.create(REQUEST_AUTHENTICATION, "tokens", {"jwtRules": rules})


async def test_keys_that_rotate_reach_workloads_and_stay_when_the_issuer_fails(bench: Bench) -> None:
    async with (
        key_server(OLD) as server,
        connected(bench.port, "sidecar", "local", namespace="default") as sidecar,
    ):
        await accept(bench, server)
        await bench.until(REQUEST_AUTHENTICATION, "tokens", is_ready)
        assert held(sidecar, OLD)
        server.body = NEW.encode()
        await until_held(sidecar, NEW)
        assert not held(sidecar, OLD)
        server.status = 500
        async with asyncio.timeout(WAIT_S):
            while not (events := (await bench.api.list(EVENT, "default")).items):
                await asyncio.sleep(0.02)
        assert events[0]["reason"] == "KeysNotRenewed" and "answered 500; the former keys stay" in events[0]["message"]
        assert held(sidecar, NEW) and is_ready(bench.stored(REQUEST_AUTHENTICATION, "tokens"))


async def test_without_keys_no_token_is_believed_and_the_policy_says_so_until_they_are_there(bench: Bench) -> None:
    async with (
        key_server(OLD) as server,
        connected(bench.port, "sidecar", "local", namespace="default") as sidecar,
    ):
        server.status = 503
        await accept(bench, server)
        refused = await bench.until(
            REQUEST_AUTHENTICATION, "tokens", lambda obj: reason(obj) == "KeysUnavailable" and "503" in str(obj)
        )
        words = f"GET {server.address}: answered 503; tokens of that issuer are refused meanwhile"
        assert (condition(refused, "Programmed") or {})["message"] == words
        async with asyncio.timeout(WAIT_S):
            while not any(b"no-key-set" in body for body in sidecar.held[LDS].values()):
                await asyncio.sleep(0.01)
        server.status = 200
        await bench.until(REQUEST_AUTHENTICATION, "tokens", is_ready)
        await until_held(sidecar, OLD)


async def test_while_an_issuer_is_first_asked_its_policy_says_that_its_tokens_are_not_looked_at(bench: Bench) -> None:
    async with (
        key_server(OLD) as server,
        connected(bench.port, "sidecar", "local", namespace="default") as sidecar,
    ):
        server.may_answer.clear()
        await accept(bench, server)
        waiting = await bench.until(REQUEST_AUTHENTICATION, "tokens", lambda obj: reason(obj) == "KeysUnavailable")
        words = f"GET {server.address}: not answered yet; tokens of that issuer are not looked at meanwhile"
        assert (condition(waiting, "Programmed") or {})["message"] == words and not sidecar.held[LDS]
        server.may_answer.set()
        await bench.until(REQUEST_AUTHENTICATION, "tokens", is_ready)
        await until_held(sidecar, OLD)


@pytest.mark.parametrize("status", [200, 500])
async def test_control_that_begins_again_publishes_with_the_keys(bench: Bench, status: int) -> None:
    system = CONFIG_MAP_KEY.namespace
    async with key_server(OLD) as server:
        await accept(bench, server)
        await bench.until(REQUEST_AUTHENTICATION, "tokens", is_ready)
        async with asyncio.timeout(WAIT_S):
            while bench.informers.of(CONFIG_MAP).get(CONFIG_MAP_KEY.name, system) is None:
                await asyncio.sleep(0.01)
        server.status = status
        await bench.restart_control()
        async with connected(bench.port, "sidecar", "local", namespace="default") as sidecar:
            async with asyncio.timeout(WAIT_S):
                while not sidecar.held[LDS]:
                    await asyncio.sleep(0.01)
            assert held(sidecar, OLD), "the first listener that it sends has them already"
