"""What a status is told of Kafka: read by who makes conditions of it, for the generation that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.kafka_report import ANNOTATION, KafkaReport, report_of


def told(status: dict[str, Any], generation: int = 3) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": status}


def test_a_report_is_read_as_it_was_written_and_holds_for_its_generation_alone() -> None:
    report = KafkaReport(3, connected=True, reason="TopicNotFound", problem="topic t is not there")
    assert report_of(told(report.status())) == report
    assert report_of(told(report.status(), generation=4)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"other": 1}', '{"generation": 3, "more": 1}'])
def test_what_is_no_report_is_none(text: str) -> None:
    assert report_of(told({"annotations": {ANNOTATION: text}})) is None
    assert report_of({"metadata": {}}) is None
