"""The bootstrap of a proxyless gRPC client under mTLS."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.cli.control.bootstraps import PROVIDER, client_bootstrap
from eventmesh.xds.control import securing


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
