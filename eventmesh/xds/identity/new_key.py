"""A new key and the request for a certificate of it, made by a process of its own (`python -m`, with a SPIFFE id).

A data plane asks for one twice a day. The library that makes keys would take 20 MiB of it for good, two thirds of all
that a sidecar may take (docs/adr/0055-certificates-for-own-keys.md); a process that ends gives them back.
"""

from __future__ import annotations

import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.x509 import key_pem


def new_key(spiffe_id: str) -> tuple[str, str]:
    """Return a private key and a signing request (PEM both) that asks for `spiffe_id`."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key_pem(key).decode(), signing_request(key, spiffe_id)


def signing_request(key: ec.EllipticCurvePrivateKey, spiffe_id: str, host_names: tuple[str, ...] = ()) -> str:
    """Return a request (PEM) for a certificate of `key` that names `spiffe_id` and the hosts."""
    names = [x509.UniformResourceIdentifier(spiffe_id), *map(x509.DNSName, host_names)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def main() -> None:
    """Write both to standard output, as JSON: nobody else sees a pipe."""
    key, request = new_key(sys.argv[1])
    json.dump({"key": key, "request": request}, sys.stdout)


if __name__ == "__main__":
    main()
