"""What a topic's settings are worth: which are refused, and which are told."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings
from eventmesh.activator.broker.store.shared.kafka_topic import promises

KEPT = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "flush.messages": "1",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "max.message.bytes": "1000512",
}
LATER = "9223372036854775807"


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_topic_that_syncs_and_keeps_promises_everything(replicas: int) -> None:
    found = promises("shop", replicas, KEPT)
    assert found.warnings == []
    assert found.max_entry_bytes == 1_000_000


@pytest.mark.parametrize(
    ("replicas", "config", "problem"),
    [
        (1, {"cleanup.policy": "compact"}, "topic shop has cleanup.policy=compact; .* need cleanup.policy=delete"),
        (1, {"retention.ms": "604800000"}, "has retention.ms=604800000; .* need retention.ms=-1"),
        (1, {"retention.bytes": "1"}, "has retention.bytes=1; .* need retention.bytes=-1"),
        (3, {"unclean.leader.election.enable": "true"}, "need unclean.leader.election.enable=false"),
        (1, {"flush.messages": LATER}, "set flush.messages=1 on the topic, or keep it on three servers"),
    ],
)
def test_a_topic_that_would_lose_what_was_acknowledged_is_refused(
    replicas: int, config: dict[str, str], problem: str
) -> None:
    with pytest.raises(StoreError, match=problem):
        promises("shop", replicas, {**KEPT, **config})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"flush.messages": LATER}, "202 means held by 2 of 3 servers, not yet on their disks"),
        (
            {"min.insync.replicas": "1"},
            "held by one of 3 servers alone: topic shop has min.insync.replicas=1",
        ),
    ],
)
def test_what_several_servers_do_not_promise_is_told(config: dict[str, str], told: str) -> None:
    (warning,) = promises("shop", 3, {**KEPT, **config}).warnings
    assert told in warning


def test_the_way_in_follows_from_what_is_given() -> None:
    plain = KafkaSettings(("h:1",), "t")
    assert plain.connection()["security_protocol"] == "PLAINTEXT"
    named = KafkaSettings(("h:1",), "t", user="me", password="hush")
    assert "hush" not in repr(named)
    options = named.connection()
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert options["sasl_plain_password"] == "hush"
