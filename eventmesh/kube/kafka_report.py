"""What the activator, which alone speaks to Kafka, tells the controllers of a KafkaSource or KafkaSink: how far it has
come, in an annotation of the status."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object

ANNOTATION: Final = "eventmesh.io/kafka"
"""In `status.annotations`."""


@frozen
class KafkaReport:
    """How an object stands with its servers, as far as it is known of its `generation`."""

    generation: int
    connected: bool = False
    settled: bool = False
    """Of a source: each partition has a place to read from that is kept. Of a sink: its topic is there."""
    reason: str = ""
    """One word for machines, where something is wrong."""
    problem: str = ""

    def status(self) -> Object:
        """Return the part of a status that holds it."""
        return {"annotations": {ANNOTATION: json.dumps(asdict(self), separators=(",", ":"))}}


def report_of(obj: Object) -> KafkaReport | None:
    """Return what was told of the generation that the object has now; None: nothing yet."""
    text = ((obj.get("status") or {}).get("annotations") or {}).get(ANNOTATION)
    try:
        report = KafkaReport(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        # Written by another version, or by hand: the activator tells again when it begins.
        return None
    generation = obj["metadata"].get("generation") or 0
    return report if report is not None and report.generation == generation else None
