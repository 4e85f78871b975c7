"""What becomes of a record that the library does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings
from eventmesh.activator.kafka_access import KafkaProblem
from eventmesh.activator.kafka_writer import KafkaWriter
from eventmesh.cloudevents.kafka import Message

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer


class Broken:
    """A producer that fails in a way which nobody foresaw."""

    async def send_and_wait(self, *_: object, **__: object) -> None:
        raise RuntimeError("its sender has died")


async def test_any_failure_of_the_producer_is_a_problem_that_is_told_and_tried_again() -> None:
    writer = KafkaWriter(cast("AIOKafkaProducer", Broken()), KafkaSettings(("127.0.0.1:1",), "orders"))
    with pytest.raises(KafkaProblem, match="its sender has died") as told:
        await writer.write(Message([], b"x"))
    assert told.value.reason == "NotWritten"
