"""What may be written of the kinds of Eventing, and what is filled in. One module a family of kinds."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.controllers.eventing.admission.brokers import BrokerAdmission, TriggerAdmission
from eventmesh.controllers.eventing.admission.channels import (
    ChannelAdmission,
    InMemoryChannelAdmission,
    SubscriptionAdmission,
)
from eventmesh.kube.admission import Admission
from eventmesh.kube.api import Resource
from eventmesh.kube.resources import BROKER, CHANNEL, IN_MEMORY_CHANNEL, SUBSCRIPTION, TRIGGER

ADMISSIONS: Mapping[Resource, Admission] = {
    BROKER: BrokerAdmission(),
    TRIGGER: TriggerAdmission(),
    CHANNEL: ChannelAdmission(),
    IN_MEMORY_CHANNEL: InMemoryChannelAdmission(),
    SUBSCRIPTION: SubscriptionAdmission(),
}
"""What an API server registers."""
