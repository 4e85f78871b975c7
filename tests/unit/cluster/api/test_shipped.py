"""A start installs what is shipped; one that finds it as the last one left it reads none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.cluster.api.shipped import RECEIPT, install_shipped
from eventmesh.kube.resources import CONFIG_MAP, CRD
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {a: "1"}
"""


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A directory of manifests, beside the store."""
    for name, text in (("crds", DEFINITION), ("serving", SETTINGS)):
        (tmp_path / "shipped" / name).mkdir(parents=True)
        (tmp_path / "shipped" / name / "one.yaml").write_text(text)
    return tmp_path / "shipped"


async def test_what_is_installed_is_not_read_again_and_what_is_shipped_anew_is(tmp_path: Path, shipped: Path) -> None:
    async with embedded(tmp_path / "store", ManualClock()) as cluster:
        assert install_shipped(cluster.registry, shipped)
        assert not install_shipped(cluster.registry, shipped)
        (shipped / "crds" / "one.yaml").write_text(DEFINITION.replace("singular: thing", "singular: something"))
        assert install_shipped(cluster.registry, shipped)
        found = await cluster.in_process().get(CRD, "things.example.com")
        assert found["spec"]["names"]["singular"] == "something"
        assert not install_shipped(cluster.registry, shipped)


async def test_a_mesh_that_is_started_again_does_not_read_what_comes_with_it(tmp_path: Path) -> None:
    for _ in range(2):
        async with embedded(tmp_path, ManualClock()) as cluster:
            assert not install_shipped(cluster.registry), "its start has done so"


async def test_what_a_user_took_away_or_bent_is_mended_whatever_the_receipt_says(tmp_path: Path, shipped: Path) -> None:
    async with embedded(tmp_path / "store", ManualClock()) as cluster:
        install_shipped(cluster.registry, shipped)
        api = cluster.in_process()
        await api.delete(CONFIG_MAP, "settings", "default")
        assert install_shipped(cluster.registry, shipped)
        assert (await api.get(CONFIG_MAP, "settings", "default"))["data"] == {"a": "1"}
        await api.patch(CRD, "things.example.com", {"spec": {"names": {"shortNames": ["bent"]}}})
        assert install_shipped(cluster.registry, shipped)
        assert "shortNames" not in (await api.get(CRD, "things.example.com"))["spec"]["names"]


async def test_what_a_user_may_change_stays_changed(tmp_path: Path, shipped: Path) -> None:
    async with embedded(tmp_path / "store", ManualClock()) as cluster:
        install_shipped(cluster.registry, shipped)
        await cluster.in_process().patch(CONFIG_MAP, "settings", {"data": {"a": "2"}}, "default")
        assert not install_shipped(cluster.registry, shipped)
        (shipped / "crds" / "one.yaml").write_text(DEFINITION.replace("singular: thing", "singular: something"))
        assert install_shipped(cluster.registry, shipped)
        assert (await cluster.in_process().get(CONFIG_MAP, "settings", "default"))["data"] == {"a": "2"}


UNREADABLE = (b'{"edition"', b"[]", b'{"edition": "", "objects": [["a"]]}', b'{"objects": [[[], "", "", 0]]}', b"\xff")


async def test_without_a_receipt_that_can_be_read_everything_is_looked_at(tmp_path: Path, shipped: Path) -> None:
    async with embedded(tmp_path / "store", ManualClock()) as cluster:
        install_shipped(cluster.registry, shipped)
        receipt = cluster.store.directory / RECEIPT
        for content in (None, *UNREADABLE):
            receipt.unlink() if content is None else receipt.write_bytes(content)
            assert install_shipped(cluster.registry, shipped), content
            assert not install_shipped(cluster.registry, shipped), content
