"""Secrets with certificates for https, and what is wrong with them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from eventmesh.kube.knative import BROKER_INGRESS
from eventmesh.kube.server_certificates import is_own_host, names_of, parse

VECTORS = Path(__file__).parents[2] / "vectors" / "tls"
AUTHORITY = (VECTORS / "authority.pem").read_bytes()


def secret(**changed: bytes | None) -> dict[str, dict[str, str]]:
    entries = {"tls.crt": AUTHORITY, "tls.key": b"a key", "ca.crt": AUTHORITY}
    entries |= {name.replace("_", "."): value or b"" for name, value in changed.items()}
    return {"data": {name: base64.b64encode(value).decode() for name, value in entries.items() if value}}


def test_a_whole_secret_is_read_and_its_key_is_in_no_repr() -> None:
    found = parse(secret())
    assert (found.chain, found.key, found.authorities) == (AUTHORITY.decode(), "a key", AUTHORITY.decode())
    assert "a key" not in repr(found)


@pytest.mark.parametrize("entry", ["tls.crt", "tls.key", "ca.crt"])
def test_an_entry_that_is_missing_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=rf"data\['{entry}'\]: missing"):
        parse(secret(**{entry: None}))
    with pytest.raises(ValueError, match="missing"):
        parse({})


@pytest.mark.parametrize("entry", ["tls.crt", "ca.crt"])
def test_an_entry_without_certificates_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=rf"data\['{entry}'\]: holds no certificates"):
        parse(secret(**{entry: b"none"}))


def test_what_is_not_base64_is_named() -> None:
    with pytest.raises(ValueError, match=r"data\['tls.crt'\]: is not base64"):
        parse({"data": {"tls.crt": "%"}})


def test_a_certificate_bears_the_names_that_an_address_has() -> None:
    assert names_of(BROKER_INGRESS, "localhost") == (
        "broker-ingress.knative-eventing.svc.cluster.local",
        "broker-ingress.knative-eventing.svc",
        "broker-ingress.knative-eventing",
        "broker-ingress.knative-eventing.localhost",
    )
    assert len(names_of(BROKER_INGRESS, "")) == 3
    assert is_own_host(names_of(BROKER_INGRESS, "")[0]) and not is_own_host("sink.default.svc.cluster.local")
