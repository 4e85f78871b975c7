"""The bootstrap of a proxyless gRPC client under mTLS."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.cli.control.bootstraps import PROVIDER, SERVER_LISTENER, client_bootstrap
from eventmesh.xds.control import securing
from eventmesh.xds.control.grpc_servers import SERVER


def test_its_files_stand_for_control_and_for_whom_it_calls() -> None:
    made = client_bootstrap("grpc", "app", "control:18002", "127.0.0.1:0", certificate_dir="/certificates")
    (server,) = made["xds_servers"]
    assert server["channel_creds"][0]["type"] == "tls"
    assert server["channel_creds"][0]["config"]["ca_certificate_file"] == "/certificates/roots.pem"
    assert made["certificate_providers"].keys() == {PROVIDER} == {securing.PROVIDER}
    assert made["certificate_providers"][PROVIDER]["plugin_name"] == "file_watcher"


@pytest.mark.parametrize("role", ["gateway", "activator", "sidecar", "envoy"])
def test_nobody_else_takes_files(role: str) -> None:
    with pytest.raises(UsageError, match=f"--certificate-dir: {role} takes its certificate by SDS"):
        client_bootstrap(role, "c", "127.0.0.1:1", "127.0.0.1:0", certificate_dir="/certificates")


def test_a_server_finds_its_listener_by_its_address_and_its_policies_by_where_it_is() -> None:
    made = client_bootstrap("grpc", "app", "c:1", "127.0.0.1:0", namespace="shop", labels="app=cart,version=2")
    assert made["server_listener_resource_name_template"] == f"{SERVER}%s" == f"{SERVER_LISTENER}%s"
    assert made["node"]["metadata"] == {"namespace": "shop", "labels": {"app": "cart", "version": "2"}}
    assert "metadata" not in client_bootstrap("grpc", "app", "c:1", "127.0.0.1:0")["node"]


@pytest.mark.parametrize(
    ("role", "namespace", "labels", "problem"),
    [
        ("grpc", "shop", "cart", "'cart' is not NAME=VALUE"),
        ("grpc", "shop", "=cart", "'=cart' is not NAME=VALUE"),
        ("grpc", "", "app=cart", "say --namespace too"),
        ("sidecar", "shop", "app=cart", "only a gRPC server is not"),
    ],
)
def test_labels_are_those_of_a_server_in_a_namespace(role: str, namespace: str, labels: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"--labels: .*{problem}"):
        client_bootstrap(role, "c", "127.0.0.1:1", "127.0.0.1:0", namespace=namespace, labels=labels)
