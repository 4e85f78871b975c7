"""The store that activators share, over a real nats-server: the contract of every store, and what this one adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.activator.broker.store.shared.jetstream import JetStreamJournal, JetStreamSettings
from eventmesh.activator.broker.store.shared.store import SharedStore
from eventmesh.base.clock import SystemClock
from tests.contracts.event_history import EventHistoryContract
from tests.contracts.event_queue import EventQueueContract
from tests.contracts.event_replays import EventReplaysContract
from tests.contracts.event_store import EventStoreContract
from tests.peers.nats_server import NatsServer, nats_server

pytestmark = pytest.mark.peer


def opened(server: NatsServer, directory: Path) -> SharedStore:
    """Return an activator's store."""
    settings = JetStreamSettings((server.url,), "eventmesh", monitor=server.monitor)
    return SharedStore(JetStreamJournal(settings), directory, SystemClock())


class TestJetStreamStore(EventStoreContract, EventHistoryContract, EventQueueContract, EventReplaysContract):
    @pytest_asyncio.fixture(autouse=True)
    async def server(self, tmp_path: Path) -> AsyncIterator[None]:
        async with nats_server(tmp_path / "nats") as self._server:
            yield

    def open_store(self, directory: Path) -> SharedStore:
        return opened(self._server, directory / "activator")
