"""A policy whose provider is not there says so until it is; the settings of the mesh say what is wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import AUTHORIZATION_POLICY, CONFIG_MAP, EVENT, SERVICE
from eventmesh.kube.status import condition, is_ready
from tests.component.control_bench import Bench
from tests.waiting import WAIT_S

SYSTEM = "eventmesh-system"
SETTINGS = "extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.default.svc, port: 9191}}]"


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


async def say(bench: Bench, text: str) -> None:
    metadata = {"name": "config-mesh", "namespace": SYSTEM}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": text}}
    try:
        stored = await bench.api.get(CONFIG_MAP, "config-mesh", SYSTEM)
        await bench.api.replace(CONFIG_MAP, {**stored, "data": body["data"]})
    except ApiError as error:
        assert error.not_found
        await bench.api.create(CONFIG_MAP, body, SYSTEM)


def reason(bench: Bench) -> object:
    return (condition(bench.stored(AUTHORIZATION_POLICY, "ask"), "Programmed") or {}).get("reason")


async def test_a_policy_is_programmed_once_its_provider_can_be_asked(bench: Bench) -> None:
    spec = {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{}]}
    await bench.create(AUTHORIZATION_POLICY, "ask", spec)
    await bench.until(AUTHORIZATION_POLICY, "ask", lambda _: reason(bench) == "UnknownProvider")
    await say(bench, SETTINGS)
    await bench.until(AUTHORIZATION_POLICY, "ask", lambda _: reason(bench) == "ProviderNotFound")
    await bench.create(SERVICE, "opa", {"ports": [{"port": 9191, "appProtocol": "grpc"}]})
    await bench.until(AUTHORIZATION_POLICY, "ask", is_ready)
    await bench.api.delete(SERVICE, "opa", "default")
    await bench.until(AUTHORIZATION_POLICY, "ask", lambda _: reason(bench) == "ProviderNotFound")


async def test_settings_that_are_not_understood_are_told_at_their_own_object(bench: Bench) -> None:
    await say(bench, "extensionProviders: {")
    async with asyncio.timeout(WAIT_S):
        while not (told := (await bench.api.list(EVENT, SYSTEM)).items):
            await asyncio.sleep(0.02)
    (event,) = told
    assert event["reason"] == "SettingRefused" and event["involvedObject"]["name"] == "config-mesh"
