"""One KafkaSink at Kafka: a producer whose records are on all replicas that have to have them, once it returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from eventmesh.activator.broker.store.shared.kafka_clients import ANSWER_S, KafkaSettings, producing
from eventmesh.activator.kafka_access import KafkaProblem, RecordTooLong
from eventmesh.activator.kafka_topics import problem_of, topic_there
from eventmesh.cloudevents.kafka import Message


class KafkaWriter:
    """Writes into the topic of its settings; made by `opened`."""

    def __init__(self, producer: AIOKafkaProducer, settings: KafkaSettings) -> None:
        self._producer = producer
        self._settings = settings
        self._broken: asyncio.Future[KafkaProblem] = asyncio.get_running_loop().create_future()

    async def write(self, message: Message) -> None:
        """Return once the record is written (acks=all); raises RecordTooLong, or KafkaProblem.

        One that was not told to be written may be there all the same.
        """
        headers = [(name, value or b"") for name, value in message.headers]
        # Without a key there is nothing that None could make a compacted topic forget, and the library takes no such
        # record: the event without data has an empty value then.
        value = b"" if message.value is None and message.key is None else message.value
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._producer.send_and_wait(self._settings.topic, value, key=message.key, headers=headers)
        except MessageSizeTooLargeError as error:
            raise RecordTooLong(self._settings.topic) from error
        except (KafkaError, OSError, TimeoutError) as error:
            problem = problem_of(self._settings, error)
            if not problem.connected and not self._broken.done():
                self._broken.set_result(problem)
            raise problem from error
        except Exception as error:
            # Whatever it stumbled over: the record is not known to be written, and the sender is told to send it again.
            raise KafkaProblem("NotWritten", f"the producer failed: {error!r}", connected=True) from error

    async def broken(self) -> KafkaProblem:
        """Return why there is no use in writing on: what let in may have changed, or the servers are gone."""
        return await asyncio.shield(self._broken)


@asynccontextmanager
async def opened(settings: KafkaSettings, partitions: int | None, replicas: int | None) -> AsyncIterator[KafkaWriter]:
    """Give a writer until the block ends, the topic being there; it is made where both numbers are given. Raises
    KafkaProblem."""
    try:
        await topic_there(settings, partitions, replicas)
        async with producing(settings, idempotent=False) as producer:
            yield KafkaWriter(producer, settings)
    except (KafkaError, OSError, TimeoutError) as error:
        raise problem_of(settings, error) from error
