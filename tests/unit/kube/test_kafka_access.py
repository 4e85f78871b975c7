"""What lets a KafkaSource or KafkaSink in, and what is told when a Secret does not hold it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.kafka_access import KafkaLogin, login_of_secret, parse_net


def secret(**values: str | bytes) -> dict[str, Any]:
    octets = {name: value if isinstance(value, bytes) else value.encode() for name, value in values.items()}
    return {"data": {name.replace("_", "."): base64.b64encode(value).decode() for name, value in octets.items()}}


def key(name: str, of: str = "login") -> dict[str, Any]:
    return {"secretKeyRef": {"name": of, "key": name}}


NET = {
    "sasl": {"enable": True, "user": key("user"), "password": key("password"), "type": key("type")},
    "tls": {"enable": True, "caCert": key("ca", "authority")},
}


def test_a_source_takes_each_value_from_the_key_that_it_names() -> None:
    net = parse_net({"net": NET})
    assert net.secrets() == ["authority", "login"]
    secrets = {"login": secret(user="ada", password="hush\n", type="SCRAM-SHA-256"), "authority": secret(ca="PEM")}
    assert net.login(secrets) == KafkaLogin("ada", "hush", "SCRAM-SHA-256", True, "PEM")


def test_what_is_not_enabled_is_not_asked_for() -> None:
    off = {name: {**value, "enable": False} for name, value in NET.items()}
    assert parse_net({"net": off}).secrets() == []
    assert parse_net({}).login({}) == KafkaLogin()


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        (None, 'net.sasl.type: secret "login" not found'),
        (secret(user="ada", type="PLAIN"), 'net.sasl.password: secret "login" has no key "password"'),
        (secret(user="ada", password="hush", type="OAUTHBEARER"), "SASL mechanism 'OAUTHBEARER' is not supported"),
        (secret(user="ada", password=b"\xff", type="PLAIN"), "net.sasl.password: this key of a secret holds no text"),
    ],
)
def test_a_value_that_is_not_there_or_unusable_is_told_by_its_field(login: Any, problem: str) -> None:
    secrets = {"authority": secret(ca="PEM"), **({"login": login} if login else {})}
    with pytest.raises(ConfigError, match=problem) as refusal:
        parse_net({"net": NET}).login(secrets)
    assert "hush" not in str(refusal.value)


def test_no_secret_is_shown_by_what_holds_it() -> None:
    assert "hush" not in repr(KafkaLogin("ada", "hush", key="hush"))


@pytest.mark.parametrize(
    ("values", "login"),
    [
        ({"protocol": "PLAINTEXT", "user": "ignored"}, KafkaLogin()),
        ({"protocol": "SASL_PLAINTEXT", "user": "ada", "password": "hush"}, KafkaLogin("ada", "hush", "PLAIN")),
        ({"protocol": "SSL", "user_skip": "true", "ca_crt": "PEM"}, KafkaLogin(tls=True, authorities="PEM")),
        # As operators write it who keep a key store beside.
        ({"protocol": "SSL", "user_skip": "true", "user_p12": b"\x30\x82\xff"}, KafkaLogin(tls=True)),
        (
            {"protocol": "SSL", "user_crt": "CERT", "user_key": "KEY"},
            KafkaLogin(tls=True, certificate="CERT", key="KEY"),
        ),
        (
            {"protocol": "SASL_SSL", "user": "a", "password": "b", "sasl_mechanism": "SCRAM-SHA-512"},
            KafkaLogin("a", "b", "SCRAM-SHA-512", True),
        ),
        (
            {"protocol": "SASL_SSL", "user": "a", "password": "b", "user_crt": "CERT", "user_key": "KEY"},
            KafkaLogin("a", "b", "PLAIN", True, "", "CERT", "KEY"),
        ),
    ],
)
def test_the_secret_of_a_sink_has_keys_of_fixed_names(values: dict[str, str | bytes], login: KafkaLogin) -> None:
    assert login_of_secret(secret(**values)) == login


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "protocol required"),
        ({"protocol": "QUIC"}, "protocol QUIC unsupported"),
        ({"protocol": "SASL_SSL", "password": "hush"}, "SASL user required"),
        ({"protocol": "SASL_SSL", "user": "ada"}, "SASL password required"),
        ({"protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "unsupported SASL mechanism"),
        ({"protocol": "SASL_SSL", "user": "a", "password": "b", "user_crt": "C"}, "required user key"),
        ({"protocol": "SSL", "user_crt": "CERT"}, r"required user key \(key: user.key\)"),
    ],
)
def test_the_secret_of_a_sink_that_lets_nobody_in_is_told(values: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        login_of_secret(secret(**values))
