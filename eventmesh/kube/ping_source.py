"""Reading a PingSource: when it sends, and what. Shared by who admits it and who runs it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from eventmesh.base.clock import rfc3339
from eventmesh.base.cron import Schedule
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object

EVENT_TYPE = "dev.knative.sources.ping"


def event_source(namespace: str, name: str) -> str:
    """Return the `source` of a PingSource's events."""
    return f"/apis/v1/namespaces/{namespace}/pingsources/{name}"


@frozen
class Ping:
    """A PingSource, compiled. Two are equal when they send the same at the same times."""

    uid: str
    namespace: str
    name: str
    schedule: Schedule
    data: bytes | None
    content_type: str
    extensions: tuple[tuple[str, str], ...]

    def attributes(self, tick: datetime) -> dict[str, str]:
        """Return the attributes of the event of one tick: the same tick has the same `id`, whoever sends it."""
        attributes = {"type": EVENT_TYPE, "source": event_source(self.namespace, self.name), "time": rfc3339(tick)}
        if self.data is not None and self.content_type:
            attributes["datacontenttype"] = self.content_type
        attributes |= dict(self.extensions)
        return attributes | {"id": str(uuid5(UUID(self.uid), rfc3339(tick))), "specversion": "1.0"}


def parse_ping(obj: Object) -> Ping:
    """Return what a PingSource says; raises ConfigError with the path of the field at fault, below `spec`."""
    metadata, spec = obj["metadata"], obj["spec"]
    if spec.get("data") and spec.get("dataBase64"):
        raise ConfigError("data, dataBase64", "expected exactly one, got both")
    extensions = (spec.get("ceOverrides") or {}).get("extensions") or {}
    return Ping(
        uid=metadata["uid"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        schedule=Schedule.parse(str(spec.get("schedule") or ""), spec.get("timezone") or ""),
        data=payload(spec),
        content_type=spec.get("contentType") or "",
        extensions=tuple(sorted((str(name), str(value)) for name, value in extensions.items())),
    )


def payload(spec: dict[str, Any]) -> bytes | None:
    """Return the data of the events; None when they have none. Raises ConfigError for what is no base64."""
    if encoded := spec.get("dataBase64"):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError("dataBase64", f"illegal base64 data: {error}") from error
    return spec["data"].encode() if spec.get("data") else None
