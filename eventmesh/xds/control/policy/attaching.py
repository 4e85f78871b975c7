"""Which policy holds for what: the oldest one that names a Service has it (GEP-713, conflict resolution). Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from eventmesh.kube.objects import Key
from eventmesh.xds.control.objects import Ingress, Path, View
from eventmesh.xds.control.policy.values import RoutePolicy, Target, TargetKind, TrafficPolicy


def winners(view: View) -> dict[Target, TrafficPolicy]:
    """Return the policy of each target that has one."""
    won: dict[Target, TrafficPolicy] = {}
    for policy in sorted(view.policies.values(), key=lambda one: (one.created, one.key)):
        for target in policy.targets:
            won.setdefault(target, policy)
    return won


def exists(view: View, target: Target) -> bool:
    """True when there is something that the policy can hold for."""
    if target.kind is TargetKind.FUNCTION:
        return target.name in view.functions.values()
    # The Service that carries a function's name, or a revision's, only stands for it: its policies are the function's.
    own = (found for key, found in view.services.items() if key.name == target.name)
    return any(not found.of_revision and not found.placeholder for found in own)


def attached(view: View) -> View:
    """Return `view` with each policy laid upon the routes and clusters it is for."""
    if not view.policies:
        return view
    won = winners(view)

    def of(service: Key) -> TrafficPolicy | None:
        if service in view.serverless:
            return won.get(Target(TargetKind.FUNCTION, view.functions.get(service, "")))
        return won.get(Target(TargetKind.SERVICE, service.name))

    policies: Mapping[Key, TrafficPolicy] = {
        key: found for key in (*view.serverless, *view.services) if (found := of(key)) is not None
    }
    return dataclasses.replace(
        view,
        ingresses={key: _of_ingress(ingress, policies) for key, ingress in view.ingresses.items()},
        services={
            key: dataclasses.replace(service, policy=policies[key].route) if key in policies else service
            for key, service in view.services.items()
        },
        limits={key: policy.cluster for key, policy in policies.items()},
    )


def _of_ingress(ingress: Ingress, policies: Mapping[Key, TrafficPolicy]) -> Ingress:
    rules = tuple(
        dataclasses.replace(rule, paths=tuple(_of_path(path, policies) for path in rule.paths))
        for rule in ingress.rules
    )
    return dataclasses.replace(ingress, rules=rules) if rules != ingress.rules else ingress


def _of_path(path: Path, policies: Mapping[Key, TrafficPolicy]) -> Path:
    """Return the path with the policy that all it leads to have in common; a split between two has none."""
    found = {policy_of(policies, split.service) for split in path.splits if split.percent > 0}
    if len(found) != 1:
        return path
    (policy,) = found
    return dataclasses.replace(path, policy=policy) if policy is not None else path


def policy_of(policies: Mapping[Key, TrafficPolicy], service: Key) -> RoutePolicy | None:
    """Return what holds for each request to `service`."""
    policy = policies.get(service)
    return policy.route if policy is not None else None
