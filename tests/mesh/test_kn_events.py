"""kn's broker and trigger commands against a whole mesh."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta

import pytest

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

PROMISED_WITHIN = timedelta(seconds=2)
"""kn does not wait for brokers and triggers, so that they have to be there when its user looks."""


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


async def listed_ready(kn: CommandLine, group: str, name: str, column: int = -1) -> list[str]:
    """Return the line about `name` once `list` shows it with READY True; READY is the last column, or `column`."""
    async with asyncio.timeout(WAIT_S):
        while True:
            lines = [line.split() for line in (await kn(group, "list")).splitlines()]
            for words in lines:
                if words[0] == name and words[column] == "True":
                    return words


async def time_to_ready(kn: CommandLine, group: str, name: str) -> timedelta:
    """Return how long after its creation the object became Ready, by its own timestamps (whole seconds)."""
    (found,) = (
        item for item in json.loads(await kn(group, "list", "-o", "json"))["items"] if item["metadata"]["name"] == name
    )
    (ready,) = (c for c in found["status"]["conditions"] if c["type"] == "Ready")
    created = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    return datetime.fromisoformat(ready["lastTransitionTime"]) - created


async def test_a_broker_is_ready_at_once_described_and_deleted(kn: CommandLine) -> None:
    created = await kn("broker", "create", "shop")
    assert created == "Broker 'shop' successfully created in namespace 'default'.\n"
    url = "http://broker-ingress.knative-eventing.svc.cluster.local/default/shop"
    assert (await listed_ready(kn, "broker", "shop"))[1] == url
    assert await time_to_ready(kn, "broker", "shop") <= PROMISED_WITHIN
    described = await kn("broker", "describe", "shop")
    assert url in described and "++ Ready" in described and "broker.class=EventMesh" in described
    again = await kn.run("broker", "create", "shop")
    assert again.code == 1 and "already exists" in again.err
    deleted = await kn("broker", "delete", "shop", "--wait")
    assert deleted == "Broker 'shop' successfully deleted in namespace 'default'.\n"
    assert "shop" not in await kn("broker", "list")


async def test_a_trigger_is_ready_at_once_described_and_deleted(kn: CommandLine) -> None:
    await kn("service", "create", "reader", "--image", "dev.local/hello")
    await kn("broker", "create", "post")
    created = await kn(
        "trigger", "create", "letters", "--broker", "post", "--filter", "type=letter", "--sink", "ksvc:reader"
    )
    assert created == "Trigger 'letters' successfully created in namespace 'default'.\n"
    assert (await listed_ready(kn, "trigger", "letters"))[1:3] == ["post", "ksvc:reader"]
    assert await time_to_ready(kn, "trigger", "letters") <= PROMISED_WITHIN
    described = await kn("trigger", "describe", "letters")
    assert "++ SubscriberResolved" in described and "++ Ready" in described
    assert "type:" in described and "letter" in described
    deleted = await kn("trigger", "delete", "letters")
    assert deleted == "Trigger 'letters' deleted in namespace 'default'.\n"
    assert "letters" not in await kn("trigger", "list")


async def test_a_trigger_waits_for_its_broker_and_says_so(kn: CommandLine) -> None:
    await kn("service", "create", "early", "--image", "dev.local/hello")
    await kn("trigger", "create", "early", "--broker", "later", "--sink", "ksvc:early")
    described = await kn("trigger", "describe", "early")
    assert "BrokerReady" in described and "++ Ready" not in described
    await kn("broker", "create", "later")
    await listed_ready(kn, "trigger", "early")


async def test_an_unknown_sink_is_named(kn: CommandLine) -> None:
    await kn("broker", "create", "there")
    result = await kn.run("trigger", "create", "nowhere", "--broker", "there", "--sink", "ksvc:nobody")
    assert result.code == 1 and "nobody" in result.err
