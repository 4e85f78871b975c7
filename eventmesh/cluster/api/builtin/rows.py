"""The rows that `kubectl get` prints for built-in kinds (`kubernetes/pkg/printers/internalversion`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from eventmesh.cluster.api.age import age, human_duration
from eventmesh.cluster.api.catalog import Column
from eventmesh.kube.api import Object

Cells = Callable[[Object, datetime], list[Any]]
NONE = "<none>"


def _columns(text: str) -> tuple[Column, ...]:
    """Read `Ready Status Age *IP`: a star marks a column of `-o wide`, an underscore is a blank."""
    return tuple(
        Column(word.lstrip("*").replace("_", " "), priority=1 if word.startswith("*") else 0) for word in text.split()
    )


def _age(obj: Object, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def pod_phase(pod: Object) -> str:
    """Return the word for a pod's state: a waiting or terminated container's reason explains more than the phase."""
    status = _status(pod)
    word: str = status.get("reason") or status.get("phase") or "Unknown"
    beginning = _initializing(pod)
    if beginning:
        return "Terminating" if "deletionTimestamp" in pod["metadata"] else beginning
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            word = waiting["reason"]
        elif terminated:
            word = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode', 0)}"
    return "Terminating" if "deletionTimestamp" in pod["metadata"] else word


def _initializing(pod: Object) -> str:
    """Return the word for a pod whose init containers have not all succeeded; empty for any other."""
    conditions = _status(pod).get("conditions") or []
    if any(entry.get("type") == "Initialized" and entry.get("status") == "True" for entry in conditions):
        # What becomes of a side container later is not the pod's beginning any more.
        return ""
    total = len(_spec(pod).get("initContainers") or [])
    sides = _side_containers(pod)
    for number, container in enumerate(_status(pod).get("initContainerStatuses") or []):
        state = container.get("state") or {}
        if container.get("name") in sides and container.get("started"):
            continue
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if terminated and not terminated.get("exitCode"):
            continue
        if terminated:
            return f"Init:{terminated.get('reason') or 'ExitCode:' + str(terminated.get('exitCode'))}"
        if waiting.get("reason", "PodInitializing") not in ("PodInitializing", "ContainerCreating"):
            return f"Init:{waiting['reason']}"
        return f"Init:{number}/{total}"
    return ""


def _side_containers(pod: Object) -> set[str]:
    """Return the init containers that run for the whole life of the pod."""
    inits = _spec(pod).get("initContainers") or []
    return {container.get("name", "") for container in inits if container.get("restartPolicy") == "Always"}


def _pod(pod: Object, now: datetime) -> list[Any]:
    status, sides = _status(pod), _side_containers(pod)
    inits = status.get("initContainerStatuses") or []
    containers = [*(status.get("containerStatuses") or []), *(each for each in inits if each.get("name") in sides)]
    ready = sum(1 for container in containers if container.get("ready"))
    # Before the work has begun, what counts is how often its preparation was begun.
    counted = containers if not _initializing(pod) else inits
    restarts = sum(container.get("restartCount", 0) for container in counted)
    total = len(_spec(pod).get("containers") or []) + len(sides)
    return [
        f"{ready}/{total}",
        pod_phase(pod),
        str(restarts),
        _age(pod, now),
        status.get("podIP") or NONE,
        _spec(pod).get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        NONE,
    ]


def _ports(service: Object) -> str:
    shown = []
    for port in _spec(service).get("ports") or []:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _selector(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _service(service: Object, now: datetime) -> list[Any]:
    spec = _spec(service)
    external = spec.get("externalName") or ",".join(spec.get("externalIPs") or []) or NONE
    address = spec.get("clusterIP") or (NONE if spec.get("type") == "ExternalName" else "None")
    return [
        spec.get("type", "ClusterIP"),
        address,
        external,
        _ports(service),
        _age(service, now),
        _selector(spec.get("selector")),
    ]


def _images(template: Object) -> tuple[str, str]:
    containers = ((template.get("spec") or {}).get("containers")) or []
    names = ",".join(container.get("name", "") for container in containers)
    return names, ",".join(container.get("image", "") for container in containers)


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    names, images = _images(spec.get("template") or {})
    return [
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        names,
        images,
        _selector((spec.get("selector") or {}).get("matchLabels")),
    ]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    names, images = _images(spec.get("template") or {})
    return [
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(obj, now),
        names,
        images,
        _selector((spec.get("selector") or {}).get("matchLabels")),
    ]


def _job(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    kinds = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    words = ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget", "Suspended")
    state = next((word for word in words if word in kinds), "Running")
    wanted, succeeded = spec.get("completions"), status.get("succeeded", 0)
    parallel = spec.get("parallelism", 1)
    of = wanted if wanted is not None else f"1 of {parallel}" if parallel > 1 else 1
    names, images = _images(spec.get("template") or {})
    selector = _selector((spec.get("selector") or {}).get("matchLabels"))
    return [state, f"{succeeded}/{of}", _duration(status, now), _age(obj, now), names, images, selector]


def _duration(status: Object, now: datetime) -> str:
    """Return how long a job has run, or ran."""
    ended = status.get("completionTime")
    return age(status["startTime"], datetime.fromisoformat(ended) if ended else now) if "startTime" in status else ""


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    names, images = _images(((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {})
    last = status.get("lastScheduleTime")
    return [
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active") or []),
        age(last, now) if last else NONE,
        _age(obj, now),
        names,
        images,
    ]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    reference = spec.get("scaleTargetRef") or {}
    shown = [_metric(metric, status) for metric in spec.get("metrics") or []]
    return [
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        _some(shown, 2),
        str(spec.get("minReplicas", 1)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        _age(obj, now),
    ]


def _metric(metric: Object, status: Object) -> str:
    """Return `cpu: 50%/80%`: what is used, and what is meant to be."""
    resource = metric.get("resource") or {}
    name, target = resource.get("name", ""), resource.get("target") or {}
    current: Object = {}
    for entry in status.get("currentMetrics") or []:
        if (entry.get("resource") or {}).get("name") == name:
            current = entry["resource"].get("current") or {}
    percent = target.get("averageUtilization")
    if percent is not None:
        used = current.get("averageUtilization")
        return f"{name}: {'<unknown>' if used is None else f'{used}%'}/{percent}%"
    return (
        f"{name or metric.get('type', '')}: {current.get('averageValue', '<unknown>')}/{target.get('averageValue', '')}"
    )


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [_status(obj).get("phase", "Active"), _age(obj, now)]


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _age(obj, now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [obj.get("type", "Opaque"), len(obj.get("data") or {}), _age(obj, now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [len(obj.get("secrets") or []), _age(obj, now)]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    shown = [
        f"{address['ip']}:{port.get('port')}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    return [_some(shown), _age(obj, now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port")) for port in obj.get("ports") or []]
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    return [obj.get("addressType", "IPv4"), _some(ports), _some(addresses), _age(obj, now)]


def _some(values: list[str], shown: int = 3) -> str:
    """Return the first few values, and how many more there are."""
    if not values:
        return NONE
    more = f" + {len(values) - shown} more..." if len(values) > shown else ""
    return ",".join(values[:shown]) + more


def _event(obj: Object, now: datetime) -> list[Any]:
    involved = obj.get("involvedObject") or {}
    stamp = obj.get("lastTimestamp") or obj["metadata"].get("creationTimestamp")
    what = f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"
    source = (obj.get("source") or {}).get("component") or obj.get("reportingComponent") or ""
    return [
        age(stamp, now),
        obj.get("type"),
        obj.get("reason"),
        what,
        source,
        (obj.get("message") or "").strip(),
        age(obj.get("firstTimestamp") or stamp, now),
        obj.get("count", 1),
        obj["metadata"]["name"],
    ]


def _node(obj: Object, now: datetime) -> list[Any]:
    status = _status(obj)
    kinds = {c["type"]: c.get("status") for c in status.get("conditions") or []}
    version = (status.get("nodeInfo") or {}).get("kubeletVersion", "")
    standing = "Ready" if kinds.get("Ready") == "True" else "NotReady"
    if _spec(obj).get("unschedulable"):
        standing += ",SchedulingDisabled"
    return [standing, NONE, _age(obj, now), version]


def _definition(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"].get("creationTimestamp")]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [_spec(obj).get("holderIdentity") or "", _age(obj, now)]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    hosts = [rule["host"] for rule in _spec(obj).get("rules") or [] if rule.get("host")]
    return [_spec(obj).get("ingressClassName") or NONE, ",".join(hosts) or "*", "", "80", _age(obj, now)]


def _signing_request(obj: Object, now: datetime) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    lasts = spec.get("expirationSeconds")
    words: list[str] = [kind for kind in ("Approved", "Denied", "Failed") if kind in _condition_types(status)]
    if status.get("certificate"):
        words.append("Issued")
    duration = NONE if lasts is None else human_duration(lasts)
    return [_age(obj, now), spec.get("signerName"), spec.get("username", ""), duration, ",".join(words) or "Pending"]


def _condition_types(status: Object) -> list[str]:
    return [one.get("type", "") for one in status.get("conditions") or ()]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []
    users, groups = ([one.get("name", "") for one in subjects if one.get("kind") == kind] for kind in ("User", "Group"))
    accounts = [
        f"{one.get('namespace', '')}/{one.get('name', '')}" for one in subjects if one.get("kind") == "ServiceAccount"
    ]
    who = [", ".join(names) for names in (users, groups, accounts)]
    return [f"{role.get('kind', '')}/{role.get('name', '')}", _age(obj, now), *who]


def _priority_class(obj: Object, now: datetime) -> list[Any]:
    return [obj.get("value", 0), str(bool(obj.get("globalDefault"))).lower(), _age(obj, now)]


def _disruption_budget(obj: Object, now: datetime) -> list[Any]:
    spec = _spec(obj)
    bounds = ["N/A" if spec.get(name) is None else str(spec[name]) for name in ("minAvailable", "maxUnavailable")]
    return [*bounds, _status(obj).get("disruptionsAllowed", 0), _age(obj, now)]


ROWS: dict[str, tuple[tuple[Column, ...], Cells]] = {
    "pods": (_columns("Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates"), _pod),
    "services": (_columns("Type Cluster-IP External-IP Port(s) Age *Selector"), _service),
    "namespaces": (_columns("Status Age"), _namespace),
    "configmaps": (_columns("Data Age"), _config_map),
    "secrets": (_columns("Type Data Age"), _secret),
    "serviceaccounts": (_columns("Secrets Age"), _service_account),
    "endpoints": (_columns("Endpoints Age"), _endpoints),
    "events": (_columns("Last_Seen Type Reason Object *Source Message *First_Seen *Count *Name"), _event),
    "nodes": (_columns("Status Roles Age Version"), _node),
    "deployments.apps": (_columns("Ready Up-to-date Available Age *Containers *Images *Selector"), _deployment),
    "replicasets.apps": (_columns("Desired Current Ready Age *Containers *Images *Selector"), _replica_set),
    "jobs.batch": (_columns("Status Completions Duration Age *Containers *Images *Selector"), _job),
    "cronjobs.batch": (
        _columns("Schedule Timezone Suspend Active Last_Schedule Age *Containers *Images"),
        _cron_job,
    ),
    "horizontalpodautoscalers.autoscaling": (
        _columns("Reference Targets MinPods MaxPods Replicas Age"),
        _autoscaler,
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        _columns("Age SignerName Requestor RequestedDuration Condition"),
        _signing_request,
    ),
    "roles.rbac.authorization.k8s.io": (_columns("Created_At"), _definition),
    "clusterroles.rbac.authorization.k8s.io": (_columns("Created_At"), _definition),
    "rolebindings.rbac.authorization.k8s.io": (_columns("Role Age *Users *Groups *ServiceAccounts"), _binding),
    "clusterrolebindings.rbac.authorization.k8s.io": (_columns("Role Age *Users *Groups *ServiceAccounts"), _binding),
    "priorityclasses.scheduling.k8s.io": (_columns("Value Global-Default Age"), _priority_class),
    "poddisruptionbudgets.policy": (
        _columns("Min_Available Max_Unavailable Allowed_Disruptions Age"),
        _disruption_budget,
    ),
    "leases.coordination.k8s.io": (_columns("Holder Age"), _lease),
    "endpointslices.discovery.k8s.io": (_columns("AddressType Ports Endpoints Age"), _endpoint_slice),
    "ingresses.networking.k8s.io": (_columns("Class Hosts Address Ports Age"), _ingress),
    "customresourcedefinitions.apiextensions.k8s.io": (_columns("Created_At"), _definition),
}
