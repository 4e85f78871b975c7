"""`events.k8s.io/v1` Events: the same objects as the core group's, under newer names (`kubernetes/pkg/apis/events`)."""

from __future__ import annotations

from eventmesh.kube.api import Object

API_VERSION = "events.k8s.io/v1"
_CORE_VERSION = "v1"
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
        stamp = obj.get("eventTime") or obj.get("firstTimestamp") or obj["metadata"]["creationTimestamp"]
        return {**shown, "apiVersion": API_VERSION, "eventTime": _micro(stamp)}

    def selector(self, fields: str) -> str:
        """Return a field selector in the names of what is stored."""
        return fields.replace("regarding.", "involvedObject.").replace("reportingController", "reportingComponent")


def _micro(stamp: str) -> str:
    return stamp if "." in stamp else f"{stamp.removesuffix('Z')}.000000Z"
