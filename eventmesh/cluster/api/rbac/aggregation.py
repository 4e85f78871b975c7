"""ClusterRoles made of others (`kubernetes/pkg/controller/clusterroleaggregation`): their rules are kept in them."""

from __future__ import annotations

from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.structural import clone_object
from eventmesh.cluster.api.writing import WriteOptions
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import CLUSTER_ROLE
from eventmesh.kube.selectors import LabelSelector

_log = log.get("cluster.rbac")


class Aggregation:
    """Brings aggregated ClusterRoles up to date. No task of its own: told when a ClusterRole has changed."""

    def __init__(self, registry: Registry, options: WriteOptions) -> None:
        """Write as `options` say."""
        self._registry = registry
        self._options = options

    def aggregate(self) -> None:
        """Have each aggregated ClusterRole say what those say that it is made of; writes those that change."""
        roles = self._registry.store.list(CLUSTER_ROLE.group_resource)
        served = self._registry.catalog.of(CLUSTER_ROLE)
        assert served is not None  # noqa: S101 - built in
        for role in roles:
            if not role.get("aggregationRule") or "deletionTimestamp" in role["metadata"]:
                continue
            rules = _gathered(role, roles)
            if rules != (role.get("rules") or []):
                changed = {**clone_object(role), "rules": rules}
                try:
                    self._registry.update(served, changed, role["metadata"]["name"], "", self._options)
                except ApiError as error:
                    # Too large, or of rules that were stored before they were checked: the other roles go on.
                    _log.error("cluster role not aggregated", name=role["metadata"]["name"], reason=error.message)


def _gathered(role: Object, roles: list[Object]) -> list[Object]:
    """Return the rules of the roles that `role` is made of, sorted by their names, each once.

    Those are followed down to roles that say something of their own: roles that are made of each other, in a circle,
    would else write each other's rules for ever.
    """
    rules: list[Object] = []
    seen = {role["metadata"]["name"]}
    waiting = [role]
    while waiting:
        current = waiting.pop()
        if not current.get("aggregationRule"):
            rules += [rule for rule in current.get("rules") or () if rule not in rules]
            continue
        selected = [one for one in _selected(current, roles) if one["metadata"]["name"] not in seen]
        seen.update(one["metadata"]["name"] for one in selected)
        waiting += reversed(selected)
    return rules


def _selected(role: Object, roles: list[Object]) -> list[Object]:
    try:
        selectors = [LabelSelector.of(one) for one in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    except (ConfigError, ValueError, KeyError, AttributeError, TypeError) as error:
        _log.warning("cluster role cannot be aggregated", name=role["metadata"]["name"], reason=error)
        return []
    return [
        one for one in roles if any(selector.matches(one["metadata"].get("labels") or {}) for selector in selectors)
    ]
