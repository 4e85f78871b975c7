"""Rules of the mesh's own kinds at the API server: what control would not understand is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eventmesh.kube.admission import Admission, AdmissionRequest, FieldError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import (
    AUTHORIZATION_POLICY,
    PROTOCOL_DECLARATION,
    PYTHON_FILTER,
    REQUEST_AUTHENTICATION,
    SERVICE_INTERFACE,
    TRAFFIC_POLICY,
)
from eventmesh.xds.control.access.filter_reading import read_python_filter
from eventmesh.xds.control.access.reading import read_authentication, read_authorization
from eventmesh.xds.control.interfaces.reading import read_protocol_declaration, read_service_interface
from eventmesh.xds.control.policy.reading import read_policy

Read = Callable[[Object], tuple[object, list[FieldError]]]
"""Returns the value that an object spells, and everything that is wrong with it."""


class ReadableAdmission:
    """Admits what can be read. Nothing is defaulted: what is not said is the data plane's own."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return `obj`."""
        return obj

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with `obj`; one that is on its way out may be as it is."""
        return [] if "deletionTimestamp" in obj["metadata"] else self._read(obj)[1]


CONTROL_ADMISSIONS: Mapping[Resource, Admission] = {
    AUTHORIZATION_POLICY: ReadableAdmission(read_authorization),
    REQUEST_AUTHENTICATION: ReadableAdmission(read_authentication),
    PYTHON_FILTER: ReadableAdmission(read_python_filter),
    TRAFFIC_POLICY: ReadableAdmission(read_policy),
    SERVICE_INTERFACE: ReadableAdmission(read_service_interface),
    PROTOCOL_DECLARATION: ReadableAdmission(read_protocol_declaration),
}
