"""Defaults and rules of KafkaSource and KafkaSink (eventing-kafka-broker: control-plane/pkg/apis)."""

from __future__ import annotations

import copy
from typing import Final
from uuid import uuid4

from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.admission.fields import (
    INVALID,
    changed,
    default_sink,
    delivery_errors,
)
from eventmesh.controllers.eventing.admission.sources import source_errors, with_sink_namespace
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.kafka_sink import ContentMode, parse_kafka_sink
from eventmesh.kube.kafka_source import InitialOffset, parse_kafka_source

GROUP_PREFIX: Final = "knative-kafka-source-"


class KafkaSourceAdmission:
    """A KafkaSource reads in a consumer group of its own, what comes from now on, a partition in its order."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the source with group, consumers, initial offset, ordering and the sinks' namespaces filled in."""
        source = with_sink_namespace(obj)
        spec = source["spec"]
        spec["consumerGroup"] = spec.get("consumerGroup") or f"{GROUP_PREFIX}{uuid4()}"
        if spec.get("consumers") is None:
            spec["consumers"] = 1
        spec["initialOffset"] = spec.get("initialOffset") or InitialOffset.LATEST.value
        spec["ordering"] = spec.get("ordering") or "ordered"
        default_sink(spec.get("delivery"), source["metadata"].get("namespace", ""))
        return source

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no topics or servers, an offset, ordering or key type nobody knows, half of what lets
        in, another group than before."""
        spec = obj["spec"]
        errors = [*source_errors(spec), *delivery_errors(spec)]
        try:
            parse_kafka_source({**obj, "metadata": {"uid": "", **obj["metadata"]}})
        except ConfigError as error:
            errors.append(config_error(error))
        if request.old is not None:
            errors += changed(request.old["spec"].get("consumerGroup"), spec.get("consumerGroup"), "spec.consumerGroup")
        return errors


class KafkaSinkAdmission:
    """A KafkaSink writes in binary mode, unless it says otherwise."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the sink with the content mode filled in."""
        sink = copy.deepcopy(obj)
        sink["spec"] = sink.get("spec") or {}
        sink["spec"]["contentMode"] = sink["spec"].get("contentMode") or ContentMode.BINARY.value
        return sink

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong: no topic or servers, a mode nobody knows, numbers that are none, another topic than
        before."""
        spec, errors = obj["spec"], []
        try:
            parse_kafka_sink({**obj, "metadata": {"uid": "", **obj["metadata"]}})
        except ConfigError as error:
            errors.append(config_error(error))
        if request.old is not None:
            errors += [
                FieldError("Immutable field updated", f"spec.{field}")
                for field in ("topic", "replicationFactor", "numPartitions")
                if spec.get(field) != request.old["spec"].get(field)
            ]
        return errors


def config_error(error: ConfigError) -> FieldError:
    """Return what is wrong with a field of `spec`, or of what its path says, in the words of Knative."""
    paths = (path.strip() for path in error.path.split(","))
    told = ", ".join(path if path.startswith("metadata.") else f"spec.{path}" for path in paths)
    known = error.problem.startswith((INVALID, "missing field(s)", "expected "))
    return FieldError(error.problem if known else f"{INVALID}: {error.problem}", told)
