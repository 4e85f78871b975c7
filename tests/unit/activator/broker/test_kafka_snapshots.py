"""The register of a topic: what is not an activator's is told as damage, and never taken for a journal."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from eventmesh.activator.broker.store.errors import CorruptJournal
from eventmesh.activator.broker.store.shared.kafka_snapshots import FIRST, Registered, identity_in, registered


def test_a_snapshot_is_registered_as_it_was_written() -> None:
    saved = Registered("a", 3, 9, 1_000, "d1")
    assert registered("shop", json.dumps(asdict(saved)).encode()) == saved


@pytest.mark.parametrize("content", [b"hello", b"\xff", b"[]", b"3", b'{"name": "a"}', b"[" * 50_000])
def test_a_register_that_something_else_writes_to_is_damage(content: bytes) -> None:
    with pytest.raises(CorruptJournal, match="the register of topic shop ends with what no activator has written"):
        registered("shop", content)


@pytest.mark.parametrize(("key", "content"), [(None, FIRST), (b"k", b"hello"), (b"k", None), (b"\xff", FIRST)])
def test_a_topic_of_something_else_is_no_journal(key: bytes | None, content: bytes | None) -> None:
    assert identity_in("shop", b"5f3a", FIRST) == b"5f3a"
    with pytest.raises(CorruptJournal, match="topic shop is not a journal: its partition 2 begins with something else"):
        identity_in("shop", key, content)
