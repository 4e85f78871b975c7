"""Whom a rule's requests go to: Services that may be referred to, functions by the shares of their own Route. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.model.route import HeaderEdits
from eventmesh.xds.control.gateway_api.values import Backend, Copy, Route, Rule, World
from eventmesh.xds.control.ingress import local_names
from eventmesh.xds.control.objects import Path, Service, View
from eventmesh.xds.control.policy.values import Mirror, RoutePolicy
from eventmesh.xds.control.services import cluster_of, resolve

UNRESOLVED_CLUSTER = "gateway-api/unresolved"
"""Empty: the share of requests that is meant for a backend that leads nowhere."""

PARTS = 100
"""Parts of a weight: a function shares its requests out in percents."""

Problem = tuple[str, str]
"""Reason and message of the condition ResolvedRefs."""


@frozen
class Share:
    """A cluster that takes part of a rule's requests."""

    cluster: str
    weight: int
    request: HeaderEdits = HeaderEdits()
    response: HeaderEdits = HeaderEdits()


@dataclass(slots=True)
class Backends:
    """Resolves references, and remembers what each of them led to while one build lasts."""

    world: World
    view: Callable[[str], View]
    """Returns what there is in a namespace."""
    cluster_domain: str
    _functions: dict[str, Mapping[str, Path]] = field(default_factory=dict)

    def shares(self, route: Route, rule: Rule) -> tuple[Share, ...]:
        """Return where a rule's requests go; what leads nowhere has its share all the same."""
        return tuple(share for backend in rule.backends for share in self._of(route, backend))

    def policy(self, route: Route, rule: Rule) -> RoutePolicy | None:
        """Return what holds for each request: the rule's own timeouts and retries, else the policy of what all backends
        have in common; and who gets copies."""
        policy = rule.policy
        if policy is None:
            found = {self._policy_of(backend) for backend in rule.backends if backend.weight}
            policy = found.pop() if len(found) == 1 else None
        mirrors = tuple(mirror for copy in rule.copies if (mirror := self._mirror(route, copy)) is not None)
        if not mirrors:
            return policy
        policy = policy or RoutePolicy()
        return dataclasses.replace(policy, mirrors=(*policy.mirrors, *mirrors))

    def _mirror(self, route: Route, copy: Copy) -> Mirror | None:
        service = self._service(copy.backend)
        if service is None or self.problem(route, copy.backend) is not None:
            return None
        port = next((port for port in service.ports if port.number == copy.backend.port), None)
        return Mirror(cluster_of(service, port), copy.millionths) if port is not None else None

    def _policy_of(self, backend: Backend) -> RoutePolicy | None:
        service = self._service(backend)
        if service is None or not service.placeholder:
            return service.policy if service is not None else None
        path = self._path(service.key)
        return path.policy if path is not None else None

    def problem(self, route: Route, backend: Backend) -> Problem | None:
        """Return why a backend leads nowhere; None when it leads somewhere."""
        if backend.problem is not None:
            return backend.problem
        if not self.world.permits(route.kind.value, route.key.namespace, "Service", backend.service):
            return (
                "RefNotPermitted",
                f"no ReferenceGrant in {backend.service.namespace} lets Service {backend.service} be used",
            )
        service = self._service(backend)
        if service is None:
            return "BackendNotFound", f"there is no Service {backend.service}"
        if not service.placeholder and all(port.number != backend.port for port in service.ports):
            return "BackendNotFound", f"Service {backend.service} has no port {backend.port}"
        return None

    def _service(self, backend: Backend) -> Service | None:
        return self.view(backend.service.namespace).services.get(backend.service)

    def _of(self, route: Route, backend: Backend) -> list[Share]:
        if backend.weight == 0:
            return []
        service, weight = self._service(backend), backend.weight * PARTS
        if service is None or self.problem(route, backend) is not None:
            return [Share(UNRESOLVED_CLUSTER, weight)]
        view = self.view(backend.service.namespace)
        if service.placeholder:
            return self._of_function(service, backend, view) or [Share(UNRESOLVED_CLUSTER, weight)]
        if service.key in view.serverless:
            return [Share(str(service.key), weight, backend.request, backend.response)]
        port = next(port for port in service.ports if port.number == backend.port)
        return [Share(cluster_of(service, port), weight, backend.request, backend.response)]

    def _of_function(self, service: Service, backend: Backend, view: View) -> list[Share]:
        """Return the shares of a Knative Route: its name stands for the gateway, and nobody goes through that twice."""
        path = self._path(service.key)
        if path is None:
            return []
        return [
            Share(
                cluster=resolve(view, split.service, split.port),
                weight=backend.weight * split.percent,
                request=_after(backend.request, {**path.headers, **split.headers}),
                response=backend.response,
            )
            for split in path.splits
            if split.percent > 0
        ]

    def _path(self, function: Key) -> Path | None:
        """Return the path of a function's own rules that takes what asks for nothing special."""
        return self._paths(function.namespace).get(f"{function.name}.{function.namespace}")

    def _paths(self, namespace: str) -> Mapping[str, Path]:
        if namespace not in self._functions:
            found: dict[str, Path] = {}
            for ingress in sorted(self.view(namespace).ingresses.values(), key=lambda one: (one.created, one.key)):
                for rule in ingress.rules:
                    plain = next((path for path in rule.paths if not path.matches and path.prefix == "/"), None)
                    names = [name for host in rule.hosts for name in local_names(host, self.cluster_domain)[2:]]
                    found |= {name: plain for name in names if plain is not None and name not in found}
            self._functions[namespace] = found
        return self._functions[namespace]


def _after(edits: HeaderEdits, headers: Mapping[str, str]) -> HeaderEdits:
    """Return `edits` with headers that no edit of an author may replace: the mesh finds the revision by them."""
    kept = tuple(pair for pair in edits.set if pair[0] not in headers)
    added = tuple(pair for pair in edits.append if pair[0] not in headers)
    removed = tuple(name for name in edits.remove if name not in headers)
    return HeaderEdits((*kept, *sorted(headers.items())), added, removed)
