"""A client that shows its certificate and looks at the server's."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from cryptography import x509

from eventmesh.model.tls import TlsCertificate
from eventmesh.xds.identity.authority import Issued


async def met(address: str, shown: Issued | TlsCertificate, bundle: str, file: Path) -> x509.Certificate:
    """Ask once on a connection of its own; return the certificate that was met."""
    file.write_text(shown.chain + shown.key)
    context = ssl.create_default_context(cadata=bundle)
    context.check_hostname = False
    context.load_cert_chain(file)
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
        answer = await reader.read(64)
        assert answer.startswith(b"HTTP/1.1 200"), answer
    finally:
        writer.close()
    return x509.load_der_x509_certificate(found)
