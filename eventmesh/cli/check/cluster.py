"""What a cluster has of what the mesh needs, and who else routes requests there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from eventmesh.base.errors import MeshError
from eventmesh.cli import connection
from eventmesh.cli.check.findings import Finding, failure, ok, warning
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.objects import annotations_of, labels_of
from eventmesh.kube.resources import CONFIG_MAP, CRD, LEASE, NAMESPACE, NODE
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

OURS: Final = "eventmesh.ingress.networking.knative.dev"
NEEDED: Final = (
    "services.serving.knative.dev",
    "ingresses.networking.internal.knative.dev",
    "brokers.eventing.knative.dev",
    "trafficpolicies.eventmesh.io",
)
OTHER_MESHES: Final = {
    "istio-system": "Istio",
    "linkerd": "Linkerd",
    "kourier-system": "Kourier",
    "contour-external": "Contour",
}
ELECTED: Final = ("control", "controllers", "autoscaler")
"""Components of which one replica works, by a Lease."""
STALE_LEASES: Final = 4
"""A lease that was last renewed so many of its own durations ago is nobody's; the clocks of two machines may differ."""
INJECTION: Final = {"istio-injection": "enabled", "linkerd.io/inject": "enabled"}


async def findings(kubeconfig: Path) -> list[Finding]:
    """Return what was found; one failure alone when the API cannot be reached."""
    try:
        async with connection.open_api(kubeconfig) as api:
            return await _look(api)
    except MeshError as error:
        return [failure("cluster", str(error), f"check the server in {kubeconfig}, and that its credentials are valid")]


async def _look(api: Api) -> list[Finding]:
    namespaces = {obj["metadata"]["name"]: obj for obj in (await api.list(NAMESPACE)).items}
    kinds = {obj["metadata"]["name"] for obj in (await api.list(CRD)).items}
    nodes = (await api.list(NODE)).items
    versions = sorted({_version(node) for node in nodes})
    found = [ok("cluster", f"{len(nodes)} node(s) of version {', '.join(versions)}")]
    missing = [name for name in NEEDED if name not in kinds]
    if missing:
        mend = "install Serving and Eventing, and apply the manifests below `knative/` of this repository"
        found.append(failure("kinds", f"not there: {', '.join(missing)}", mend))
    else:
        found.append(ok("kinds", "Serving, Eventing and ours are there"))
    found.append(await _ingress_class(api))
    found += _others(namespaces)
    found += [told for name in ELECTED if (told := await _elected(api, name, datetime.now(UTC))) is not None]
    return found


async def _elected(api: Api, name: str, now: datetime) -> Finding | None:
    """Return who does the work of a component; None where none of it has ever run."""
    try:
        spec = (await api.get(LEASE, f"eventmesh-{name}", SYSTEM_NAMESPACE))["spec"]
    except ApiError as error:
        if error.not_found:
            return None
        return warning(name, f"its lease in {SYSTEM_NAMESPACE} cannot be read: {error}", "look as a user who may")
    holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
    mend = f"start a replica: `kubectl rollout restart deployment {name} -n {SYSTEM_NAMESPACE}`"
    if not holder:
        return failure(name, "no replica works: the last one has given its lease back", mend)
    lasts = timedelta(seconds=STALE_LEASES * (spec.get("leaseDurationSeconds") or 0))
    if not renewed or datetime.fromisoformat(renewed) + lasts < now:
        return failure(name, f"no replica works: {holder} renewed its lease last at {renewed or 'no time'}", mend)
    return ok(name, f"{holder} works")


def _version(node: Object) -> str:
    """Return the version of a node's kubelet, which a node that has just joined has not told yet."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    return str(info.get("kubeletVersion") or "unknown")


async def _ingress_class(api: Api) -> Finding:
    patch = json.dumps({"data": {"ingress-class": OURS}})
    mend = f"`kubectl patch configmap config-network -n knative-serving --patch '{patch}'`"
    try:
        data = (await api.get(CONFIG_MAP, "config-network", "knative-serving")).get("data") or {}
    except ApiError as error:
        return warning("ingress class", f"config-network of knative-serving cannot be read: {error}", mend)
    named = data.get("ingress-class") or data.get("ingress.class")
    if named == OURS:
        return ok("ingress class", named)
    return warning("ingress class", f"routes of functions go by {named or 'the default (Istio)'}", mend)


def _others(namespaces: Mapping[str, Object]) -> list[Finding]:
    found = []
    for name, who in OTHER_MESHES.items():
        if name in namespaces:
            mend = "they may stay side by side: each serves the KIngresses of its own class"
            found.append(warning("other meshes", f"{who} is installed (namespace {name})", mend))
    for name, obj in namespaces.items():
        marks = {**labels_of(obj), **annotations_of(obj)}
        injected = next((label for label, value in INJECTION.items() if marks.get(label) == value), None)
        if injected:
            mend = f"`kubectl label namespace {name} {injected}-`: two sidecars in a pod take each other's requests"
            found.append(warning("other meshes", f"namespace {name} has sidecars of another mesh injected", mend))
    return found or [ok("other meshes", "none in the cluster")]
