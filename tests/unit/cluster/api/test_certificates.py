from __future__ import annotations

from pathlib import Path

from cryptography import x509

from eventmesh.cluster.api.certificates import RENEW_BEFORE, SERVER_LIFETIME, load_or_make
from tests.manual_clock import ManualClock


async def test_credentials_are_kept_and_the_certificate_renewed_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    first = load_or_make(tmp_path, clock)
    serial = x509.load_pem_x509_certificate(first.certificate_file.read_bytes()).serial_number
    assert load_or_make(tmp_path, clock) == first
    assert x509.load_pem_x509_certificate(first.certificate_file.read_bytes()).serial_number == serial
    await clock.advance((SERVER_LIFETIME - RENEW_BEFORE).total_seconds())
    renewed = load_or_make(tmp_path, clock)
    assert (renewed.ca_pem, renewed.token) == (first.ca_pem, first.token)
    assert x509.load_pem_x509_certificate(first.certificate_file.read_bytes()).serial_number != serial


def test_certificate_carries_the_host_it_serves(tmp_path: Path) -> None:
    for host in ("10.1.2.3", "mesh.example.com"):
        credentials = load_or_make(tmp_path, ManualClock(), host)
        certificate = x509.load_pem_x509_certificate(credentials.certificate_file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        texts = {str(name.value) for name in names}
        assert {host, "localhost", "127.0.0.1"} <= texts


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    load_or_make(tmp_path / "tls", ManualClock())
    for name in ("ca.key", "server.key", "token"):
        assert (tmp_path / "tls" / name).stat().st_mode & 0o077 == 0
