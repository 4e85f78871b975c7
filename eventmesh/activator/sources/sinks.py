"""The sinks of sources as subscriptions: a source's own queue, delivered to `status.sinkUri`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eventmesh.activator.broker.addressee import own_key
from eventmesh.activator.broker.triggers import Identity, Peer, Subscription, account_of
from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.delivery_spec import parse_delivery
from eventmesh.kube.informer import Informer
from eventmesh.kube.kafka_source import PARTITION, is_ordered
from eventmesh.kube.objects import is_deleting, key_of
from eventmesh.kube.resources import KAFKA_SOURCE
from eventmesh.model.delivery import DeliveryControls, DeliveryPolicy

_log = log.get("activator.sources.sinks")


def source_key(resource: Resource, namespace: str, name: str) -> str:
    """Return the key of a source's queue; like a channel's it is no broker's (see `addressee`)."""
    return f"{namespace}/{resource.kind.lower()}:{name}"


class KubeSinks:
    """A `TriggerSource` from the informers of source kinds. A source counts once its sink is resolved."""

    def __init__(self, sources: Sequence[Informer]) -> None:
        self._sources = sources
        self._compiled: dict[str, Subscription] = {}
        self._listeners: list[Callable[[], None]] = []
        for informer in sources:
            informer.add_handler(self._follow(informer.resource))

    def has_broker(self, broker: str) -> bool:
        """Return False: nobody but the source itself puts events into its queue."""
        return False

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return the sources that have a sink, by UID."""
        return self._compiled

    def exists(self, uid: str) -> bool:
        """Return whether a source of that UID is there."""
        return any(source["metadata"]["uid"] == uid for informer in self._sources for source in informer)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _follow(self, resource: Resource) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            uid = (new or old or {})["metadata"]["uid"]
            compiled = _compile(resource, new) if new is not None else None
            if compiled is None:
                self._compiled.pop(uid, None)
            else:
                self._compiled[uid] = compiled
            for listener in self._listeners:
                listener()

        return changed


def _compile(resource: Resource, source: Object) -> Subscription | None:
    status = source.get("status") or {}
    uri = status.get("sinkUri")
    if not uri or is_deleting(source):
        return None
    key = key_of(source)
    spec = source["spec"]
    try:
        passes = compile_trigger_filter({"filters": spec.get("filters")})
        policy, controls = DeliveryPolicy(), DeliveryControls()
        if resource is KAFKA_SOURCE:
            controls = DeliveryControls(order_by=PARTITION if is_ordered(spec) else "")
            if spec.get("delivery"):
                policy = parse_delivery(spec["delivery"], "spec.delivery", status.get("deadLetterSinkUri") or "")
    except ConfigError as error:
        # Admission refuses such filters and deliveries; a source that was stored before is not served.
        _log.warning("source is not served", source=key, reason=error)
        return None
    return Subscription(
        uid=source["metadata"]["uid"],
        namespace=key.namespace,
        name=key.name,
        broker=source_key(resource, key.namespace, key.name),
        subscriber_uri=uri,
        passes=passes,
        policy=policy,
        subscriber_key=own_key(uri),
        prefers_reply=False,
        controls=controls,
        identity=Identity(
            account_of(status), Peer.in_status(status, "sink"), dead_letter=Peer.in_status(status, "deadLetterSink")
        ),
    )
