"""Addresses of shared stores: what is understood, and how what is not is answered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eventmesh.activator.broker.store.shared.address import MAX_SECRET_BYTES, journal_at
from eventmesh.base.errors import ConfigError

HERE = "nats://127.0.0.1:4222"
KAFKA = "kafka://127.0.0.1:9092"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("kafak://h:1", "store: 'kafak://h:1' names no engine; known are nats://, tls:// (NATS over TLS), kafka://"),
        ("nats://host", "store: 'host' is no HOST:PORT"),
        ("nats://host:0", "store: 'host:0' is no HOST:PORT"),
        ("nats://host:99999", "is no HOST:PORT"),
        ("nats://host:²", "store: 'host:²' is no HOST:PORT"),
        ("nats://[::1:4222", "store: is no address: Invalid IPv6 URL"),
        ("nats://a:1,:2", "store: ':2' is no HOST:PORT"),
        ("nats://me:secret@host:1", "store: a secret in an address is seen by others"),
        (f"{HERE}/a.b", "store: 'a.b' is no name of a stream"),
        (f"{HERE}/{'a' * 65}", "up to 64 of them"),
        (f"{HERE}?replicas=6", "store.replicas: '6' is not between 1 and 5"),
        (f"{HERE}?replicas=", "store.replicas: is empty"),
        (f"{HERE}?monitor=host:8222", "store.monitor: 'host:8222' is no http:// or https:// address"),
        (f"{HERE}?sync=no", "store.sync: unknown; known are monitor, replicas"),
        (f"{HERE}?user=me", "store.user: goes together with password-file"),
        (f"{HERE}?token-file=/no/such", "store.token-file: there is no file '/no/such'"),
        (f"{HERE}?user=me&password-file=", "store.password-file: is empty"),
        (f"{HERE}?ca=/no/such", "store.ca: there is no file"),
        (f"{HERE}?mechanism=PLAIN", "store.mechanism: unknown; known are monitor, replicas"),
        (f"{HERE}?monitor=", "store.monitor: is empty"),
        ("kafka://host", "store: 'host' is no HOST:PORT"),
        ("kafka+ssl://me:secret@host:1", "store: a secret in an address is seen by others"),
        (f"{KAFKA}/a.b", "store: 'a.b' is no name of a stream or topic"),
        (f"{KAFKA}?replicas=6", "store.replicas: '6' is not between 1 and 5"),
        (f"{KAFKA}?monitor=http://h:1", "store.monitor: unknown; known are replicas, user, password-file"),
        (f"{KAFKA}?user=me", "store.user: goes together with password-file"),
        (f"{KAFKA}?user=&password-file=/secret", "store.user: is empty"),
        (f"{KAFKA}?mechanism=PLAIN", "store.mechanism: goes together with user"),
        (f"{KAFKA}?mechanism=GSSAPI", "store.mechanism: 'GSSAPI' is none of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"),
    ],
)
def test_what_is_not_understood_is_named(address: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        journal_at(address)
    assert problem in str(raised.value)
    assert "secret@" not in str(raised.value)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n")
    journal_at(f"{HERE}/shop?user=me&password-file={secret}")
    secret.write_text(" \n")
    with pytest.raises(ConfigError, match="holds no text"):
        journal_at(f"{HERE}?user=me&password-file={secret}")
    secret.write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    with pytest.raises(ConfigError, match="no secret is so long"):
        journal_at(f"{HERE}?user=me&password-file={secret}")


def test_credentials_are_a_token_and_the_seed_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mesh.creds"
    file.write_text("-----BEGIN NATS USER JWT-----\ne30\n------END NATS USER JWT------\n")
    with pytest.raises(ConfigError, match="mesh.creds has no USER NKEY SEED"):
        journal_at(f"{HERE}?credentials={file}")
    with file.open("a") as more:
        more.write("-----BEGIN USER NKEY SEED-----\nSU\n------END USER NKEY SEED------\n")
    journal_at(f"{HERE}?credentials={file}")
    monkeypatch.setattr("eventmesh.activator.broker.store.shared.address.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"nkeys: pip install 'eventmesh\[nats\]'"):
        journal_at(f"{HERE}?credentials={file}")


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigError, match="cannot be used"):
        journal_at(f"{HERE}?ca={file}")


@pytest.mark.parametrize(("client", "engine", "address"), [("nats", "jetstream", HERE), ("aiokafka", "kafka", KAFKA)])
def test_without_the_client_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, client: str, engine: str, address: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"eventmesh.activator.broker.store.shared.{engine}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(ConfigError, match=rf"{client} ?.*: pip install 'eventmesh\[(nats|kafka)\]'"):
        journal_at(address)


def test_a_store_in_kafka_says_where_it_is_and_nothing_of_its_secret(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n")
    journal = journal_at(f"kafka+ssl://a:1,b:2/shop?user=me&password-file={secret}&replicas=3")
    assert journal.where == "Kafka, topic shop at a:1, b:2"
