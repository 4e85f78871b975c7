"""The topic that a journal is kept in: how it is made, and which promises its settings keep or break.

Kafka acknowledges what is in memory of its servers; `flush.messages` of 1 makes each of them sync a batch before it
counts, and is a setting of the topic. So it is asked for when the topic is made, and read back from one that was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings
from eventmesh.base.frozen import frozen

ENTRIES = 0
"""Partition of the entries: one, because they have one order."""

PIECES = 1
"""Partition of the snapshots, cut into pieces."""

REGISTER = 2
"""Partition that says which journal this is, in its first record, and in its last one which snapshot is whole."""

PARTITIONS = 3

LEADERS_S = 10.0
"""How long the servers may take to agree on who leads a partition: after a start, some seconds."""

LOOK_S = 0.05
"""Wait before they are asked again."""

MAX_MESSAGE_BYTES = 4 << 20
"""Of a topic that is made here: an event of the longest kind, its attributes, and what is written beside it."""

MESSAGE_OVERHEAD = 512
"""What Kafka counts of a batch beside the entry: its head is 61 bytes, that of the record and its key some 40."""

SEGMENT_BYTES = 16 << 20
"""Of one file of a topic that is made here: what is cut off goes by whole files."""


@frozen
class TopicPromises:
    """What a topic keeps."""

    max_entry_bytes: int
    warnings: Sequence[str]


async def topic_there(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> TopicPromises:
    """Return what the topic keeps, once each of its partitions is led; it is made when there is none.

    Raises StoreError when it would lose what was acknowledged, and what the library raises.
    """
    partitions = await _partitions(admin, settings)
    if len(partitions) != PARTITIONS:
        raise StoreError(
            f"topic {settings.topic} has {len(partitions)} partitions; a journal has {PARTITIONS}: let the activator "
            "make it"
        )
    replicas = min(len(partition["replicas"]) for partition in partitions)
    if replicas < settings.replicas:
        raise StoreError(
            f"topic {settings.topic} is kept on {replicas} servers; replicas={settings.replicas} was asked"
        )
    return promises(settings.topic, replicas, await _config(admin, settings.topic))


async def _partitions(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> Sequence[Mapping[str, Any]]:
    async with asyncio.timeout(LEADERS_S):
        while True:
            (topic,) = await admin.describe_topics([settings.topic])
            error = for_code(topic["error_code"])
            if error is UnknownTopicOrPartitionError:
                await _make(admin, settings)
            elif error.errno and not error.retriable:
                raise error(settings.topic)
            elif not error.errno and all(partition["leader"] >= 0 for partition in topic["partitions"]):
                found: Sequence[Mapping[str, Any]] = topic["partitions"]
                return found
            await asyncio.sleep(LOOK_S)


async def _make(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    config = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "flush.messages": "1",
        "min.insync.replicas": str(settings.replicas // 2 + 1),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "segment.bytes": str(SEGMENT_BYTES),
        # An activator whose clock is an hour ahead would be refused.
        "message.timestamp.type": "LogAppendTime",
    }
    new = NewTopic(settings.topic, PARTITIONS, settings.replicas, topic_configs=config)
    answer = (await admin.create_topics([new])).to_object()
    (told,) = answer["topic_errors"]
    error = for_code(told["error_code"])
    # Another activator may have been faster.
    if error.errno and error is not TopicAlreadyExistsError:
        raise error(told.get("error_message") or settings.topic)


async def _config(admin: AIOKafkaAdminClient, topic: str) -> Mapping[str, str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    (told,) = answer.to_object()["resources"]
    error = for_code(told["error_code"])
    if error.errno:
        raise StoreError(
            f"what topic {topic} is set to cannot be read ({told['error_message'] or error.__name__}): allow "
            "DescribeConfigs, or nobody knows what a 202 is worth"
        )
    return {entry["config_names"]: entry["config_value"] for entry in told["config_entries"]}


def promises(topic: str, replicas: int, config: Mapping[str, str]) -> TopicPromises:
    """Return what a topic with that configuration keeps; raises StoreError when it would lose what was acknowledged."""
    wanted = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    if replicas > 1:
        wanted["unclean.leader.election.enable"] = "false"
    for name, value in wanted.items():
        if config.get(name) != value:
            raise StoreError(
                f"topic {topic} has {name}={config.get(name)}; events that were acknowledged need {name}={value}"
            )
    is_synced = config.get("flush.messages") == "1"
    if replicas == 1 and not is_synced:
        raise StoreError(
            f"topic {topic} has flush.messages={config.get('flush.messages')}: its one server acknowledges before it "
            "syncs; set flush.messages=1 on the topic, or keep it on three servers (replicas=3)"
        )
    warnings = []
    in_sync = int(config.get("min.insync.replicas", "1"))
    if replicas > 1 and not is_synced:
        warnings.append(
            f"202 means held by {in_sync} of {replicas} servers, not yet on their disks: topic {topic} has "
            f"flush.messages={config.get('flush.messages')}, and not 1"
        )
    if replicas > 1 and in_sync < 2:
        warnings.append(
            f"202 may be held by one of {replicas} servers alone: topic {topic} has min.insync.replicas={in_sync}"
        )
    return TopicPromises(int(config["max.message.bytes"]) - MESSAGE_OVERHEAD, warnings)
