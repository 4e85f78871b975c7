"""The store that activators share, over a real nats-server: the contract of every store, and what this one adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.js.api import StreamConfig

from eventmesh.activator.broker.store.errors import CorruptStore, EventTooLong, StoreError
from eventmesh.activator.broker.store.shared.address import journal_at
from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.certificates import load_or_make
from tests.contracts.event_store import new_event
from tests.contracts.shared_store import SharedStoreContract, opened
from tests.peers.file_syncs import SYNC_CALLS, syncs
from tests.peers.nats_account import nats_account
from tests.peers.nats_server import NatsServer, nats_server

pytestmark = pytest.mark.peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """Return a server that lives as long as this module's tests."""
    async with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


class TestJetStreamStore(SharedStoreContract):
    pass


async def test_a_server_that_does_not_sync_is_refused_and_names_the_setting(tmp_path: Path) -> None:
    async with nats_server(tmp_path / "nats", sync="2m") as server:
        journal = journal_at(f"{server.url}?monitor={server.monitor}")
        with pytest.raises(StoreError, match="set sync_interval: always in its jetstream block"):
            await journal.open()
        await journal.close()


async def test_a_server_that_is_not_asked_whether_it_syncs_is_taken_with_a_warning(lasting: NatsServer) -> None:
    journal = journal_at(f"{lasting.url}/unasked")
    await journal.open()
    assert len(journal.warnings) == 1
    assert "202 means on disk only when the server has sync_interval: always" in journal.warnings[0]
    await journal.close()
    asked = journal_at(f"{lasting.url}/unasked?monitor={lasting.monitor}")
    await asked.open()
    assert not asked.warnings
    await asked.close()


async def test_a_stream_that_would_drop_events_is_refused(lasting: NatsServer) -> None:
    client = await nats.connect(lasting.url)
    await client.jetstream().add_stream(StreamConfig(name="brief", subjects=["brief.journal"], max_age=60))
    journal = journal_at(f"{lasting.url}/brief")
    with pytest.raises(StoreError, match=r"stream brief has discard .*|stream brief has max_age 60"):
        await journal.open()
    await journal.close()
    await client.close()


async def test_an_entry_that_was_deleted_is_damage(lasting: NatsServer, tmp_path: Path) -> None:
    store = opened(lasting.address("gap"), tmp_path / "1")
    for n in range(5):
        await store.append(new_event(n))
    await store.close()
    client = await nats.connect(lasting.url)
    await client.jetstream().delete_msg("gap", 3)
    other = opened(lasting.address("gap"), tmp_path / "2")
    with pytest.raises(CorruptStore, match="1 of the entries 1 to 5 are missing in stream gap"):
        await other.append(new_event(9))
    await other.close()
    await client.close()


async def test_a_password_is_taken_from_its_file_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    async with nats_server(tmp_path / "nats", more='authorization { user: "mesh", password: "hush" }') as server:
        secret.write_text("hush\n")
        journal = journal_at(f"{server.url}?user=mesh&password-file={secret}")
        assert (await journal.open()).last == 0
        await journal.close()
        secret.write_text("wrong\n")
        refused = journal_at(f"{server.url}?user=mesh&password-file={secret}")
        with pytest.raises(StoreError, match=f"NATS at 127.0.0.1:{server.port}: .*Authorization Violation") as raised:
            await refused.open()
        assert "wrong" not in str(raised.value)
        await refused.close()


async def test_credentials_are_shown_and_those_of_another_are_told(tmp_path: Path) -> None:
    ours, theirs = nats_account(), nats_account()
    credentials = tmp_path / "mesh.creds"
    async with nats_server(tmp_path / "nats", more=ours.server_config) as server:
        credentials.write_text(ours.credentials)
        journal = journal_at(f"{server.address()}&credentials={credentials}")
        await journal.open()
        await journal.append(b"let in")
        await journal.close()
        credentials.write_text(theirs.credentials)
        refused = journal_at(f"{server.address()}&credentials={credentials}")
        with pytest.raises(StoreError, match=f"NATS at 127.0.0.1:{server.port}: .*Authorization Violation"):
            await refused.open()
        await refused.close()


async def test_both_ends_show_certificates_under_tls(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "tls", SystemClock())
    ca, certificate, key = tmp_path / "ca.pem", tmp_path / "me.pem", tmp_path / "me.key"
    ca.write_bytes(made.ca_pem)
    certificate.write_bytes(made.client.certificate_pem)
    key.write_bytes(made.client.key_pem)
    tls = f'cert_file: "{made.certificate_file}", key_file: "{made.key_file}", ca_file: "{ca}", verify: true'
    async with nats_server(tmp_path / "nats", more=f"tls {{ {tls} }}") as server:
        address = server.address().replace("nats://", "tls://")
        journal = journal_at(f"{address}&ca={ca}&certificate={certificate}&key={key}")
        await journal.open()
        await journal.append(b"let in")
        await journal.close()
        stranger = journal_at(f"{address}&ca={ca}")
        with pytest.raises(StoreError, match=f"NATS at 127.0.0.1:{server.port}: "):
            await stranger.open()
        await stranger.close()


async def test_the_longest_event_is_what_the_server_lets_through(tmp_path: Path) -> None:
    async with nats_server(tmp_path / "nats", more="max_payload: 300000") as server:
        store = opened(server.address(), tmp_path / "activator")
        with pytest.raises(EventTooLong, match="the store takes up to 299"):
            await store.append(new_event(1, data=b"x" * 300_000))
        assert (await store.append(new_event(1, data=b"x" * 299_000))).sequence == 1
        await store.close()
    async with nats_server(tmp_path / "narrow", more="max_payload: 10000") as server:
        journal = journal_at(server.url)
        with pytest.raises(StoreError, match="has max_payload 10000; at least 262656 are needed"):
            await journal.open()
        await journal.close()


async def test_the_server_syncs_each_entry_before_it_acknowledges(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with nats_server(tmp_path / "nats") as server:
        await server.kill()
        await server.start("strace", "-f", "-qq", "-e", SYNC_CALLS, "-o", str(trace))
        journal = journal_at(server.url)
        await journal.open()
        counts = [syncs(trace)]
        for n in range(20):
            await journal.append(b"entry %d" % n)
            counts.append(syncs(trace))
        await journal.close()
    grown = [after - before for before, after in zip(counts, counts[1:], strict=False)]
    assert min(grown) >= 1, f"an entry was acknowledged without a sync: {grown}"
