"""The kinds that `eventmesh get` and `eventmesh apply` know, and the columns that are shown of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen
from eventmesh.kube import resources
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.status import condition
from eventmesh.kube.trigger_brokers import broker_of, is_elsewhere


@frozen
class Kind:
    """A kind, the words for it, and its columns beside NAME."""

    resource: Resource
    words: tuple[str, ...]
    columns: Mapping[str, Callable[[Object], Any]]


def _status(*path: str) -> Callable[[Object], Any]:
    def read(obj: Object) -> Any:
        value: Any = obj.get("status") or {}
        for name in path:
            value = value.get(name) or {} if isinstance(value, dict) else {}
        return value if value != {} else ""

    return read


def _broker(obj: Object) -> str:
    where = broker_of(obj)
    return str(where) if is_elsewhere(obj) else where.name


def _ready(obj: Object) -> str:
    found = condition(obj, "Ready") or {}
    reason = f" ({found['reason']})" if found.get("reason") else ""
    return f"{found.get('status', 'Unknown')}{reason}"


def _containers_ready(obj: Object) -> str:
    containers = (obj.get("status") or {}).get("containerStatuses") or ()
    return f"{sum(1 for c in containers if c.get('ready'))}/{len(containers)}"


_SOURCE: Mapping[str, Callable[[Object], Any]] = {"SINK": _status("sinkUri"), "READY": _ready}

KINDS = (
    Kind(
        resources.KSERVICE,
        ("ksvc", "service.serving", "services.serving.knative.dev"),
        {"URL": _status("url"), "LATEST": _status("latestReadyRevisionName"), "READY": _ready},
    ),
    Kind(
        resources.REVISION,
        ("revision", "revisions", "rev"),
        {"REPLICAS": _status("actualReplicas"), "READY": _ready},
    ),
    Kind(resources.BROKER, ("broker", "brokers"), {"URL": _status("address", "url"), "READY": _ready}),
    Kind(
        resources.TRIGGER,
        ("trigger", "triggers"),
        {"BROKER": _broker, "SUBSCRIBER": _status("subscriberUri"), "READY": _ready},
    ),
    Kind(resources.CHANNEL, ("channel", "channels", "ch"), {"URL": _status("address", "url"), "READY": _ready}),
    Kind(
        resources.SUBSCRIPTION,
        ("subscription", "subscriptions", "sub"),
        {
            "CHANNEL": lambda obj: obj["spec"]["channel"].get("name"),
            "SUBSCRIBER": _status("physicalSubscription", "subscriberUri"),
            "READY": _ready,
        },
    ),
    Kind(resources.SEQUENCE, ("sequence", "sequences"), {"URL": _status("address", "url"), "READY": _ready}),
    Kind(resources.PARALLEL, ("parallel", "parallels"), {"URL": _status("address", "url"), "READY": _ready}),
    Kind(
        resources.PING_SOURCE,
        ("pingsource", "pingsources"),
        {"SINK": _status("sinkUri"), "SCHEDULE": lambda obj: obj["spec"].get("schedule"), "READY": _ready},
    ),
    Kind(resources.API_SERVER_SOURCE, ("apiserversource", "apiserversources"), _SOURCE),
    Kind(resources.KAFKA_SINK, ("kafkasink", "kafkasinks"), {"URL": _status("address", "url"), "READY": _ready}),
    Kind(resources.KAFKA_SOURCE, ("kafkasource", "kafkasources"), _SOURCE),
    Kind(resources.CONTAINER_SOURCE, ("containersource", "containersources"), _SOURCE),
    Kind(resources.SINK_BINDING, ("sinkbinding", "sinkbindings"), _SOURCE),
    Kind(
        resources.EVENT_TYPE,
        ("eventtype", "eventtypes"),
        {
            "TYPE": lambda obj: obj["spec"].get("type"),
            "SOURCE": lambda obj: obj["spec"].get("source"),
            "REFERENCE": lambda obj: (obj["spec"].get("reference") or {}).get("name"),
            "READY": _ready,
        },
    ),
    Kind(
        resources.POD,
        ("pod", "pods", "po"),
        {"READY": _containers_ready, "STATUS": _status("phase"), "ADDRESS": _status("podIP")},
    ),
    Kind(resources.DEPLOYMENT, ("deployment", "deployments", "deploy"), {"READY": _status("readyReplicas")}),
    Kind(resources.SERVICE, ("service", "services", "svc"), {"TYPE": lambda obj: obj["spec"].get("type")}),
    Kind(resources.CONFIG_MAP, ("configmap", "configmaps", "cm"), {}),
)


def by_word(word: str) -> Kind:
    """Return the kind that a person means; raises UsageError naming those there are."""
    for kind in KINDS:
        if word.lower() in kind.words:
            return kind
    raise UsageError(
        f"unknown kind {word!r}; known are {', '.join(kind.words[0] for kind in KINDS)} (kubectl knows all)"
    )


def of_object(obj: Object) -> Resource:
    """Return the resource of a manifest's object; raises UsageError when the kind is not known."""
    for kind in KINDS:
        if (kind.resource.api_version, kind.resource.kind) == (obj.get("apiVersion"), obj.get("kind")):
            return kind.resource
    raise UsageError(f"cannot apply {obj.get('kind')} of {obj.get('apiVersion')}: use kubectl")
