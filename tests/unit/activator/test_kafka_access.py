"""From Secrets to a connection: what is told when they do not make one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from eventmesh.activator.kafka_access import KafkaProblem, secrets_of, settings_of, tls_of
from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.certificates import load_or_make
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.kafka_access import KafkaLogin


class Answers:
    """An API that knows one Secret and refuses another."""

    async def get(self, _resource: object, name: str, _namespace: str) -> Object:
        match name:
            case "there":
                return {"metadata": {"name": name}}
            case "forbidden":
                raise ApiError(403, "Forbidden", 'secrets "forbidden" is forbidden')
            case "away":
                raise UnavailableError("API not reachable")
        raise ApiError(404, "NotFound", f'secrets "{name}" not found')


async def test_secrets_that_are_not_there_are_left_out() -> None:
    found = await secrets_of(Answers(), "shop", ["absent", "there"])  # type: ignore[arg-type]  # as much as is used
    assert list(found) == ["there"]


@pytest.mark.parametrize(("name", "problem"), [("forbidden", "is forbidden"), ("away", "API not reachable")])
async def test_a_secret_that_cannot_be_read_is_told(name: str, problem: str) -> None:
    with pytest.raises(KafkaProblem, match=f'secret "{name}": .*{problem}') as raised:
        await secrets_of(Answers(), "shop", [name])  # type: ignore[arg-type]  # as much as is used
    assert raised.value.reason == "SecretNotRead"


def test_without_tls_there_is_no_context() -> None:
    assert tls_of(KafkaLogin("ada", "hush", authorities="ignored")) is None


def test_certificate_and_key_are_taken_from_memory(tmp_path: Path) -> None:
    made = load_or_make(tmp_path, SystemClock())
    certificate, key = made.client.certificate_pem.decode(), made.client.key_pem.decode()
    context = tls_of(KafkaLogin(tls=True, authorities=made.ca_pem.decode(), certificate=certificate, key=key))
    assert context is not None
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        (KafkaLogin(tls=True, authorities="none"), "CA certificate: holds no certificates in PEM"),
        (KafkaLogin(tls=True, certificate="none", key="none"), "client certificate: cannot be used with its key"),
    ],
)
def test_what_is_no_certificate_is_told(login: KafkaLogin, problem: str) -> None:
    with pytest.raises(KafkaProblem, match=problem) as raised:
        settings_of(("k:9092",), "orders", login)
    assert (raised.value.reason, raised.value.connected) == ("SecretInvalid", False)


def test_a_key_under_a_password_is_told_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    made = load_or_make(tmp_path, SystemClock())
    key = serialization.load_pem_private_key(made.client.key_pem, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hush"),
    )
    code = (
        "import sys; from eventmesh.activator.kafka_access import tls_of; "
        "from eventmesh.kube.kafka_access import KafkaLogin; "
        "tls_of(KafkaLogin(tls=True, certificate=sys.argv[1], key=sys.argv[2]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, made.client.certificate_pem.decode(), locked.decode()],
        input="hush\n",
        capture_output=True,
        text=True,
        start_new_session=True,  # without a terminal whoever asks asks there
    )
    assert "client certificate: cannot be used with its key" in told.stderr
    assert "pass phrase" not in told.stderr


def test_an_activator_loads_no_client_of_kafka_before_there_is_something_to_do_with_it() -> None:
    code = (
        "import sys, eventmesh.activator.app, eventmesh.controllers.eventing.app; assert 'aiokafka' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
