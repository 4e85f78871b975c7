"""What a bootstrap says about an identity by token: which authority to ask, and where the token is.

An extension of ours in the field that Envoy has for such (`bootstrap_extensions`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.resources import ClusterResource

TYPE: Final = "eventmesh.bootstrap.workload_identity.v3.WorkloadIdentity"

OWN_SECRET: Final = "default"  # noqa: S105 - a name
ROOTS_SECRET: Final = "ROOTCA"  # noqa: S105 - a name
"""The names that Istio's data planes know; `xds.control.securing` writes them."""

DEFAULT_TRUST_DOMAIN: Final = "cluster.local"


@frozen
class TokenIdentity:
    """Exchange the token in a file for a certificate."""

    cluster: str
    """The static cluster of the authority; under TLS, for a token goes there."""
    token_file: str
    """Read anew each time: a kubelet replaces it."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN


def read_identity(
    tree: Message, clusters: Iterable[ClusterResource], brought: Container[str], *, has_ads: bool
) -> TokenIdentity:
    """Return what the bootstrap `tree` says; `brought` are the secrets that it holds itself. Raises ConfigError."""
    extensions = tree.children("bootstrap_extensions")
    config = extensions[0].child("typed_config")
    if len(extensions) > 1 or config is None or config.schema.name != TYPE:
        raise tree.error("bootstrap_extensions", f"only one is supported, a {TYPE}")
    if not has_ads:
        raise tree.error("bootstrap_extensions", "needs dynamic_resources.ads_config, by which roots are renewed")
    name = config.text("cluster")
    tls = next((one.tls for one in clusters if one.cluster.name == name and one.cluster.endpoints), None)
    if tls is None:
        raise config.error("cluster", f"{name!r} is no static cluster with an endpoint and TLS; a token goes there")
    missing = sorted(secret for secret in tls.terms.secrets if secret not in brought)
    if missing:
        raise config.error("cluster", f"{name!r} names the secret {missing[0]!r}, which static_resources.secrets lacks")
    if not config.text("token_file"):
        raise config.error("token_file", "missing")
    return TokenIdentity(name, config.text("token_file"), config.text("trust_domain") or DEFAULT_TRUST_DOMAIN)
