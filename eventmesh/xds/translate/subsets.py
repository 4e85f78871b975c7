"""Subsets of a cluster's endpoints, chosen by metadata."""

from __future__ import annotations

from eventmesh.model.policy import Fallback, Subsets
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.labels import labels

_FALLBACKS = {"NO_FALLBACK": Fallback.NONE, "ANY_ENDPOINT": Fallback.ANY, "DEFAULT_SUBSET": Fallback.DEFAULT}


def read_subsets(config: Message) -> Subsets:
    """Return what an `lb_subset_config` says. Raises ConfigError for a selector without keys."""
    selectors = []
    for selector in config.children("subset_selectors"):
        keys = tuple(sorted(set(selector.texts("keys"))))
        if not keys:
            raise selector.error("keys", "missing; name at least one key of the endpoints' metadata")
        selectors.append(keys)
    default = labels(config.struct("default_subset"))
    return Subsets(tuple(selectors), _FALLBACKS[config.text("fallback_policy", "NO_FALLBACK")], default)
