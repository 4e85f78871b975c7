"""OpenSSL as the other end of a connection, without a socket: Python's ssl over memory."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from cryptography import x509

from eventmesh.model.tls import TlsCertificate
from tests.unit.core.playbook import Peer

DIRECTORY = Path(__file__).parents[2] / "vectors" / "tls"
AUTHORITY = (DIRECTORY / "authority.pem").read_text()


def certificate(name: str) -> TlsCertificate:
    """Return `tests/vectors/tls/<name>`."""
    return TlsCertificate((DIRECTORY / f"{name}.pem").read_text(), (DIRECTORY / f"{name}.key").read_text())


def client_context(name: str = "", *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return a client that believes the authority and shows certificate `name`."""
    context = ssl.create_default_context(cadata=AUTHORITY)
    if name:
        context.load_cert_chain(DIRECTORY / f"{name}.pem", DIRECTORY / f"{name}.key")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_context(name: str = "server", *, asks: bool = False, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return a server that shows certificate `name` and, with `asks`, wants one of the authority's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY)
    context.load_cert_chain(DIRECTORY / f"{name}.pem", DIRECTORY / f"{name}.key")
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class TlsPeer:
    """A peer of the playbook that speaks TLS."""

    def __init__(self, peer: Peer, context: ssl.SSLContext, *, server_side: bool = False, name: str = "example.com"):
        self.peer = peer
        self.step = 0
        """Bytes handed over at a time; 0: as many as there are."""
        self._read, self._write = ssl.MemoryBIO(), ssl.MemoryBIO()
        hostname = None if server_side else name
        self.tls = context.wrap_bio(self._read, self._write, server_side, hostname)

    def shakes_hands(self) -> None:
        """Bring the handshake to its end; raises ssl.SSLError where it fails on this side."""
        while True:
            self._listen()
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                if not self._speak() and not self.peer.heard:
                    raise
            else:
                self._speak()
                return

    def says(self, data: bytes) -> None:
        self.tls.write(data)
        self._speak()

    def takes(self) -> bytes:
        """Return and forget what was written, opened; raises ssl.SSLError where the other side broke off."""
        self._listen()
        heard = b""
        try:
            while data := self.tls.read(65_536):
                heard += data
            self.peer.events.append("goodbye")
        except ssl.SSLWantReadError:
            pass
        return heard

    def names(self) -> list[tuple[str, str]]:
        """Return the subject alternative names of the certificate that was shown."""
        shown = self.tls.getpeercert(binary_form=True)
        assert shown is not None
        extension = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        kinds = {x509.DNSName: "DNS", x509.UniformResourceIdentifier: "URI"}
        return [(kinds[type(name)], name.value) for name in extension.value]

    def bids_goodbye(self) -> None:
        """Send close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._speak()

    def _listen(self) -> None:
        self._read.write(self.peer.takes())

    def _speak(self) -> bool:
        said = self._write.read()
        step = self.step or len(said) or 1
        for at in range(0, len(said), step):
            self.peer.says(said[at : at + step])
        return bool(said)
