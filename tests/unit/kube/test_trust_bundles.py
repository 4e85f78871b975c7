"""Bundles of authorities that every delivery believes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.resources import CONFIG_MAP
from eventmesh.kube.server_certificates import NAMESPACE
from eventmesh.kube.trust_bundles import LABEL, MAX_BYTES, TrustBundles, bundles_informer
from tests.manual_clock import ManualClock, settle
from tests.unit.kube.faulty_api import FaultyApi

VECTORS = Path(__file__).parents[2] / "vectors" / "tls"
AUTHORITY = (VECTORS / "authority.pem").read_text()
STRANGER = (VECTORS / "stranger.pem").read_text()


@pytest.fixture
async def bundles(api: FaultyApi, clock: ManualClock) -> AsyncIterator[TrustBundles]:
    made, tasks = TrustBundles(bundles_informer(api, clock)), TaskGroup("test")
    tasks.spawn("informer", made.informer.run())
    await made.informer.synced()
    yield made
    await tasks.stop()


async def put(api: FaultyApi, name: str, *, label: str = "true", binary: bytes = b"", **data: str) -> None:
    body = {"metadata": {"name": name, "labels": {LABEL: label}}, "data": data}
    if binary:
        body["binaryData"] = {"more": base64.b64encode(binary).decode()}
    await api.create(CONFIG_MAP, body, NAMESPACE)
    await settle()


async def test_entries_of_every_labelled_config_map_are_believed(api: FaultyApi, bundles: TrustBundles) -> None:
    changes: list[str] = []
    bundles.subscribe(lambda: changes.append(bundles.current))
    await put(api, "b", one=STRANGER.rstrip())
    await put(api, "a", binary=AUTHORITY.encode())
    await put(api, "not", label="false", one=AUTHORITY)
    assert bundles.current == f"{AUTHORITY}{STRANGER}"
    await api.delete(CONFIG_MAP, "a", NAMESPACE)
    await settle()
    assert changes[-1] == bundles.current == STRANGER


async def test_an_entry_without_certificates_is_named_and_the_others_hold(
    api: FaultyApi, bundles: TrustBundles, caplog: pytest.LogCaptureFixture
) -> None:
    await put(api, "wrong", good=AUTHORITY, none="none", binary=b"\xff")
    await put(api, "right", good=STRANGER)
    assert bundles.current == f"{STRANGER}{AUTHORITY}"
    told = [record.__dict__["fields"] for record in caplog.records if record.message == "trust bundle left out"]
    assert [(str(one["config_map"]), one["entry"]) for one in told] == [
        (f"{NAMESPACE}/wrong", "more"),
        (f"{NAMESPACE}/wrong", "none"),
    ]


async def test_what_is_beyond_the_limit_is_named(
    api: FaultyApi, bundles: TrustBundles, caplog: pytest.LogCaptureFixture
) -> None:
    half = AUTHORITY * (MAX_BYTES // 2 // len(AUTHORITY) + 1)
    await put(api, "a", half=half)
    await put(api, "b", half=half)
    assert bundles.current == half
    (told,) = (record.__dict__["fields"] for record in caplog.records if record.message == "trust bundle left out")
    assert told["config_map"] == (NAMESPACE, "b") and str(MAX_BYTES) in told["reason"]
