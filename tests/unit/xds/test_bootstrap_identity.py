"""A bootstrap that says where its process gets its certificate: what is printed, and what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError, UsageError
from eventmesh.cli.control.bootstraps import TOKEN_FILE, Exchange, client_bootstrap
from eventmesh.cli.main import main
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.client.inbound import first_terms
from eventmesh.xds.translate.identity import TokenIdentity

Document = dict[str, Any]


@pytest.fixture
def document(tmp_path: Path) -> Document:
    roots = tmp_path / "roots.pem"
    roots.write_text("-----BEGIN CERTIFICATE-----\n")
    exchange = Exchange("127.0.0.1:18003", roots_file=str(roots), trust_domain="mesh.test")
    return client_bootstrap("sidecar", "s", "127.0.0.1:18002", "127.0.0.1:0", "shop", exchange)


def test_what_is_printed_is_what_is_read(document: Document) -> None:
    found = parse_bootstrap(json.dumps(document))
    assert found.identity == TokenIdentity("certificates", TOKEN_FILE, "mesh.test")
    # Nothing is shown before there is something to show: neither to control nor to callers.
    assert [cluster.name for cluster in found.snapshot.clusters] == ["certificates"]
    assert first_terms(found) is None


def test_the_command_prints_it(document: Document, capsys: pytest.CaptureFixture[str]) -> None:
    roots = document["static_resources"]["secrets"][0]["validation_context"]["trusted_ca"]["filename"]
    flags = ["--ads", "127.0.0.1:18002", "--admin", "127.0.0.1:0", "--namespace", "shop", "--id", "s"]
    more = ["--certificates", "127.0.0.1:18003", "--roots-file", roots, "--trust-domain", "mesh.test"]
    assert main(["control", "bootstrap", "--for", "sidecar", *flags, *more]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_control_by_name_is_resolved_for_both_of_its_ports() -> None:
    exchange = Exchange("control.eventmesh-system.svc:18003")
    made = client_bootstrap("gateway", "g", "control.eventmesh-system.svc:18002", "127.0.0.1:0", exchange=exchange)
    assert [cluster["type"] for cluster in made["static_resources"]["clusters"]] == ["STRICT_DNS", "STRICT_DNS"]
    assert made["static_resources"]["listeners"] == []


@pytest.mark.parametrize("role", ["envoy", "grpc"])
def test_who_cannot_exchange_a_token_is_not_told_to(role: str) -> None:
    with pytest.raises(UsageError, match=f"--certificates: {role} exchanges no token"):
        client_bootstrap(role, "c", "127.0.0.1:1", "127.0.0.1:0", exchange=Exchange("127.0.0.1:2"))


def _config(document: Document) -> Document:
    found: Document = document["bootstrap_extensions"][0]["typed_config"]
    return found


def _authority(document: Document) -> Document:
    found: Document = document["static_resources"]["clusters"][-1]
    return found


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: _config(one).pop("token_file"), r"token_file: missing"),
        (lambda one: _config(one).update(cluster="other"), r"cluster: 'other' is no static cluster with an endpoint"),
        (lambda one: _authority(one).pop("transport_socket"), r"cluster: 'certificates' is no static cluster"),
        (lambda one: one["static_resources"].update(secrets=[]), r"names the secret 'ROOTCA', which static_resources"),
        (lambda one: one.pop("dynamic_resources"), r"bootstrap_extensions: needs dynamic_resources.ads_config"),
        (lambda one: one["bootstrap_extensions"].append(one["bootstrap_extensions"][0]), r"only one is supported"),
        (
            lambda one: _config(one).update({"@type": "type.googleapis.com/envoy.x.Y"}),
            r"only one is supported, a eventmesh",
        ),
    ],
)
def test_what_could_not_work_is_named_by_its_field(
    document: Document, spoil: Callable[[Document], object], said: str
) -> None:
    spoiled = copy.deepcopy(document)
    spoil(spoiled)
    with pytest.raises(ConfigError, match=said):
        parse_bootstrap(json.dumps(spoiled))
