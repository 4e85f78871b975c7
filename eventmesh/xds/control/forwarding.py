"""A KIngress that leads to the name of a Knative Route leads to where that Route's requests go. Pure.

The Service that carries a Route's name has no pods: it stands for the gateway, which would take each request a second
time. A domain that is mapped to a function would cost a hop, and its configuration would be two. Here the rules of the
Route take the place of the split instead (docs/adr/0010-domains-without-a-second-hop.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from eventmesh.kube.objects import Key
from eventmesh.xds.control.ingress import local_names
from eventmesh.xds.control.objects import Ingress, Path, Rule, Service, View


def forwarded(view: View, cluster_domain: str) -> View:
    """Return `view` with the paths that lead to a Route's name replaced by the paths of that Route.

    A path that shares its requests out between several Services is left as it is, and so is one to a Route that has no
    KIngress yet: its requests are answered 503.
    """
    leading = {key: ingress for key, ingress in view.ingresses.items() if _leads_to_names(ingress, view.services)}
    if not leading:
        return view
    rules = _rules_by_host(view.ingresses, cluster_domain)
    changed = {
        key: dataclasses.replace(
            ingress, rules=tuple(_forwarded(rule, view.services, rules, cluster_domain) for rule in ingress.rules)
        )
        for key, ingress in leading.items()
    }
    return dataclasses.replace(view, ingresses={**view.ingresses, **changed})


def _leads_to_names(ingress: Ingress, services: Mapping[Key, Service]) -> bool:
    return any(_name_led_to(path, services) is not None for rule in ingress.rules for path in rule.paths)


def _name_led_to(path: Path, services: Mapping[Key, Service]) -> Key | None:
    """Return the Service to which `path` sends everything, if that only stands for a Route."""
    if len(path.splits) != 1:
        return None
    service = services.get(path.splits[0].service)
    return service.key if service is not None and service.placeholder else None


def _rules_by_host(ingresses: Mapping[Key, Ingress], cluster_domain: str) -> Mapping[str, Rule]:
    """Return who answers to each host: the oldest claim wins, as in the tables."""
    rules: dict[str, Rule] = {}
    for ingress in sorted(ingresses.values(), key=lambda i: (i.created, i.key)):
        for rule in ingress.rules:
            for host in rule.hosts:
                for name in local_names(host, cluster_domain):
                    rules.setdefault(name, rule)
    return rules


def _forwarded(rule: Rule, services: Mapping[Key, Service], rules: Mapping[str, Rule], cluster_domain: str) -> Rule:
    paths: list[Path] = []
    for path in rule.paths:
        name = _name_led_to(path, services)
        target = rules.get(f"{name.name}.{name.namespace}.svc.{cluster_domain}") if name is not None else None
        paths += [path] if target is None else [joined for inner in target.paths if (joined := _joined(path, inner))]
    return dataclasses.replace(rule, paths=tuple(paths))


def _joined(outer: Path, inner: Path) -> Path | None:
    """Return the path of requests that take `outer`, then `inner`; None when no request can."""
    longer, shorter = sorted((outer.prefix, inner.prefix), key=len, reverse=True)
    matches = {**dict(outer.matches), **dict(inner.matches)}
    if not longer.startswith(shorter) or any(matches[name] != value for name, value in outer.matches):
        return None
    return Path(
        prefix=longer,
        splits=inner.splits,
        matches=tuple(sorted(matches.items())),
        # What is set later wins, as it would on the second way through.
        headers={**outer.headers, **outer.splits[0].headers, **inner.headers},
        rewrite_host=inner.rewrite_host or outer.rewrite_host,
        policy=inner.policy,
    )
