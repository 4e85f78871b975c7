"""What may be written of the kinds of Eventing, and what is filled in. One module a family of kinds."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.controllers.eventing.admission.brokers import BrokerAdmission, TriggerAdmission
from eventmesh.controllers.eventing.admission.channels import (
    ChannelAdmission,
    InMemoryChannelAdmission,
    SubscriptionAdmission,
)
from eventmesh.controllers.eventing.admission.event_types import EventTypeAdmission
from eventmesh.controllers.eventing.admission.flows import ParallelAdmission, SequenceAdmission
from eventmesh.controllers.eventing.admission.job_sinks import JobSinkAdmission
from eventmesh.controllers.eventing.admission.kafka import KafkaSinkAdmission, KafkaSourceAdmission
from eventmesh.controllers.eventing.admission.policies import EventPolicyAdmission
from eventmesh.controllers.eventing.admission.request_replies import RequestReplyAdmission
from eventmesh.controllers.eventing.admission.sources import (
    ApiServerSourceAdmission,
    ContainerSourceAdmission,
    PingSourceAdmission,
    SinkBindingAdmission,
)
from eventmesh.kube.admission import Admission
from eventmesh.kube.api import Resource
from eventmesh.kube.resources import (
    API_SERVER_SOURCE,
    BROKER,
    CHANNEL,
    CONTAINER_SOURCE,
    EVENT_POLICY,
    EVENT_TYPE,
    IN_MEMORY_CHANNEL,
    JOB_SINK,
    KAFKA_SINK,
    KAFKA_SOURCE,
    KAFKA_SOURCE_V1BETA1,
    PARALLEL,
    PING_SOURCE,
    PING_SOURCE_V1BETA2,
    REQUEST_REPLY,
    SEQUENCE,
    SINK_BINDING,
    SUBSCRIPTION,
    TRIGGER,
)

ADMISSIONS: Mapping[Resource, Admission] = {
    BROKER: BrokerAdmission(),
    TRIGGER: TriggerAdmission(),
    CHANNEL: ChannelAdmission(),
    IN_MEMORY_CHANNEL: InMemoryChannelAdmission(),
    SUBSCRIPTION: SubscriptionAdmission(),
    EVENT_POLICY: EventPolicyAdmission(),
    EVENT_TYPE: EventTypeAdmission(),
    SEQUENCE: SequenceAdmission(),
    PARALLEL: ParallelAdmission(),
    JOB_SINK: JobSinkAdmission(),
    API_SERVER_SOURCE: ApiServerSourceAdmission(),
    CONTAINER_SOURCE: ContainerSourceAdmission(),
    KAFKA_SINK: KafkaSinkAdmission(),
    KAFKA_SOURCE: KafkaSourceAdmission(),
    KAFKA_SOURCE_V1BETA1: KafkaSourceAdmission(),
    PING_SOURCE: PingSourceAdmission(),
    PING_SOURCE_V1BETA2: PingSourceAdmission(),
    REQUEST_REPLY: RequestReplyAdmission(),
    SINK_BINDING: SinkBindingAdmission(),
}
"""What an API server registers."""
