"""Services with a selector: the addresses of their pods, as EndpointSlices and as the older Endpoints.

This stands on the way of every cold start, between a pod that is ready and the data planes that may use it, so a
pass does nothing but compare and write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.controllers.workloads.endpoint_slices import (
    MANAGED_BY,
    MAX_ENDPOINTS,
    SERVICE_NAME,
    EndpointSlices,
    service_of,
    write,
)
from eventmesh.controllers.workloads.pods import is_ready_pod, phase
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, labels_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE

OURS: Final = "endpointslice-controller.k8s.io"

BY_LABEL: Final = "label"
"""Pods, by each of their labels."""
BY_SELECTOR: Final = "selector"
"""Services, by one of the labels that they select by: whose pod a pod is, is asked at every change of every pod."""

Port = tuple[str, int, str, str]
"""Name, number, protocol, application protocol."""


class ServiceEndpoints:
    """The controller of EndpointSlices and Endpoints."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._services = informers.of(SERVICE)
        self._pods = informers.of(POD)
        self._slices = EndpointSlices(api, informers, OURS)
        self._endpoints = informers.of(ENDPOINTS)
        self._services.add_index(BY_SELECTOR, _by_selector)
        self._pods.add_index(BY_LABEL, _by_label)
        self.controller = Controller("endpoints", self._services, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._pods, self._services_of_pod)
        self.controller.watch(self._slices.informer, service_of)

    async def reconcile(self, key: Key) -> None:
        """Write the slices and the Endpoints of one Service where they differ from its pods."""
        service = self._services.get(key.name, key.namespace)
        if service is None or is_deleting(service) or not selects(service):
            return
        selector = service["spec"]["selector"]
        near = self._pods.by_index(BY_LABEL, _label(key.namespace, *_telling(selector)))
        pods = [pod for pod in near if _matches(selector, pod) and _has_address(pod)]
        pods.sort(key=lambda pod: str(pod["metadata"]["name"]))
        await self._slices.keep(key, _slices(service, pods))
        await write(self._api, self._endpoints, _endpoints(service, pods))

    def _services_of_pod(self, pod: Object) -> Iterator[Key]:
        for label in _by_label(pod):
            for service in self._services.by_index(BY_SELECTOR, label):
                if _matches(service["spec"]["selector"], pod):
                    yield key_of(service)


def selects(service: Object) -> bool:
    """Return whether a Service's pods are found by their labels."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def _telling(selector: Mapping[str, str]) -> tuple[str, str]:
    """Return the label of a selector that tells most: the one with the longest value, such as a uid."""
    return max(selector.items(), key=lambda item: (len(item[1]), item))


def _by_selector(service: Object) -> tuple[str, ...]:
    if not selects(service):
        return ()
    return (_label(service["metadata"]["namespace"], *_telling(service["spec"]["selector"])),)


def _by_label(pod: Object) -> list[str]:
    return [_label(pod["metadata"]["namespace"], name, value) for name, value in labels_of(pod).items()]


def _label(namespace: str, name: str, value: str) -> str:
    return f"{namespace}/{name}={value}"


def _matches(selector: dict[str, str], pod: Object) -> bool:
    labels = labels_of(pod)
    return all(labels.get(name) == value for name, value in selector.items())


def _has_address(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("podIP")) and phase(pod) not in ("Succeeded", "Failed")


def _ports(service: Object, pod: Object) -> tuple[Port, ...]:
    """Return where this pod serves the ports of the Service; a named target that the pod lacks is left out."""
    named = {
        port["name"]: int(port["containerPort"])
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    }
    found = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        number = named.get(target) if isinstance(target, str) and not target.isdigit() else int(target)
        if number is not None:
            found.append((port.get("name") or "", number, port.get("protocol") or "TCP", port.get("appProtocol") or ""))
    return tuple(found)


def _by_ports(service: Object, pods: Iterable[Object]) -> dict[tuple[Port, ...], list[Object]]:
    groups: dict[tuple[Port, ...], list[Object]] = defaultdict(list)
    for pod in pods:
        groups[_ports(service, pod)].append(pod)
    return groups or {(): []}


def _slices(service: Object, pods: Iterable[Object]) -> Iterator[Object]:
    number = 0
    for ports, group in _by_ports(service, pods).items():
        rest = iter(group)
        while (chunk := list(islice(rest, MAX_ENDPOINTS))) or number == 0:
            yield _slice(service, number, ports, chunk)
            number += 1
            if len(chunk) < MAX_ENDPOINTS:
                break


def _slice(service: Object, number: int, ports: tuple[Port, ...], pods: list[Object]) -> Object:
    metadata = service["metadata"]
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {
            "name": f"{metadata['name']}-{number}",
            "namespace": metadata["namespace"],
            "labels": {**labels_of(service), SERVICE_NAME: metadata["name"], MANAGED_BY: OURS},
            "ownerReferences": [owner_reference(SERVICE, service)],
        },
        "addressType": "IPv4",
        "ports": [_port(port) for port in ports],
        "endpoints": [_endpoint(pod) for pod in pods],
    }


def _endpoint(pod: Object) -> Object:
    ready, leaving = is_ready_pod(pod), is_deleting(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not leaving, "serving": ready, "terminating": leaving},
        "targetRef": _reference(pod),
    }


def _endpoints(service: Object, pods: list[Object]) -> Object:
    metadata = service["metadata"]
    subsets = []
    for ports, group in _by_ports(service, [pod for pod in pods if not is_deleting(pod)]).items():
        subset: Object = {"ports": [_port(port) for port in ports]}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            addresses = [
                {"ip": pod["status"]["podIP"], "targetRef": _reference(pod)}
                for pod in group
                if is_ready_pod(pod) == ready
            ]
            if addresses:
                subset[field] = addresses
        if len(subset) > 1:
            subsets.append(subset)
    return {
        "apiVersion": ENDPOINTS.api_version,
        "kind": ENDPOINTS.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels_of(service),
            "ownerReferences": [owner_reference(SERVICE, service)],
        },
        "subsets": subsets,
    }


def _reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def _port(port: Port) -> Object:
    name, number, protocol, application = port
    written: Object = {"name": name, "port": number, "protocol": protocol}
    if application:
        written["appProtocol"] = application
    if not name:
        del written["name"]
    return written
