"""Clusters that a data plane has refused, and which KIngresses cannot keep their word because of it. Pure.

A data plane keeps the version of a refused cluster that it had (`subscriptions`). A refusal stands until the cluster
has another version, by a change of the object it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.acks import Nack

MAX_REFUSED = 1_000
"""Refused clusters remembered. A data plane that refuses more of them has a trouble of its own, which its log tells."""


@frozen
class RefusedCluster:
    """What was refused, by whom, and why."""

    version: str
    message: str


@dataclass(slots=True)
class ClusterRefusals:
    """Refused clusters by name."""

    referrers: Callable[[str], list[Key]] = lambda cluster: []
    """Returns the KIngresses that lead to a cluster."""
    _refused: dict[str, RefusedCluster] = field(default_factory=dict)
    _by_ingress: dict[Key, str] = field(default_factory=dict)

    def refused(self, nack: Nack) -> list[str]:
        """Take in a refusal of clusters or of endpoints; return the clusters that are now known to be refused."""
        if not nack.refusal.is_certain:
            return []
        new = []
        for name, version in zip(nack.refusal.names, nack.refusal.versions, strict=True):
            if len(self._refused) < MAX_REFUSED or name in self._refused:
                words = f"{nack.node}: {nack.refusal.type.short} {name}: {nack.refusal.message}"
                self._refused[name] = RefusedCluster(version, words)
                new.append(name)
        self._index()
        return new

    def published(self, versions: Callable[[str], set[str]]) -> list[Key]:
        """Forget refusals of what is no longer published, `versions` being what is of a cluster; return the
        KIngresses whose condition may have changed by it or by a change of their routes."""
        before = set(self._by_ingress)
        for name, refused in list(self._refused.items()):
            if refused.version not in versions(name):
                del self._refused[name]
        self._index()
        return sorted(before | set(self._by_ingress))

    def message(self, ingress: Key) -> str | None:
        """Return why a cluster that the KIngress leads to is refused; None when none is."""
        cluster = self._by_ingress.get(ingress)
        return self._refused[cluster].message if cluster is not None else None

    def messages(self) -> Mapping[Key, str]:
        """Return the KIngresses that lead to a refused cluster, and why it is refused."""
        return {key: self._refused[name].message for key, name in self._by_ingress.items()}

    def _index(self) -> None:
        self._by_ingress = {key: name for name in sorted(self._refused) for key in self.referrers(name)}
