"""Methods that Triggers name, found among what their subscribers offer by interface."""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.controllers.eventing.destinations import Unresolved
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of
from eventmesh.kube.resources import SERVICE, SERVICE_INTERFACE
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature
from eventmesh.xds.control.interfaces.reading import parse_interfaces, read_service_interface
from eventmesh.xds.control.interfaces.values import Interface
from eventmesh.xds.control.objects import INTERFACES_ANNOTATION


class OfferedMethods:
    """What the Services of the mesh can be called for, as ServiceInterfaces and annotations of Services say."""

    def __init__(self, informers: Informers) -> None:
        self.interfaces = informers.of(SERVICE_INTERFACE, may_be_absent=True)
        self._services = informers.of(SERVICE)

    def signature(self, subscriber: Object, method: RpcMethod) -> Signature | Unresolved | None:
        """Return the signature of a method of the subscriber, None if it has none and needs none, or why the method
        cannot be called."""
        if method.protocol is RpcProtocol.GRPC:
            return None
        reference = subscriber.get("ref")
        if reference is None:
            return None if method.protocol is RpcProtocol.BOLT else _unsigned(method, "only a Service can have one")
        if (reference.get("apiVersion"), reference.get("kind")) != (SERVICE.api_version, SERVICE.kind):
            message = f"{method} is called by interface, which only a Service (v1) offers"
            return Unresolved("NotCalledByInterface", message, permanent=True)
        key = Key(reference["namespace"], reference["name"])
        found = [one for one in self._offered(key) if _is_meant(one, method)]
        if not found:
            return Unresolved("InterfaceNotOffered", f"Service {key} offers no interface of {method}")
        signature = next((one.methods[method.name] for one in found if method.name in one.methods), None)
        if signature is None and method.protocol is RpcProtocol.DUBBO:
            return _unsigned(method, f"declare it under methods in the ServiceInterface of Service {key}")
        return signature

    def _offered(self, key: Key) -> Iterator[Interface]:
        for obj in self.interfaces.list(key.namespace):
            read, _ = read_service_interface(obj)
            if read is not None and read.service == key.name:
                yield from read.interfaces
        service = self._services.get(key.name, key.namespace)
        if service is not None:
            yield from parse_interfaces(annotations_of(service).get(INTERFACES_ANNOTATION, ""))


def _unsigned(method: RpcMethod, help_: str) -> Unresolved:
    return Unresolved("SignatureMissing", f"Dubbo calls {method} by its signature: {help_}")


def _is_meant(offered: Interface, method: RpcMethod) -> bool:
    """Return whether a call of the method is one of the interface: names are compared as routes compare them."""
    if method.protocol is RpcProtocol.BOLT:
        return method.unique_name.lower() in map(str.lower, offered.unique_names())
    said = (offered.version in ("", method.version)) and (offered.group in ("", method.group))
    return said and offered.name.lower() == method.service.lower()
