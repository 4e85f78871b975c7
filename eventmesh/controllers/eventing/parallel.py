"""Parallel: one channel in front, and for each branch a channel behind its filter. Pure.

A filter is a service: what it answers goes into the branch's channel, and no answer ends the branch. A branch without a
filter gets everything.
"""

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
from eventmesh.kube.knative import parallel_channel


def plan(parallel: Object) -> Plan:
    """Return the channels of a Parallel, the front one first, and two Subscriptions a branch: filter, subscriber."""
    spec = parallel["spec"]
    front = parallel_channel(parallel["metadata"]["name"])
    channels, subscriptions = [front], []
    for number, branch in enumerate(spec["branches"]):
        behind = f"{front}-{number}"
        channels.append(behind)
        passed_on, filtered = destination_of(parallel, behind), branch.get("filter")
        subscriptions += [
            subscription_named(
                f"{front}-filter-{number}",
                reference_to(parallel, front),
                filtered or passed_on,
                reply=passed_on if filtered else None,
            ),
            subscription_named(
                behind,
                reference_to(parallel, behind),
                branch["subscriber"],
                reply=branch.get("reply") or spec.get("reply"),
                delivery=branch.get("delivery"),
            ),
        ]
    return Plan(tuple(channel_named(parallel, name) for name in channels), tuple(subscriptions))


def status(channels: list[Object], subscriptions: list[Object]) -> Object:
    """Return the status fields that show the objects of a Parallel."""
    filters, subscribers = subscriptions[::2], subscriptions[1::2]
    return {
        "ingressChannelStatus": shown("channel", channels[0]),
        "branchStatuses": [
            {
                "filterSubscriptionStatus": shown("subscription", before),
                "filterChannelStatus": shown("channel", channel),
                "subscriberSubscriptionStatus": shown("subscription", behind),
            }
            for before, channel, behind in zip(filters, channels[1:], subscribers, strict=True)
        ],
    }
