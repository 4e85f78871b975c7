"""What `eventmesh check --kubeconfig` says of a cluster: what is missing, and who else is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.cli.check import cluster
from eventmesh.cli.check.findings import Finding, Standing
from eventmesh.kube.resources import CONFIG_MAP, CRD, LEASE, NAMESPACE
from tests.component.embedded_api import http_client, served


def subjects(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


async def test_what_is_missing_and_who_else_routes_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with served(tmp_path) as cluster_api, http_client(cluster_api.kubeconfig) as api:
        await api.delete(CRD, "brokers.eventing.knative.dev")
        for name, labels in (("istio-system", {}), ("shop", {"istio-injection": "enabled"})):
            await api.create(NAMESPACE, {"metadata": {"name": name, "labels": labels}})
        found = await cluster.findings(cluster_api.kubeconfig)
        told = subjects(found)
        # Its node has told nothing of itself yet.
        assert told["cluster"].found == "1 node(s) of version unknown"
        assert told["kinds"].standing is Standing.FAILURE
        assert told["kinds"].found == "not there: brokers.eventing.knative.dev"
        assert told["ingress class"].standing is Standing.WARNING
        others = [finding for finding in found if finding.subject == "other meshes"]
        assert [finding.found for finding in others] == [
            "Istio is installed (namespace istio-system)",
            "namespace shop has sidecars of another mesh injected",
        ]
        assert "kubectl label namespace shop istio-injection-" in others[1].mend


@pytest.mark.parametrize(
    ("spec", "standing", "words"),
    [
        ({"holderIdentity": "pod-a", "leaseDurationSeconds": 3600}, Standing.OK, "pod-a works"),
        ({"holderIdentity": "", "leaseDurationSeconds": 1}, Standing.FAILURE, "has given its lease back"),
        (
            {"holderIdentity": "pod-a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
            Standing.FAILURE,
            "pod-a renewed its lease last at 2026-01-01T00:00:00.000000Z",
        ),
    ],
)
async def test_who_does_the_work_of_which_replicas_is_told(
    tmp_path: Path, spec: dict[str, object], standing: Standing, words: str
) -> None:
    now = SystemClock().now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    async with served(tmp_path) as cluster_api, http_client(cluster_api.kubeconfig) as api:
        lease = {"metadata": {"name": "eventmesh-autoscaler"}, "spec": {"renewTime": now, **spec}}
        await api.create(LEASE, lease, "eventmesh-system")
        told = subjects(await cluster.findings(cluster_api.kubeconfig))
    assert (told["autoscaler"].standing, words in told["autoscaler"].found) == (standing, True)
    assert "control" not in told


async def test_a_cluster_that_has_everything_is_told_so(tmp_path: Path) -> None:
    async with served(tmp_path) as cluster_api, http_client(cluster_api.kubeconfig) as api:
        settings = {"metadata": {"name": "config-network"}, "data": {"ingress-class": cluster.OURS}}
        await api.create(CONFIG_MAP, settings, "knative-serving")
        found = await cluster.findings(cluster_api.kubeconfig)
    assert {finding.standing for finding in found} == {Standing.OK}
