"""Discovery: which groups, versions and kinds there are, in the old form and in the aggregated one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventmesh.cluster.api.catalog import Catalog, Served
from eventmesh.cluster.api.negotiation import Form
from eventmesh.kube.api import Object

_STATUS_VERBS = ("get", "patch", "update")


class Discovery:
    """Answers discovery from the catalog as it is now."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def core(self, form: Form) -> Object:
        """Return the reply to `/api`."""
        if form is Form.OBJECT:
            address = {"clientCIDR": "0.0.0.0/0", "serverAddress": ""}
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
        return self._aggregated(form, [""])

    def groups(self, form: Form) -> Object:
        """Return the reply to `/apis`."""
        names = [group for group in self._catalog.group_versions() if group]
        if form is Form.OBJECT:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name) for name in names]}
        return self._aggregated(form, names)

    def group(self, name: str) -> Object | None:
        """Return the reply to `/apis/<group>`, or None for one that is not served."""
        if not name or name not in self._catalog.group_versions():
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def resources(self, group: str, version: str) -> Object | None:
        """Return the reply to `/apis/<group>/<version>` or `/api/v1`, or None for one that is not served."""
        found = self._catalog.in_version(group, version)
        if not found:
            return None
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": [entry for served in found for entry in _legacy_entries(served)],
        }

    def _group(self, name: str) -> Object:
        versions = [
            {"groupVersion": f"{name}/{version}", "version": version}
            for version in self._catalog.group_versions()[name]
        ]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _aggregated(self, form: Form, groups: Iterable[str]) -> Object:
        version = "v2" if form is Form.DISCOVERY_V2 else "v2beta1"
        known = self._catalog.group_versions()
        items = []
        for group in groups:
            versions = [
                {
                    "version": name,
                    "freshness": "Current",
                    "resources": [_aggregated_entry(served) for served in self._catalog.in_version(group, name)],
                }
                for name in known.get(group, [])
            ]
            items.append({"metadata": {"name": group, "creationTimestamp": None}, "versions": versions})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{version}",
            "metadata": {},
            "items": items,
        }


def subresources(served: Served) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Return the subresources of a kind: name, group/version/kind, verbs."""
    own = {"group": served.resource.group, "version": served.resource.version}
    found: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
    if served.has_status:
        found.append(("status", {**own, "kind": served.resource.kind}, _STATUS_VERBS))
    for name, kind, verbs in served.subresources:
        match kind:
            case "Scale":
                answer = {"group": "autoscaling", "version": "v1", "kind": kind}
            case "TokenRequest":
                answer = {"group": "authentication.k8s.io", "version": "v1", "kind": kind}
            case "Eviction":
                answer = {"group": "policy", "version": "v1", "kind": kind}
            case _:
                answer = {**own, "kind": kind}
        found.append((name, answer, verbs))
    return found


def _legacy_entries(served: Served) -> list[Object]:
    resource = served.resource
    entry: Object = {
        "name": resource.plural,
        "singularName": served.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(served.verbs),
    }
    if served.short_names:
        entry["shortNames"] = list(served.short_names)
    if served.categories:
        entry["categories"] = list(served.categories)
    entries = [entry]
    for name, answer, verbs in subresources(served):
        part: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": answer["kind"],
            "verbs": list(verbs),
        }
        if (answer["group"], answer["version"]) != (resource.group, resource.version):
            part |= {"group": answer["group"], "version": answer["version"]}
        entries.append(part)
    return entries


def _aggregated_entry(served: Served) -> Object:
    resource = served.resource
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": served.singular,
        "verbs": list(served.verbs),
    }
    if served.short_names:
        entry["shortNames"] = list(served.short_names)
    if served.categories:
        entry["categories"] = list(served.categories)
    parts = [
        {"subresource": name, "responseKind": answer, "verbs": list(verbs)}
        for name, answer, verbs in subresources(served)
    ]
    if parts:
        entry["subresources"] = parts
    return entry
