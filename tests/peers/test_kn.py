"""kn against the embedded API alone: what it does before any controller has done its part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.component.embedded_api import Served
from tests.peers.command_line import CommandLine

pytestmark = pytest.mark.peer


@pytest.fixture(params=["kn-oldest", "kn"])
def kn(request: pytest.FixtureRequest, cluster: Served, tmp_path: Path) -> CommandLine:
    """Return one of those that `tools/kn` builds."""
    return CommandLine(request.param, cluster.kubeconfig, tmp_path)


@pytest.mark.parametrize("group", ["service", "revision", "route", "broker", "trigger", "channel", "subscription"])
async def test_empty_lists(kn: CommandLine, group: str) -> None:
    assert "found" in await kn(group, "list")


async def test_sources_and_their_types_come_from_the_definitions(kn: CommandLine) -> None:
    types = await kn("source", "list-types", "-o", "name")
    assert "pingsources.sources.knative.dev" in types
    assert "No sources found" in await kn("source", "list")
    assert "InMemoryChannel" in await kn("channel", "list-types")


async def test_create_without_waiting_and_delete(kn: CommandLine) -> None:
    created = await kn("service", "create", "hello", "--image", "dev.local/hello", "--no-wait")
    assert created == "Service 'hello' created in namespace 'default'.\n"
    again = await kn.run("service", "create", "hello", "--image", "dev.local/hello", "--no-wait")
    assert again.code == 1 and "service already exists" in again.err
    assert "hello" in await kn("service", "list")
    assert (
        await kn("service", "delete", "hello", "--wait")
        == "Service 'hello' successfully deleted in namespace 'default'.\n"
    )
    missing = await kn.run("service", "delete", "hello")
    assert 'services.serving.knative.dev "hello" not found' in missing.err


async def test_secrets_travel_as_protobuf(kn: CommandLine) -> None:
    await kn("secret", "create", "s", "--from-literal", "a=b")
    assert "s" in await kn("secret", "list")
    await kn("secret", "delete", "s")
    assert "s " not in await kn("secret", "list")


async def test_triggers_and_ping_sources_are_written_and_read(kn: CommandLine) -> None:
    await kn("broker", "create", "default")
    await kn("trigger", "create", "t", "--broker", "default", "--filter", "type=a", "--sink", "broker:default")
    assert "default" in await kn("trigger", "list")
    assert "type:" in (await kn("trigger", "describe", "t"))
    await kn("source", "ping", "create", "p", "--schedule", "* * * * *", "--data", "{}", "--sink", "broker:default")
    assert "PingSource" in await kn("source", "list")
    await kn("trigger", "delete", "t")
    await kn("broker", "delete", "default")
