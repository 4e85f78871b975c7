"""A policy of access that a sidecar would not take says so itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import AUTHORIZATION_POLICY
from eventmesh.kube.status import condition
from eventmesh.xds.control.access.by_name import NAMES
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import LDS, AdsClient, connected
from tests.component.control_bench import Bench


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


def rules(path: str) -> Object:
    return {"action": "DENY", "rules": [{"to": [{"operation": {"paths": [path]}}]}]}


def programmed(obj: Object) -> tuple[Any, Any]:
    found = condition(obj, "Programmed") or {}
    return found.get("status"), found.get("reason")


async def replace(bench: Bench, name: str, spec: Object) -> None:
    stored = await bench.api.get(AUTHORIZATION_POLICY, name, "default")
    await bench.api.replace(AUTHORIZATION_POLICY, {**stored, "spec": spec})


async def test_a_refused_inbound_listener_is_told_to_the_policy_that_is_new_in_it(bench: Bench) -> None:
    def refuses(type_: ResourceType, body: bytes) -> str | None:
        return "inbound: no path is that odd" if type_ is LDS and b"/odd" in body else None

    async with connected(bench.port, "sidecar", "local", namespace="default") as sidecar:
        sidecar.refuse = refuses
        await bench.create(AUTHORIZATION_POLICY, "good", rules("/admin"))
        await bench.until(AUTHORIZATION_POLICY, "good", lambda obj: programmed(obj) == ("True", "Programmed"))
        await bench.create(AUTHORIZATION_POLICY, "bad", rules("/odd"))
        refused = await bench.until(
            AUTHORIZATION_POLICY, "bad", lambda obj: programmed(obj) == ("False", "ConfigurationRefused")
        )
        assert (condition(refused, "Programmed") or {})["message"] == "sidecar-1: inbound: no path is that odd"
        assert held(sidecar, b"/admin") and not held(sidecar, b"/odd")
        assert programmed(bench.stored(AUTHORIZATION_POLICY, "good")) == ("True", "Programmed")
        await replace(bench, "bad", rules("/even"))
        await bench.until(AUTHORIZATION_POLICY, "bad", lambda obj: programmed(obj) == ("True", "Programmed"))
        assert held(sidecar, b"/even") and held(sidecar, b"/admin")


def held(sidecar: AdsClient, word: bytes) -> bool:
    return word in sidecar.held[LDS][INBOUND]


async def test_filters_by_name_that_an_envoy_refuses_are_told_to_the_policy_that_is_new_in_them(bench: Bench) -> None:
    filters = ResourceType.EXTENSION

    def refuses(type_: ResourceType, body: bytes) -> str | None:
        return "deny: no path is that odd" if type_ is filters and b"/odd" in body else None

    async with connected(bench.port, "sidecar", "local", namespace="default", filters=NAMES) as envoy:
        envoy.refuse = refuses
        await envoy.until(lambda: envoy.held[filters].keys() == set(NAMES))
        await bench.create(AUTHORIZATION_POLICY, "good", rules("/admin"))
        await bench.until(AUTHORIZATION_POLICY, "good", lambda obj: programmed(obj) == ("True", "Programmed"))
        assert b"/admin" in envoy.held[filters]["deny"]
        await bench.create(AUTHORIZATION_POLICY, "bad", rules("/odd"))
        refused = await bench.until(
            AUTHORIZATION_POLICY, "bad", lambda obj: programmed(obj) == ("False", "ConfigurationRefused")
        )
        assert (condition(refused, "Programmed") or {})["message"] == "sidecar-1: deny: no path is that odd"
        assert b"/odd" not in envoy.held[filters]["deny"]
        await replace(bench, "bad", rules("/even"))
        await bench.until(AUTHORIZATION_POLICY, "bad", lambda obj: programmed(obj) == ("True", "Programmed"))
        assert b"/even" in envoy.held[filters]["deny"]
