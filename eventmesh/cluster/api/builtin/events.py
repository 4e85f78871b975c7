"""`events.k8s.io/v1` Events: the same objects as the core group's, under newer names (`kubernetes/pkg/apis/events`)."""

from __future__ import annotations

from datetime import UTC, datetime

from eventmesh.kube.api import Object

API_VERSION = "events.k8s.io/v1"
_CORE_VERSION = "v1"
_NEVER = "1970-01-01T00:00:00.000000Z"
_CORE_NAME = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_NEW_NAME = {core: new for new, core in _CORE_NAME.items()}


class EventView:
    """Translates between the stored Event and the one of `events.k8s.io`."""

    def stored(self, obj: Object) -> Object:
        """Return the core Event of an `events.k8s.io` one."""
        return {**{_CORE_NAME.get(name, name): value for name, value in obj.items()}, "apiVersion": _CORE_VERSION}

    def shown(self, obj: Object) -> Object:
        """Return a core Event as `events.k8s.io` has it; its time is there, since clients demand it."""
        shown = {_NEW_NAME.get(name, name): value for name, value in obj.items()}
        stamps = (obj.get("eventTime"), obj.get("firstTimestamp"), obj["metadata"].get("creationTimestamp"))
        time = next(filter(None, map(_micro, stamps)), _NEVER)
        return {**shown, "apiVersion": API_VERSION, "eventTime": time}

    def selector(self, fields: str) -> str:
        """Return a field selector in the names of what is stored."""
        return fields.replace("regarding.", "involvedObject.").replace("reportingController", "reportingComponent")


def _micro(stamp: object) -> str:
    """Return an RFC 3339 time to the microsecond in UTC; empty for what is none."""
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        return ""
    return "" if moment.tzinfo is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
