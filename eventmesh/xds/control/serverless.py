"""ServerlessServices: the two Services of a revision, and the promise that its requests go where the mode says.

A revision that goes to sleep is first put into Proxy mode; its pods may only end when every data plane sends to the
activator. That moment is `EndpointsPopulated` True with the new `observedGeneration`.
"""

from __future__ import annotations

from typing import Any

from eventmesh.base.clock import Clock
from eventmesh.base.errors import TemporaryError
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, annotations_of, is_deleting, labels_of, owner_reference
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import DEPLOYMENT, SERVERLESS_SERVICE, SERVICE
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status
from eventmesh.xds.control.acks import SIDECAR_WAIT_S, AckTracker
from eventmesh.xds.control.promises import Promises

KINDS = ConditionSet(("EndpointsPopulated",))
ACTIVATOR = "ActivatorEndpointsPopulated"

_LABEL = "networking.internal.knative.dev/serverlessservice"
_TYPE_LABEL = "networking.internal.knative.dev/serviceType"


def public_service(sks: Object) -> Object:
    """Return the Service under the revision's name; it has no selector, since requests may go to the activator."""
    h2c = _is_h2c(sks)
    return _service(sks, sks["metadata"]["name"], "Public", None, [_http_port(81 if h2c else 80, h2c), _HTTPS])


def private_service(sks: Object, selector: dict[str, str]) -> Object:
    """Return the Service of the revision's pods."""
    h2c = _is_h2c(sks)
    ports = [
        _http_port(80, h2c),
        _HTTPS,
        {"name": "http-autometric", "port": 9090, "protocol": "TCP", "targetPort": 9090},
        {"name": "http-usermetric", "port": 9091, "protocol": "TCP", "targetPort": 9091},
    ]
    return _service(sks, f"{sks['metadata']['name']}-private", "Private", selector, ports)


class ServerlessServices:
    """The controller of ServerlessServices."""

    def __init__(self, api: Api, serverless: Informer, services: Informer, clock: Clock, acks: AckTracker) -> None:
        self.promises = Promises()
        self._api = api
        self._serverless = serverless
        self._services = services
        self._clock = clock
        self._acks = acks
        self.controller = Controller("serverlessservice", serverless, self.reconcile, clock)
        self.controller.watch_controlled(services)

    async def reconcile(self, key: Key) -> None:
        """Make the Services, and write the status once the data plane has acknowledged the mode."""
        sks = self._serverless.get(key.name, key.namespace)
        if sks is None or is_deleting(sks):
            self.promises.gone(key)
            return
        await self._make_services(sks, key)
        publication = self.promises.of(key)
        if publication is None:
            return
        acks = self._acks.of(publication.generation, publication.at)
        if acks.ready:
            await self._write_ready(sks)
            if not acks.lagging:
                self.promises.kept(key)
        elif acks.lagging and not acks.overdue:
            self.controller.enqueue_after(key, publication.at + SIDECAR_WAIT_S - self._clock.monotonic())

    async def _make_services(self, sks: Object, key: Key) -> None:
        if self._services.get(key.name, key.namespace) is None:
            await self._create(public_service(sks), key)
        if self._services.get(f"{key.name}-private", key.namespace) is None:
            await self._create(private_service(sks, await self._selector(sks, key)), key)

    async def _create(self, service: Object, key: Key) -> None:
        try:
            await self._api.create(SERVICE, service, key.namespace)
        except ApiError as error:
            if not error.already_exists:
                raise

    async def _selector(self, sks: Object, key: Key) -> dict[str, str]:
        name = sks["spec"]["objectRef"]["name"]
        try:
            deployment = await self._api.get(DEPLOYMENT, name, key.namespace)
        except ApiError as error:
            if error.not_found:
                raise TemporaryError(f"deployment {name} is not there yet", after_s=0.1) from error
            raise
        selector: dict[str, str] = deployment["spec"]["selector"]["matchLabels"]
        return selector

    async def _write_ready(self, sks: Object) -> None:
        conditions = Conditions(KINDS, conditions_of(sks), self._clock.now())
        conditions.mark_true("EndpointsPopulated")
        conditions.mark(ACTIVATOR, "True" if sks["spec"].get("mode") == "Proxy" else "False")
        name = sks["metadata"]["name"]
        status = {
            "conditions": conditions.result(),
            "serviceName": name,
            "privateServiceName": f"{name}-private",
        }
        await write_status(self._api, SERVERLESS_SERVICE, sks, status)


_HTTPS: dict[str, Any] = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8112}


def _is_h2c(sks: Object) -> bool:
    return bool(sks["spec"].get("protocolType") == "h2c")


def _http_port(port: int, h2c: bool) -> dict[str, Any]:
    if h2c:
        app = "kubernetes.io/h2c"
        return {"name": "http2", "port": port, "protocol": "TCP", "targetPort": 8013, "appProtocol": app}
    return {"name": "http", "port": port, "protocol": "TCP", "targetPort": 8012}


def _service(sks: Object, name: str, kind: str, selector: dict[str, str] | None, ports: list[dict[str, Any]]) -> Object:
    metadata = sks["metadata"]
    spec: Object = {"ports": ports}
    if selector is not None:
        spec["selector"] = selector
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**labels_of(sks), _LABEL: metadata["name"], _TYPE_LABEL: kind},
            "annotations": dict(annotations_of(sks)),
            "ownerReferences": [owner_reference(SERVERLESS_SERVICE, sks)],
        },
        "spec": spec,
    }
