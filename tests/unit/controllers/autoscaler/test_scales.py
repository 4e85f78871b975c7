"""What a Deployment is set to while the cache lags behind the autoscaler's own writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.store.store import Store
from eventmesh.controllers.autoscaler.scales import Scales
from eventmesh.kube.api import Api, Object
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import DEPLOYMENT

KEY = Key("default", "hello-00001")
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
ASLEEP = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "default"},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE},
}


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    clock = SystemClock()
    store = Store(tmp_path / "store", clock)
    embedded = EmbeddedApi(store, clock)
    await embedded.start()
    yield embedded.in_process()
    await embedded.stop()
    store.close()


async def test_a_write_counts_until_the_cache_has_caught_up(api: Api) -> None:
    cached: Object = await api.create(DEPLOYMENT, ASLEEP, "default")
    scales = Scales(api)
    assert scales.of(KEY, cached) == 0
    await scales.set(KEY, "d", 1)
    assert scales.of(KEY, cached) == 1
    # A label that somebody sets before the write is seen: newer than the cache, older than what was written.
    labelled = {**cached, "metadata": {**cached["metadata"], "labels": {"x": "y"}, "resourceVersion": "999"}}
    assert scales.of(KEY, labelled) == 1
    assert scales.of(KEY, await api.get(DEPLOYMENT, "d", "default")) == 1


async def test_what_others_write_later_counts(api: Api) -> None:
    cached = await api.create(DEPLOYMENT, ASLEEP, "default")
    scales = Scales(api)
    await scales.set(KEY, "d", 1)
    edited = await api.patch(DEPLOYMENT, "d", {"spec": {"replicas": 5}}, "default")
    assert (scales.of(KEY, cached), scales.of(KEY, edited)) == (1, 5)


async def test_a_deployment_made_anew_is_another_one(api: Api) -> None:
    await api.create(DEPLOYMENT, ASLEEP, "default")
    scales = Scales(api)
    await scales.set(KEY, "d", 3)
    await api.delete(DEPLOYMENT, "d", "default")
    assert scales.of(KEY, None) is None
    assert scales.of(KEY, await api.create(DEPLOYMENT, ASLEEP, "default")) == 0
