"""The rows that `kubectl get` prints for built-in kinds (`kubernetes/pkg/printers/internalversion`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eventmesh.cluster.api.age import age, human_duration
from eventmesh.cluster.api.builtin.capacity_rows import CAPACITY_ROWS
from eventmesh.cluster.api.builtin.cells import (
    NONE,
    Rows,
    age_of,
    columns,
    selector_of,
    some_of,
    spec_of,
    status_of,
)
from eventmesh.cluster.api.builtin.workload_rows import WORKLOAD_ROWS
from eventmesh.kube.api import Object


def pod_phase(pod: Object) -> str:
    """Return the word for a pod's state: a waiting or terminated container's reason explains more than the phase."""
    status = status_of(pod)
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
    conditions = status_of(pod).get("conditions") or []
    if any(entry.get("type") == "Initialized" and entry.get("status") == "True" for entry in conditions):
        # What becomes of a side container later is not the pod's beginning any more.
        return ""
    total = len(spec_of(pod).get("initContainers") or [])
    sides = _side_containers(pod)
    for number, container in enumerate(status_of(pod).get("initContainerStatuses") or []):
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
    inits = spec_of(pod).get("initContainers") or []
    return {container.get("name", "") for container in inits if container.get("restartPolicy") == "Always"}


def _pod(pod: Object, now: datetime) -> list[Any]:
    status, sides = status_of(pod), _side_containers(pod)
    inits = status.get("initContainerStatuses") or []
    containers = [*(status.get("containerStatuses") or []), *(each for each in inits if each.get("name") in sides)]
    ready = sum(1 for container in containers if container.get("ready"))
    # Before the work has begun, what counts is how often its preparation was begun.
    counted = containers if not _initializing(pod) else inits
    restarts = sum(container.get("restartCount", 0) for container in counted)
    total = len(spec_of(pod).get("containers") or []) + len(sides)
    return [
        f"{ready}/{total}",
        pod_phase(pod),
        str(restarts),
        age_of(pod, now),
        status.get("podIP") or NONE,
        spec_of(pod).get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        NONE,
    ]


def _ports(service: Object) -> str:
    shown = []
    for port in spec_of(service).get("ports") or []:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _service(service: Object, now: datetime) -> list[Any]:
    spec = spec_of(service)
    external = spec.get("externalName") or ",".join(spec.get("externalIPs") or []) or NONE
    address = spec.get("clusterIP") or (NONE if spec.get("type") == "ExternalName" else "None")
    return [
        spec.get("type", "ClusterIP"),
        address,
        external,
        _ports(service),
        age_of(service, now),
        selector_of(spec.get("selector")),
    ]


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [status_of(obj).get("phase", "Active"), age_of(obj, now)]


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age_of(obj, now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [obj.get("type", "Opaque"), len(obj.get("data") or {}), age_of(obj, now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [len(obj.get("secrets") or []), age_of(obj, now)]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    shown = [
        f"{address['ip']}:{port.get('port')}"
        for subset in obj.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    return [some_of(shown), age_of(obj, now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port")) for port in obj.get("ports") or []]
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    return [obj.get("addressType", "IPv4"), some_of(ports), some_of(addresses), age_of(obj, now)]


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
    status = status_of(obj)
    kinds = {c["type"]: c.get("status") for c in status.get("conditions") or []}
    version = (status.get("nodeInfo") or {}).get("kubeletVersion", "")
    standing = "Ready" if kinds.get("Ready") == "True" else "NotReady"
    if spec_of(obj).get("unschedulable"):
        standing += ",SchedulingDisabled"
    return [standing, NONE, age_of(obj, now), version]


def _definition(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"].get("creationTimestamp")]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [spec_of(obj).get("holderIdentity") or "", age_of(obj, now)]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    hosts = [rule["host"] for rule in spec_of(obj).get("rules") or [] if rule.get("host")]
    return [spec_of(obj).get("ingressClassName") or NONE, ",".join(hosts) or "*", "", "80", age_of(obj, now)]


def _signing_request(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    lasts = spec.get("expirationSeconds")
    words: list[str] = [kind for kind in ("Approved", "Denied", "Failed") if kind in _condition_types(status)]
    if status.get("certificate"):
        words.append("Issued")
    duration = NONE if lasts is None else human_duration(lasts)
    return [age_of(obj, now), spec.get("signerName"), spec.get("username", ""), duration, ",".join(words) or "Pending"]


def _condition_types(status: Object) -> list[str]:
    return [one.get("type", "") for one in status.get("conditions") or ()]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []
    users, groups = ([one.get("name", "") for one in subjects if one.get("kind") == kind] for kind in ("User", "Group"))
    accounts = [
        f"{one.get('namespace', '')}/{one.get('name', '')}" for one in subjects if one.get("kind") == "ServiceAccount"
    ]
    who = [", ".join(names) for names in (users, groups, accounts)]
    return [f"{role.get('kind', '')}/{role.get('name', '')}", age_of(obj, now), *who]


def _priority_class(obj: Object, now: datetime) -> list[Any]:
    return [obj.get("value", 0), str(bool(obj.get("globalDefault"))).lower(), age_of(obj, now)]


def _disruption_budget(obj: Object, now: datetime) -> list[Any]:
    spec = spec_of(obj)
    bounds = ["N/A" if spec.get(name) is None else str(spec[name]) for name in ("minAvailable", "maxUnavailable")]
    return [*bounds, status_of(obj).get("disruptionsAllowed", 0), age_of(obj, now)]


ROWS: Rows = {
    **WORKLOAD_ROWS,
    **CAPACITY_ROWS,
    "pods": (columns("Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates"), _pod),
    "services": (columns("Type Cluster-IP External-IP Port(s) Age *Selector"), _service),
    "namespaces": (columns("Status Age"), _namespace),
    "configmaps": (columns("Data Age"), _config_map),
    "secrets": (columns("Type Data Age"), _secret),
    "serviceaccounts": (columns("Secrets Age"), _service_account),
    "endpoints": (columns("Endpoints Age"), _endpoints),
    "events": (columns("Last_Seen Type Reason Object *Source Message *First_Seen *Count *Name"), _event),
    "nodes": (columns("Status Roles Age Version"), _node),
    "certificatesigningrequests.certificates.k8s.io": (
        columns("Age SignerName Requestor RequestedDuration Condition"),
        _signing_request,
    ),
    "roles.rbac.authorization.k8s.io": (columns("Created_At"), _definition),
    "clusterroles.rbac.authorization.k8s.io": (columns("Created_At"), _definition),
    "rolebindings.rbac.authorization.k8s.io": (columns("Role Age *Users *Groups *ServiceAccounts"), _binding),
    "clusterrolebindings.rbac.authorization.k8s.io": (columns("Role Age *Users *Groups *ServiceAccounts"), _binding),
    "priorityclasses.scheduling.k8s.io": (columns("Value Global-Default Age"), _priority_class),
    "poddisruptionbudgets.policy": (
        columns("Min_Available Max_Unavailable Allowed_Disruptions Age"),
        _disruption_budget,
    ),
    "leases.coordination.k8s.io": (columns("Holder Age"), _lease),
    "endpointslices.discovery.k8s.io": (columns("AddressType Ports Endpoints Age"), _endpoint_slice),
    "ingresses.networking.k8s.io": (columns("Class Hosts Address Ports Age"), _ingress),
    "customresourcedefinitions.apiextensions.k8s.io": (columns("Created_At"), _definition),
}
