"""Sequence: N steps are N channels and N Subscriptions; the reply of a step goes into the next channel. Pure."""

from __future__ import annotations

from eventmesh.controllers.eventing.flow import (
    Plan,
    channel_named,
    destination_of,
    reference_to,
    shown,
    subscription_named,
)
from eventmesh.kube.api import Object
from eventmesh.kube.knative import sequence_channel

_DESTINATION = ("ref", "uri", "CACerts", "audience")


def plan(sequence: Object) -> Plan:
    """Return the channels and Subscriptions of a Sequence, in the order of its steps."""
    steps = sequence["spec"]["steps"]
    names = [sequence_channel(sequence["metadata"]["name"], number) for number in range(len(steps))]
    subscriptions = []
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        subscriptions.append(
            subscription_named(
                names[number],
                reference_to(sequence, names[number]),
                {field: step[field] for field in _DESTINATION if step.get(field)},
                reply=sequence["spec"].get("reply") if last else destination_of(sequence, names[number + 1]),
                delivery=step.get("delivery"),
            )
        )
    return Plan(tuple(channel_named(sequence, name) for name in names), tuple(subscriptions))


def status(channels: list[Object], subscriptions: list[Object]) -> Object:
    """Return the status fields that show the objects of a Sequence."""
    return {
        "channelStatuses": [shown("channel", channel) for channel in channels],
        "subscriptionStatuses": [shown("subscription", subscription) for subscription in subscriptions],
    }
