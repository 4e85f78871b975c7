"""Certificates that the gateway shows: Secrets of type `kubernetes.io/tls` that KIngresses name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import field

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType

TLS_SECRET = "kubernetes.io/tls"  # noqa: S105 - a type's name


@frozen
class Certificate:
    """A chain and its private key (PEM), or what is wrong with them."""

    chain: bytes = b""
    key: bytes = field(default=b"", repr=False)
    problem: str = ""


def parse_certificate(obj: Object) -> Certificate | None:
    """Return what a Secret of type `kubernetes.io/tls` holds; None for a Secret of another type."""
    if obj.get("type") != TLS_SECRET:
        return None
    try:
        chain, key = (_decoded(obj, name) for name in ("tls.crt", "tls.key"))
        _check(chain, key)
    except ValueError as error:
        return Certificate(problem=str(error))
    return Certificate(chain, key)


def _decoded(obj: Object, name: str) -> bytes:
    text = (obj.get("data") or {}).get(name)
    if not text:
        raise ValueError(f"data[{name!r}]: missing")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"data[{name!r}]: is not base64") from None


def _check(chain: bytes, key: bytes) -> None:
    # Imported when the first certificate comes: most meshes have none.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise ValueError("data['tls.crt']: is no PEM certificate") from None
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("data['tls.key']: is no unencrypted PEM private key") from None
    if private.public_key() != leaf.public_key():
        raise ValueError("data['tls.key']: is not the key of the certificate in data['tls.crt']")


def secret(key: Key, certificate: Certificate) -> Resource:
    """Return the certificate as an SDS resource, by the name of its Secret."""
    from envoy_data_plane.envoy.config.core.v3 import DataSource
    from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret, TlsCertificate

    shown = made(
        TlsCertificate,
        certificate_chain=made(DataSource, inline_bytes=certificate.chain),
        private_key=made(DataSource, inline_bytes=certificate.key),
    )
    return resources.from_message(ResourceType.SECRET, str(key), made(Secret, name=str(key), tls_certificate=shown))


class Certificates:
    """The certificates in use, namespace by namespace, and the KIngresses whose certificate is not to be had."""

    def __init__(self) -> None:
        self.problems: dict[Key, str] = {}
        self.secrets: Mapping[str, Resource] = {}
        """SDS resources by name; replaced, never changed."""
        self._used: dict[str, dict[Key, Certificate]] = {}
        self._troubled: dict[str, set[Key]] = {}

    def renew(self, namespace: str, wanted: Mapping[Key, Iterable[Key]], known: Mapping[Key, Certificate]) -> bool:
        """Take in which Secrets the KIngresses of a namespace name, and what these hold; return whether what is shown
        differs by it."""
        for ingress in self._troubled.pop(namespace, ()):
            self.problems.pop(ingress, None)
        used: dict[Key, Certificate] = {}
        for ingress, names in wanted.items():
            for name in names:
                found = known.get(name)
                problem = f"there is no Secret {name} of type {TLS_SECRET}" if found is None else found.problem
                if problem:
                    self.problems[ingress] = f"spec.tls: Secret {name}: {problem}" if found else f"spec.tls: {problem}"
                    self._troubled.setdefault(namespace, set()).add(ingress)
                elif found is not None:
                    used[name] = found
        if used == self._used.get(namespace, {}):
            return False
        kept = {name: one for name, one in self.secrets.items() if not name.startswith(f"{namespace}/")}
        self.secrets = kept | {str(key): secret(key, certificate) for key, certificate in used.items()}
        self._used[namespace] = used
        return True
