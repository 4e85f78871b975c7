"""Which KIngresses lead to what is not there: a Service that nobody has made, or a revision that was deleted. Pure.

Such a route is published all the same, to a cluster without endpoints: requests are answered 503 instead of 404, and
become right by themselves when the Service comes. The author is told, and Ready does not depend on it, since Serving
writes a KIngress before its Services as often as after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from eventmesh.kube.objects import Key
from eventmesh.xds.control.objects import Ingress, Split, View

MAX_TOLD = 5
"""Of one KIngress; whoever has more of them missing is not helped by a list."""


@dataclass(slots=True)
class MissingBackends:
    """What is missing, by KIngress."""

    view: Callable[[str], View]
    """Returns what is known of a namespace."""
    _told: dict[str, dict[Key, str]] = field(default_factory=dict)

    def renew(self, namespaces: Iterable[str]) -> set[Key]:
        """Look again at what the KIngresses of `namespaces` lead to; return those of which another thing is true."""
        changed: set[Key] = set()
        for namespace in namespaces:
            before = self._told.pop(namespace, {})
            after = {
                key: message
                for key, ingress in self.view(namespace).ingresses.items()
                if (message := self._message(ingress))
            }
            if after:
                self._told[namespace] = after
            changed.update(key for key in {*before, *after} if before.get(key) != after.get(key))
        return changed

    def message(self, key: Key) -> str | None:
        """Return what a KIngress leads to that is not there; None when all of it is."""
        return self._told.get(key.namespace, {}).get(key)

    def _message(self, ingress: Ingress) -> str:
        missing = list(dict.fromkeys(self._missing(ingress)))
        more = len(missing) - MAX_TOLD
        return "; ".join(missing[:MAX_TOLD]) + (f"; and {more} more" if more > 0 else "")

    def _missing(self, ingress: Ingress) -> Iterator[str]:
        for rule in ingress.rules:
            for path in rule.paths:
                yield from filter(None, map(self._problem, path.splits))

    def _problem(self, split: Split) -> str:
        view = self.view(split.service.namespace)
        if split.service in view.serverless:
            return ""
        service = view.services.get(split.service)
        if service is None:
            return f"there is no Service {split.service}, and its requests are answered 503"
        if any(split.port in (port.number, port.name) for port in service.ports):
            return ""
        return f"the Service {split.service} has no port {split.port}, and its requests are answered 503"
