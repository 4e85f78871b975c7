"""Where the API is and how one proves oneself to it: a kubeconfig, or what a pod is given.

Static credentials are read here; plugins that fetch credentials (`exec`, OIDC) are left to the `kubernetes`
package, which is imported only then: it costs half a second that `eventmesh up` and gateways do not have.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What the kubelet mounts into every pod."""


ACTIVATOR_EXTENSION = "eventmesh.io/activator"
"""The extension of a cluster's entry that says where the admin port of its activator is."""

GATEWAY_EXTENSION = "eventmesh.io/gateway"
"""The same of its gateway."""

CONTROL_EXTENSION = "eventmesh.io/control"
"""The same of its control."""


@frozen
class ClientConfig:
    """How to reach one API."""

    server: str
    tls: ssl.SSLContext | None
    """None for plain http."""
    token: Callable[[], str] | None = None
    """The bearer token as of now; a pod's is replaced every hour."""
    namespace: str = "default"


async def load_config(kubeconfig: Path | None = None, context: str | None = None) -> ClientConfig:
    """Return the configuration of `kubeconfig`, else of $KUBECONFIG, else of the pod this runs in, else of the user.

    Raises ConfigError naming the file and the entry that is missing or wrong.
    """
    if kubeconfig is not None:
        return await _from_file(kubeconfig, context)
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if named:
        return await _from_file(Path(named), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT_DIR / "token").exists():
        return in_cluster()
    return await _from_file(Path.home() / ".kube" / "config", context)


def admin_port(kubeconfig: Path, extension: str) -> str:
    """Return `host:port` of the admin port that an extension of `kubeconfig` names; empty when it names none.

    Raises ConfigError as `load_config` does.
    """
    config = _read(kubeconfig)
    reader = _Reader(kubeconfig, config)
    chosen = reader.entry("contexts", "context", config.get("current-context") or "")
    cluster = reader.entry("clusters", "cluster", chosen.get("cluster", ""))
    for known in cluster.get("extensions") or ():
        if known.get("name") == extension:
            return str((known.get("extension") or {}).get("admin") or "")
    return ""


def in_cluster(directory: Path = SERVICE_ACCOUNT_DIR) -> ClientConfig:
    """Return the configuration that the kubelet gives a pod."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigError("KUBERNETES_SERVICE_HOST", "is not set: this is not a pod; name a kubeconfig")
    address = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    namespace = (directory / "namespace").read_text().strip()
    return ClientConfig(f"https://{address}:{port}", tls, _token_file(directory / "token"), namespace)


def _read(path: Path) -> dict[str, Any]:
    try:
        config = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)  # noqa: S506  # is a safe loader
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(str(path), f"is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(str(path), "is not a kubeconfig")
    return config


async def _from_file(path: Path, context: str | None) -> ClientConfig:
    config = _read(path)
    reader = _Reader(path, config)
    chosen = reader.entry("contexts", "context", context or config.get("current-context") or "")
    cluster = reader.entry("clusters", "cluster", chosen.get("cluster", ""))
    user = reader.entry("users", "user", chosen["user"]) if chosen.get("user") else {}
    namespace = chosen.get("namespace") or "default"
    if "exec" in user or "auth-provider" in user:
        return await _from_plugin(path, context, namespace)
    server = cluster.get("server", "")
    tls = reader.tls(cluster, user) if server.startswith("https://") else None
    return ClientConfig(server.rstrip("/"), tls, reader.token(user), namespace)


async def _from_plugin(path: Path, context: str | None, namespace: str) -> ClientConfig:
    from kubernetes.aio.client import Configuration  # imported late: see the module's docstring
    from kubernetes.aio.config import load_kube_config

    configuration = Configuration()
    await load_kube_config(  # type: ignore[no-untyped-call]  # the package leaves it untyped
        config_file=str(path), context=context, client_configuration=configuration
    )
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    token = str(configuration.api_key.get("BearerToken", "")).removeprefix("Bearer ")
    return ClientConfig(configuration.host, tls, (lambda: token) if token else None, namespace)


class _Reader:
    """One kubeconfig; relative file names in it are relative to the file."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self._path = path
        self._config = config

    def entry(self, listing: str, kind: str, name: str) -> dict[str, Any]:
        for entry in self._config.get(listing) or []:
            if entry.get("name") == name:
                found: dict[str, Any] = entry.get(kind) or {}
                return found
        raise ConfigError(f"{self._path}: {listing}", f"has no entry named {name!r}")

    def tls(self, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
        authority = self._data(cluster, "certificate-authority")
        context = ssl.create_default_context(cadata=None if authority is None else authority.decode("ascii"))
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = self._data(user, "client-certificate"), self._data(user, "client-key")
        if certificate is not None and key is not None:
            # The ssl module reads a key from a file only.
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def token(self, user: dict[str, Any]) -> Callable[[], str] | None:
        if user.get("tokenFile"):
            return _token_file(self._path.parent / user["tokenFile"])
        token: str = user.get("token") or ""
        return (lambda: token) if token else None

    def _data(self, entry: dict[str, Any], field: str) -> bytes | None:
        inline = entry.get(f"{field}-data")
        try:
            if inline:
                return base64.b64decode(inline)
            if entry.get(field):
                return (self._path.parent / str(entry[field])).read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._path}: {field}", f"cannot be read: {error}") from error
        return None


def _token_file(path: Path) -> Callable[[], str]:
    def read() -> str:
        return path.read_text().strip()

    return read
