"""Topics that KafkaSources read and KafkaSinks write: whether they are there, and what is told when Kafka refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    BrokerResponseError,
    InvalidTopicError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from eventmesh.activator.broker.store.shared.kafka_clients import (
    ANSWER_S,
    KafkaSettings,
    administered,
    unreachable,
)
from eventmesh.activator.kafka_access import KafkaProblem

_ABSENT = (UnknownTopicOrPartitionError, InvalidTopicError)


async def partitions_of(settings: KafkaSettings, topics: Sequence[str]) -> list[TopicPartition]:
    """Return all partitions of the topics; raises KafkaProblem when one is not there, and what the library raises."""
    async with asyncio.timeout(ANSWER_S), administered(settings) as admin:
        return await _described(admin, topics)


async def topic_there(settings: KafkaSettings, partitions: int | None, replicas: int | None) -> None:
    """Return when the topic of the settings is there; made now, where both numbers are given and there was none.

    Raises KafkaProblem, and what the library raises.
    """
    async with asyncio.timeout(ANSWER_S), administered(settings) as admin:
        try:
            await _described(admin, [settings.topic])
        except KafkaProblem:
            if partitions is None or replicas is None:
                raise
            answer = (await admin.create_topics([NewTopic(settings.topic, partitions, replicas)])).to_object()
            (told,) = answer["topic_errors"]
            error = for_code(told["error_code"])
            # Another activator may have been faster.
            if error.errno and error is not TopicAlreadyExistsError:
                words = f"topic {settings.topic} could not be made: {told.get('error_message') or error.__name__}"
                raise KafkaProblem("TopicNotMade", words, connected=True) from None


async def _described(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    told = await admin.describe_topics(list(topics))
    for topic in told:
        error = for_code(topic["error_code"])
        if error in _ABSENT:
            raise absent(topic["topic"])
        if error.errno:
            raise error(topic["topic"])
    return [TopicPartition(topic["topic"], each["partition"]) for topic in told for each in topic["partitions"]]


def absent(topic: str) -> KafkaProblem:
    """Return what is told of a topic that is not there."""
    words = f"topic {topic} is not there, or may not be described"
    return KafkaProblem("TopicNotFound", words, connected=True)


def problem_of(settings: KafkaSettings, error: BaseException) -> KafkaProblem:
    """Return what is told of an error of the library or the network."""
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return KafkaProblem("Refused", f"Kafka at {settings.where()}: {error}", connected=True)
    return KafkaProblem("ConnectionFailed", str(unreachable(settings, error)))
