from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.resources import CONFIG_MAP, CRD, NAMESPACE
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {a: "1"}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
"""


async def test_namespaces_are_applied_before_what_lives_in_them(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MANIFEST)
    async with embedded(tmp_path, ManualClock()) as cluster:
        assert [obj["kind"] for _, obj in cluster.apply(tmp_path / "m.yaml")] == ["Namespace", "ConfigMap"]
        stored = await cluster.in_process().get(CONFIG_MAP, "settings", "shop")
        revision = cluster.store.revision
        cluster.apply(tmp_path / "m.yaml")
        assert cluster.store.revision == revision, "what is as it should be is not written again"
        (tmp_path / "m.yaml").write_text(MANIFEST.replace('"1"', '"2"'))
        cluster.apply(tmp_path / "m.yaml")
        changed = await cluster.in_process().get(CONFIG_MAP, "settings", "shop")
        assert changed["data"] == {"a": "2"} and changed["metadata"]["uid"] == stored["metadata"]["uid"]


async def test_restart_keeps_what_a_user_changed_and_mends_the_definitions(tmp_path: Path) -> None:
    name = "services.serving.knative.dev"
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        await api.patch(NAMESPACE, "knative-serving", {"metadata": {"labels": {"mine": "yes"}}})
        shipped = await api.get(CRD, name)
        await api.patch(CRD, name, {"spec": {"names": {"shortNames": ["other"]}}})
    async with embedded(tmp_path, ManualClock()) as cluster:
        api = cluster.in_process()
        assert (await api.get(NAMESPACE, "knative-serving"))["metadata"]["labels"]["mine"] == "yes"
        assert (await api.get(CRD, name))["spec"] == shipped["spec"]


async def test_unchanged_start_writes_nothing(tmp_path: Path) -> None:
    async with embedded(tmp_path, ManualClock()) as cluster:
        await cluster.in_process().list(NAMESPACE)
        revision = cluster.store.revision
    async with embedded(tmp_path, ManualClock()) as cluster:
        assert cluster.store.revision == revision


async def test_kind_that_is_not_served_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("{apiVersion: x/v1, kind: Thing, metadata: {name: t}}")
    async with embedded(tmp_path, ManualClock()) as cluster:
        with pytest.raises(ConfigError, match="x/v1 is not served"):
            cluster.apply(tmp_path / "m.yaml")
