"""A filter in Python before a function of a whole mesh, named by an object."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.resources import PYTHON_FILTER
from eventmesh.kube.status import is_ready
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import MeshProcess, gone
from tests.waiting import WAIT_S

FILTERS = """
from eventmesh.dataplane.filters import Go, Reply, filter

@filter
def paying(request):
    return Go() if request.path != "/admin" else Reply(402, "who pays for this?")
"""


def _filter() -> Object:
    return {
        "apiVersion": PYTHON_FILTER.api_version,
        "kind": PYTHON_FILTER.kind,
        "metadata": {"name": "paying", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"serving.knative.dev/service": "guarded"}},
            "file": "tenants.py",
            "name": "paying",
        },
    }


async def test_a_function_is_guarded_by_the_filter_that_an_object_names_from_its_first_request_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "filters"
    directory.mkdir()
    (directory / "tenants.py").write_text(FILTERS)
    monkeypatch.setenv("EVENTMESH_FILTERS", str(directory))
    mesh = MeshProcess(tmp_path / "mesh")
    try:
        await mesh.start()
        add_function(mesh, tmp_path / "hello")
        async with mesh.api() as api:
            await api.create(PYTHON_FILTER, _filter(), "default")
            await until(api, PYTHON_FILTER, "paying", is_ready)
            await deploy(api, service("guarded", min_scale="1"))
            assert [(await mesh.get("guarded", path)).status for path in ("/admin", "/")] == [402, 200]
            await api.delete(PYTHON_FILTER, "paying", "default")
            async with asyncio.timeout(WAIT_S):
                while (await mesh.get("guarded", "/admin")).status != 200:
                    await asyncio.sleep(0.05)
        started = mesh.descendants()
        await mesh.stop()
        await gone(started)
    finally:
        mesh.close()
