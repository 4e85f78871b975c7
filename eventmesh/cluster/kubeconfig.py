"""Writing a kubeconfig for the local cluster: a file of its own, never the user's."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from eventmesh.base.secret_file import write_secret

if TYPE_CHECKING:
    from eventmesh.cluster.api.certificates import ClientCertificate

CONTEXT = "eventmesh"


def write_kubeconfig(
    file: Path,
    server: str,
    ca_pem: bytes,
    token: str,
    namespace: str = "default",
    *,
    client: ClientCertificate | None = None,
    admin_ports: Mapping[str, str] | None = None,
) -> None:
    """Write `file` (readable by its owner alone) with one context, `eventmesh`, for the API at the URL `server`.

    The user has a token and, given one, a `client` certificate, for clients that know the one or the other.
    `admin_ports` (`host:port` by the names in `kube.config`) are told in extensions of the cluster's entry, which other
    clients pass over.
    """
    cluster: dict[str, object] = {
        "server": server,
        "certificate-authority-data": base64.b64encode(ca_pem).decode(),
    }
    if admin_ports:
        cluster["extensions"] = [{"name": name, "extension": {"admin": port}} for name, port in admin_ports.items()]
    user: dict[str, object] = {"token": token}
    if client is not None:
        user["client-certificate-data"] = base64.b64encode(client.certificate_pem).decode()
        user["client-key-data"] = base64.b64encode(client.key_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}}],
        "current-context": CONTEXT,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # A client that reads meanwhile never sees half a configuration.
    write_secret(file, yaml.safe_dump(config, sort_keys=False).encode(), durable=False)
