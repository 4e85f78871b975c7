"""What an owner makes of its children, and what it leaves to others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.children import Children
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import owner_reference
from eventmesh.kube.resources import CONFIG_MAP, DEPLOYMENT, EVENT


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Api, Informer, Object]]:
    clock = SystemClock()
    store = Store(tmp_path / "store", clock)
    embedded = EmbeddedApi(store, clock)
    await embedded.start()
    api = embedded.in_process()
    informers = Informers(api, clock)
    cache = informers.of(DEPLOYMENT)
    await informers.start()
    owner: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    yield api, cache, await api.create(CONFIG_MAP, owner, "default")
    await informers.stop()
    await embedded.stop()
    store.close()


def deployment(owner: Object, **labels: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "d",
            "namespace": "default",
            "labels": labels,
            "ownerReferences": [owner_reference(CONFIG_MAP, owner)],
        },
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }


async def test_a_field_that_is_another_controllers_stays(world: tuple[Api, Informer, Object]) -> None:
    api, cache, owner = world
    children = Children(api)
    await children.ensure(cache, deployment(owner), owner, kept_spec=("replicas",))
    await api.patch(DEPLOYMENT, "d", {"spec": {"replicas": 0}}, "default", subresource="scale")
    stored = await children.ensure(cache, deployment(owner, version="2"), owner, kept_spec=("replicas",))
    assert (stored["spec"]["replicas"], stored["metadata"]["labels"]) == (0, {"version": "2"})


async def test_the_owner_is_told_once_what_was_made_for_it(world: tuple[Api, Informer, Object]) -> None:
    api, cache, owner = world
    children = Children(api, EventRecorder(api, "test", SystemClock()))
    await children.ensure(cache, deployment(owner), owner)
    await children.ensure(cache, deployment(owner, version="2"), owner)
    (event,) = (await api.list(EVENT, "default")).items
    assert (event["reason"], event["message"], event["count"]) == ("Created", 'Created Deployment "d"', 1)
    assert event["involvedObject"]["name"] == "owner"
