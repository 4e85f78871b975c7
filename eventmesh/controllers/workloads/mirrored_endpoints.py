"""Endpoints that somebody wrote by hand for a Service without a selector, told as EndpointSlices too.

As Kubernetes' own mirroring controller does (pkg/controller/endpointslicemirroring): whoever follows slices, control
among them, sees the older kind through these.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.controllers.workloads.endpoint_slices import (
    MANAGED_BY,
    MAX_ENDPOINTS,
    SERVICE_NAME,
    EndpointSlices,
    service_of,
)
from eventmesh.controllers.workloads.endpoints import selects
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of, labels_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import ENDPOINT_SLICE, ENDPOINTS, SERVICE

OURS: Final = "endpointslicemirroring-controller.k8s.io"

SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"
"""A label with which the author of Endpoints says that he writes the slices himself."""

_LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
"""Endpoints with this annotation were a lock, once, and no addresses."""

_TOLD: Final = ("hostname", "nodeName", "targetRef")
"""What an address and an endpoint say alike."""


class MirroredEndpoints:
    """The controller of slices that say what Endpoints do."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._services = informers.of(SERVICE)
        self._endpoints = informers.of(ENDPOINTS)
        self._slices = EndpointSlices(api, informers, OURS)
        self.controller = Controller("mirrored-endpoints", self._endpoints, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._services, lambda service: (key_of(service),))
        self.controller.watch(self._slices.informer, service_of)

    async def reconcile(self, key: Key) -> None:
        """Write the slices of one Endpoints object; those of one that is not mirrored any more go."""
        endpoints = self._endpoints.get(key.name, key.namespace)
        service = self._services.get(key.name, key.namespace)
        is_mirrored = endpoints is not None and service is not None and not selects(service) and _is_told(endpoints)
        await self._slices.keep(key, _slices(endpoints) if endpoints is not None and is_mirrored else ())


def _is_told(endpoints: Object) -> bool:
    is_skipped = labels_of(endpoints).get(SKIP_MIRROR) == "true" or _LEADER in annotations_of(endpoints)
    return not is_skipped and not is_deleting(endpoints)


def _slices(endpoints: Object) -> Iterator[Object]:
    """Yield slices of the addresses, by family and ports. What is no address of IP is left out, as upstream does."""
    groups: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for subset in endpoints.get("subsets") or ():
        ports = json.dumps(subset.get("ports") or [], sort_keys=True)
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                if family := _family(address.get("ip")):
                    groups[family, ports].append(_endpoint(address, ready))
    number = 0
    for (family, ports), found in sorted(groups.items(), key=lambda group: group[0]):
        for at in range(0, len(found), MAX_ENDPOINTS):
            yield _slice(endpoints, number, family, json.loads(ports), found[at : at + MAX_ENDPOINTS])
            number += 1


def _family(address: object) -> str:
    try:
        return f"IPv{ip_address(str(address)).version}"
    except ValueError:
        return ""


def _endpoint(address: Object, ready: bool) -> Object:
    told: Object = {field: address[field] for field in _TOLD if field in address}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **told}


def _slice(endpoints: Object, number: int, family: str, ports: list[Object], found: list[Object]) -> Object:
    metadata = endpoints["metadata"]
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {
            "name": f"{metadata['name']}-mirrored-{number}",
            "namespace": metadata["namespace"],
            "labels": {**labels_of(endpoints), SERVICE_NAME: metadata["name"], MANAGED_BY: OURS},
            "ownerReferences": [owner_reference(ENDPOINTS, endpoints)],
        },
        "addressType": family,
        "ports": ports,
        "endpoints": found,
    }
