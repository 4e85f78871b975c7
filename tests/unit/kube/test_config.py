from __future__ import annotations

import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.certificates import load_or_make
from eventmesh.cluster.kubeconfig import write_kubeconfig
from eventmesh.kube.config import in_cluster, load_config
from tests.manual_clock import ManualClock


def written(path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": cluster or {"server": "http://127.0.0.1:1/"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


async def test_our_own_kubeconfig_is_read_back(tmp_path: Path) -> None:
    credentials = load_or_make(tmp_path / "tls", ManualClock())
    file = tmp_path / "deep" / "kubeconfig"
    write_kubeconfig(file, "https://127.0.0.1:6443", credentials.ca_pem, credentials.token, "shop")
    assert file.stat().st_mode & 0o077 == 0, "nobody else may read the token"
    assert list(file.parent.iterdir()) == [file]
    config = await load_config(file)
    assert (config.server, config.namespace) == ("https://127.0.0.1:6443", "shop")
    assert config.token is not None and config.token() == credentials.token
    assert config.tls is not None and config.tls.verify_mode is ssl.CERT_REQUIRED


async def test_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "k", {"token": "t"})
    monkeypatch.setenv("KUBECONFIG", f"{file}:/nowhere")
    config = await load_config()
    assert (config.server, config.tls, config.namespace) == ("http://127.0.0.1:1", None, "shop")


async def test_token_file_is_relative_to_the_kubeconfig_and_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    config = await load_config(written(tmp_path / "k", {"tokenFile": "token"}))
    assert config.token is not None and config.token() == "first"
    (tmp_path / "token").write_text("second")
    assert config.token() == "second"


async def test_client_certificate_and_skipped_verification(tmp_path: Path) -> None:
    credentials = load_or_make(tmp_path, ManualClock())
    key = base64.b64encode(credentials.key_file.read_bytes()).decode()
    user = {"client-certificate": "server.crt", "client-key-data": key}
    cluster = {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}
    config = await load_config(written(tmp_path / "k", user, cluster))
    assert config.token is None
    assert config.tls is not None and config.tls.verify_mode is ssl.CERT_NONE


async def test_plugin_that_fetches_a_token_is_run(tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "fetched"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(json.dumps(credential))})"],
        "interactiveMode": "Never",
    }
    config = await load_config(written(tmp_path / "k", {"exec": plugin}))
    assert config.token is not None and config.token() == "fetched"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("{", "is not YAML"),
        ("[]", "is not a kubeconfig"),
        ("current-context: gone", "has no entry named 'gone'"),
    ],
)
async def test_unusable_kubeconfig_is_named(tmp_path: Path, text: str | None, problem: str) -> None:
    file = tmp_path / "k"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=problem) as failure:
        await load_config(file)
    assert str(file) in str(failure.value)


def test_pod_finds_its_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = load_or_make(tmp_path, ManualClock())
    (tmp_path / "namespace").write_text("shop\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    config = in_cluster(tmp_path)
    assert (config.server, config.namespace) == ("https://[fd00::1]:6443", "shop")
    assert config.token is not None and config.token() == credentials.token


def test_outside_a_pod_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="this is not a pod"):
        in_cluster(tmp_path)
