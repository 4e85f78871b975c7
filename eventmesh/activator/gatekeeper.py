"""Who may send to brokers, channels and JobSinks: tokens are checked, EventPolicies enforced.

After knative/eventing: pkg/auth/verifier.go. What this process hands from one of its brokers to another is judged like
what comes over the network: by the identity of the Trigger, Subscription or source that sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.addressee import channel_of, is_broker
from eventmesh.activator.broker.admittance import Refused
from eventmesh.base import log
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters import Filter, compile_trigger_filter
from eventmesh.kube.account_tokens import TokenRefusedError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.event_policies import (
    Named,
    audience_of,
    flow_within,
    fronts_of,
    is_about,
    is_admitted,
    subject_of,
)
from eventmesh.kube.eventing_features import DefaultAuthorization, FeatureStore
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_controlled_by, key_of
from eventmesh.kube.resources import (
    BROKER,
    CHANNEL,
    EVENT_POLICY,
    IN_MEMORY_CHANNEL,
    JOB_SINK,
    KAFKA_SINK,
    PARALLEL,
    REQUEST_REPLY,
    SEQUENCE,
    SUBSCRIPTION,
)
from eventmesh.kube.status import is_ready
from eventmesh.kube.token_reviews import TokenReviews

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers

JOB_SINK_PREFIX: Final = "jobsink:"
KAFKA_SINK_PREFIX: Final = "kafkasink:"
REQUEST_REPLY_PREFIX: Final = "requestreply:"

_READ = (
    *(BROKER, CHANNEL, EVENT_POLICY, IN_MEMORY_CHANNEL, JOB_SINK, KAFKA_SINK),
    *(PARALLEL, REQUEST_REPLY, SEQUENCE, SUBSCRIPTION),
)

_MAY_BE_ABSENT = frozenset({EVENT_POLICY, JOB_SINK, KAFKA_SINK, PARALLEL, REQUEST_REPLY, SEQUENCE})
"""Kinds that an older Knative does not serve; brokers work without them."""

_log = log.get("activator.gatekeeper")


def job_sink_key(namespace: str, name: str) -> str:
    """Return what a JobSink goes by here; like a channel's key it is no broker's."""
    return f"{namespace}/{JOB_SINK_PREFIX}{name}"


def kafka_sink_key(namespace: str, name: str) -> str:
    """Return what a KafkaSink goes by here."""
    return f"{namespace}/{KAFKA_SINK_PREFIX}{name}"


def request_reply_key(namespace: str, name: str) -> str:
    """Return what a RequestReply goes by here."""
    return f"{namespace}/{REQUEST_REPLY_PREFIX}{name}"


class Gatekeeper:
    """The `Admittance` of one process."""

    def __init__(self, informers: Informers, features: FeatureStore, reviews: TokenReviews) -> None:
        self._features = features
        self._reviews = reviews
        self._caches = {
            resource: informers.of(resource, may_be_absent=resource in _MAY_BE_ABSENT) for resource in _READ
        }
        self._filters: dict[Key, Filter] = {}
        self._caches[EVENT_POLICY].add_handler(self._policy_changed)

    async def sender(self, key: str, headers: Headers) -> str:
        """Return the subject of the token that a request shows; empty while authentication is off. Raises Refused."""
        if not self._features.current.authentication:
            return ""
        try:
            return await self._reviews.subject(_bearer(headers), audience_of(*_named(key)))
        except TokenRefusedError as error:
            raise Refused(401, str(error)) from None
        except UnavailableError as error:
            raise Refused(503, f"{error}; send the event again later") from None

    def admit(self, key: str, sender: str, event: Event) -> None:
        """Return when EventPolicies, or the default where there are none, let `sender` send `event`; raises Refused."""
        features = self._features.current
        if not features.authentication:
            return
        if not sender:
            # Authentication was turned on a moment ago, and the account of this sender is not there yet.
            raise Refused(503, "the sender has no identity yet")
        resource, where = _named(key)
        target = self._find(resource, where)
        if target is None:
            raise Refused(403, f"{key} is not there")
        fronts: Sequence[Named] = ((resource, target),)
        if resource is IN_MEMORY_CHANNEL:
            if flow := flow_within(target, self._find):
                return self._admit_within(flow, sender)
            fronts = fronts_of(target, self._find)
        policies = self._caches[EVENT_POLICY].list(where.namespace)
        policies = [policy for policy in policies if any(is_about(policy, *front) for front in fronts)]
        if policies:
            if not any(self._lets_in(policy, sender, event) for policy in policies):
                names = ", ".join(sorted(policy["metadata"]["name"] for policy in policies))
                raise Refused(403, f"{sender}: no event policy admits this event (there are {names})")
            return None
        return _admit_by_default(features.authorization, where.namespace, sender)

    def _lets_in(self, policy: Object, sender: str, event: Event) -> bool:
        if not is_ready(policy) or not is_admitted(sender, (policy.get("status") or {}).get("from") or ()):
            return False
        passes = self._filters.get(key_of(policy))
        return passes is not None and passes(event)

    def _admit_within(self, flow: Named, sender: str) -> None:
        namespace = flow[1]["metadata"]["namespace"]
        for subscription in self._caches[SUBSCRIPTION].list(namespace):
            account = ((subscription.get("status") or {}).get("auth") or {}).get("serviceAccountName")
            if account and subject_of(namespace, account) == sender and is_controlled_by(subscription, flow[1]):
                return
        raise Refused(403, f"{sender}: only its own Subscriptions send into a {flow[0].kind}")

    def _find(self, resource: Resource, key: Key) -> Object | None:
        return self._caches[resource].get(key.name, key.namespace)

    def _policy_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        self._filters.pop(key, None)
        if new is None:
            return
        try:
            self._filters[key] = compile_trigger_filter({"filters": (new.get("spec") or {}).get("filters")})
        except ConfigError as error:
            # Admission refuses it; a policy that was stored before admits nobody.
            _log.error("event policy admits nobody", policy=key, reason=error)


def _admit_by_default(mode: DefaultAuthorization, namespace: str, sender: str) -> None:
    match mode:
        case DefaultAuthorization.ALLOW_ALL:
            return
        case DefaultAuthorization.ALLOW_SAME_NAMESPACE if sender.startswith(subject_of(namespace, "")):
            return
    raise Refused(403, f"{sender}: no event policy is about this, and default-authorization-mode is {mode.value}")


def _named(key: str) -> tuple[Resource, Key]:
    """Return what a key stands for."""
    namespace, _, name = key.partition("/")
    if is_broker(key):
        return BROKER, Key(namespace, name)
    if channel := channel_of(key):
        return IN_MEMORY_CHANNEL, Key(*channel)
    if name.startswith(REQUEST_REPLY_PREFIX):
        return REQUEST_REPLY, Key(namespace, name.removeprefix(REQUEST_REPLY_PREFIX))
    if name.startswith(KAFKA_SINK_PREFIX):
        return KAFKA_SINK, Key(namespace, name.removeprefix(KAFKA_SINK_PREFIX))
    return JOB_SINK, Key(namespace, name.removeprefix(JOB_SINK_PREFIX))


def _bearer(headers: Headers) -> str:
    """Return the token of a request; raises Refused when there is none, or more than one."""
    shown = [value for name, value in headers if name == "authorization"]
    if len(shown) != 1:
        raise Refused(401, "show one bearer token: Authorization: Bearer ...")
    scheme, _, token = shown[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(401, "the Authorization header holds no bearer token")
    return token.strip()
