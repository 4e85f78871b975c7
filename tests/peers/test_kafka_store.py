"""The store that activators share, over a real Apache Kafka: the contract of every store, and what this one adds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from eventmesh.activator.broker.store.errors import CorruptStore, EventTooLong, StoreError
from eventmesh.activator.broker.store.shared.address import journal_at
from eventmesh.activator.broker.store.shared.journal import Journal
from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.certificates import load_or_make
from tests.component.processes import program
from tests.contracts.event_store import new_event
from tests.contracts.shared_store import SharedStoreContract, accepted, opened
from tests.peers.file_syncs import SYNC_CALLS, syncs
from tests.peers.kafka_server import GUARDED, KafkaServer, kafka_server
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer


SYNCED = {"flush.messages": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaServer]:
    """Return a server that lives as long as this module's tests."""
    async with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


class TestKafkaStore(SharedStoreContract):
    pass


async def answered(journal: Journal) -> None:
    """Open the journal as soon as its server answers."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(StoreError):
                await journal.open()
                return
            await asyncio.sleep(0.1)


async def made(server: KafkaServer, topic: str, config: Mapping[str, str], partitions: int = 3) -> None:
    """Make a topic as somebody else would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    config = {"retention.ms": "-1", **config}
    await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
    await admin.close()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({**SYNCED, "retention.ms": "60000"}, "has retention.ms=60000; events that were .* need retention.ms=-1"),
        ({**SYNCED, "cleanup.policy": "compact"}, "has cleanup.policy=compact; .* need cleanup.policy=delete"),
        ({}, "flush.messages=9223372036854775807: its one server acknowledges before it syncs; set flush.messages=1"),
        ({**SYNCED, "max.message.bytes": "10000"}, "has max.message.bytes=10000; at least 262656 are needed"),
    ],
)
async def test_a_topic_that_would_lose_events_is_refused(
    lasting: KafkaServer, tmp_path: Path, config: dict[str, str], problem: str
) -> None:
    await made(lasting, tmp_path.name, config)
    journal = journal_at(lasting.address(tmp_path.name))
    with pytest.raises(StoreError, match=problem):
        await journal.open()
    await journal.close()


async def test_a_topic_of_something_else_is_refused(lasting: KafkaServer) -> None:
    await made(lasting, "orders", SYNCED, partitions=1)
    journal = journal_at(lasting.address("orders"))
    with pytest.raises(StoreError, match="topic orders has 1 partitions; a journal has 3"):
        await journal.open()
    await journal.close()


async def test_what_somebody_else_writes_into_the_topic_is_damage(lasting: KafkaServer, tmp_path: Path) -> None:
    store = opened(lasting.address("foreign"), tmp_path / "1")
    await store.append(new_event(1))
    await store.close()
    producer = AIOKafkaProducer(bootstrap_servers=lasting.bootstrap)
    await producer.start()
    await producer.send_and_wait("foreign", b"hello", partition=0)
    await producer.stop()
    other = opened(lasting.address("foreign"), tmp_path / "2")
    with pytest.raises(CorruptStore, match="entry [0-9]+ of topic foreign was written for another journal"):
        await other.append(new_event(9))
    await other.close()


async def test_a_topic_that_was_made_anew_is_not_the_journal(lasting: KafkaServer, tmp_path: Path) -> None:
    store = opened(lasting.address("anew"), tmp_path / "1")
    await store.append(new_event(1))
    await store.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=lasting.bootstrap)
    await admin.start()
    await admin.delete_topics(["anew"])
    await admin.close()
    again = opened(lasting.address("anew"), tmp_path / "1")
    with pytest.raises(CorruptStore, match="it was made anew, and what it held is in that file only"):
        await accepted(again, 2)
    await again.close()


async def test_a_snapshot_that_is_not_whole_is_damage(lasting: KafkaServer, tmp_path: Path) -> None:
    journal = journal_at(lasting.address("pieces"))
    await journal.open()
    saved, loaded = tmp_path / "saved", tmp_path / "loaded"
    assert not await journal.load(loaded)
    saved.write_bytes(bytes(range(256)) * 4_000)
    await journal.save(saved)
    assert await journal.load(loaded)
    assert loaded.read_bytes() == saved.read_bytes()
    admin = AIOKafkaAdminClient(bootstrap_servers=lasting.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition("pieces", 1): RecordsToDelete(2)})
    await admin.close()
    with pytest.raises(CorruptStore, match="of the snapshot in topic pieces, 630784 of 1024000 bytes are there"):
        await journal.load(loaded)
    await journal.close()


async def test_the_longest_event_is_what_the_topic_lets_through(lasting: KafkaServer, tmp_path: Path) -> None:
    await made(lasting, "narrow", {**SYNCED, "max.message.bytes": "300000"})
    store = opened(lasting.address("narrow"), tmp_path)
    with pytest.raises(EventTooLong, match="the store takes up to 299"):
        await store.append(new_event(1, data=b"x" * 300_000))
    assert (await store.append(new_event(1, data=b"x" * 299_000))).sequence == 1
    await store.close()


async def test_an_entry_that_is_not_what_was_written_is_damage(lasting: KafkaServer, tmp_path: Path) -> None:
    store = opened(lasting.address("flipped"), tmp_path / "1")
    await store.append(new_event(1, data=b"x" * 1_000))
    await store.close()
    file = lasting.segment("flipped", 0)
    content = bytearray(file.read_bytes())
    content[content.index(b"xxxx")] ^= 1
    with file.open("r+b") as segment:
        segment.write(content)
    other = opened(lasting.address("flipped"), tmp_path / "2")
    with pytest.raises(CorruptStore, match="entry 1 of topic flipped, .* is not what was written: its checksum"):
        await other.append(new_event(2))
    await other.close()


async def test_the_server_syncs_each_entry_before_it_acknowledges(lasting: KafkaServer, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    journal = journal_at(lasting.address("synced"))
    await answered(journal)
    assert lasting.process is not None
    attach = ("strace", "-f", "-e", SYNC_CALLS, "-o", str(trace), "-p", str(lasting.process.pid))
    async with program(*attach, stderr=asyncio.subprocess.PIPE) as strace:
        assert strace.stderr is not None
        assert b"attached" in await strace.stderr.readline()
        counts = [syncs(trace)]
        for n in range(20):
            await journal.append(b"entry %d" % n)
            counts.append(syncs(trace))
        # It lets go of the server, which goes on.
        strace.terminate()
        await strace.communicate()
    await journal.close()
    grown = [after - before for before, after in zip(counts, counts[1:], strict=False)]
    assert min(grown) >= 1, f"an entry was acknowledged without a sync: {grown}"


async def test_a_certificate_and_a_password_let_in_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "tls", SystemClock())
    files = {"ca": tmp_path / "ca.pem", "certificate": tmp_path / "me.pem", "key": tmp_path / "me.key"}
    for file, content in zip(
        files.values(), (made.ca_pem, made.client.certificate_pem, made.client.key_pem), strict=True
    ):
        file.write_bytes(content)
    keystore, secret, wrong = tmp_path / "server.pem", tmp_path / "secret", tmp_path / "wrong"
    keystore.write_bytes(made.key_file.read_bytes() + made.certificate_file.read_bytes())
    secret.write_text("hush\n")
    wrong.write_text("guess\n")
    config = GUARDED.format(keystore=keystore, truststore=files["ca"])
    tls = "&".join(f"{name}={file}" for name, file in files.items())
    user = ("--standalone", "--add-scram", "SCRAM-SHA-512=[name=mesh,password=hush]")
    async with kafka_server(tmp_path / "kafka", config, *user) as server:
        address = server.address().replace("kafka://", "kafka+ssl://")
        journal = journal_at(f"{address}?user=mesh&password-file={secret}&{tls}")
        await answered(journal)
        await journal.append(b"let in")
        await journal.close()
        refused = journal_at(f"{address}?user=mesh&password-file={wrong}&{tls}")
        with pytest.raises(StoreError, match="do not know user mesh, or want another password") as raised:
            await refused.open()
        assert "guess" not in str(raised.value)
        await refused.close()
        stranger = journal_at(f"{address}?user=mesh&password-file={secret}&ca={files['ca']}")
        with pytest.raises(StoreError, match=f"Kafka at {server.bootstrap}: no server lets us in"):
            await stranger.open()
        await stranger.close()
