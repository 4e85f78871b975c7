"""RequestMirrorPolicy into Mirror."""

from __future__ import annotations

from eventmesh.model.route import Mirror
from eventmesh.model.share import MILLION
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.shares import read_runtime_share

MAX_MIRRORS = 8
"""Most clusters that get copies of one route's requests: each is a request more, with its body in memory."""


def read_mirrors(owner: Message) -> tuple[Mirror, ...]:
    """Return the `request_mirror_policies` of a route, a virtual host or a table. Raises ConfigError."""
    policies = owner.children("request_mirror_policies")
    if len(policies) > MAX_MIRRORS:
        raise owner.error("request_mirror_policies", f"has {len(policies)} entries; at most {MAX_MIRRORS} are accepted")
    return tuple(_mirror(policy) for policy in policies)


def _mirror(policy: Message) -> Mirror:
    if not policy.text("cluster"):
        raise policy.error("cluster", "missing; copies are sent to a cluster")
    return Mirror(
        policy.text("cluster"),
        read_runtime_share(policy, "runtime_fraction", MILLION),
        marks_host=not policy.flag("disable_shadow_host_suffix_append"),
        host_rewrite=policy.text("host_rewrite_literal"),
    )
