"""Objects that tests apply, and waiting for what they become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import CONFIG_MAP, KSERVICE
from eventmesh.kube.status import condition
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

SLEEP_WAIT_S = WAIT_S + 30.0
"""Twelve seconds pass before a function goes to sleep at the earliest (a window and a grace, of six each), and on a
busy machine as many again until it has ended."""

FUNCTION = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{os.environ['K_REVISION']} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        print("asked for", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def add_function(mesh: MeshProcess, directory: Path, name: str = "hello", program: str = FUNCTION) -> None:
    """Make `dev.local/NAME` from one program."""
    directory.mkdir(exist_ok=True)
    (directory / "function.py").write_text(program)
    mesh.add_image(name, directory)


def service(name: str, image: str = "dev.local/hello", **annotations: str) -> Object:
    """Return a Knative Service; annotations are the autoscaler's."""
    marks = {f"autoscaling.knative.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    template = {"metadata": {"annotations": marks}, "spec": {"containers": [{"image": image}]}}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template},
    }


async def deploy(api: HttpApi, wanted: Object) -> Object:
    """Create a Service and return it once it is Ready."""
    await api.create(KSERVICE, wanted, "default")
    return await until(api, KSERVICE, wanted["metadata"]["name"], lambda obj: _is(obj, "Ready", "True"))


async def sleep_soon(api: HttpApi) -> None:
    """Let functions go to sleep as soon as Knative allows it at all."""
    await configure_autoscaler(api, {"scale-to-zero-grace-period": "6s"})


async def configure_autoscaler(api: HttpApi, settings: dict[str, str]) -> None:
    """Set fields of config-autoscaler; those who go by them hear of it a moment later."""
    namespace = "knative-serving"
    try:
        await api.patch(CONFIG_MAP, "config-autoscaler", {"data": settings}, namespace)
    except ApiError as error:
        if not error.not_found:
            raise
        await api.create(CONFIG_MAP, {"metadata": {"name": "config-autoscaler"}, "data": settings}, namespace)


async def until(api: HttpApi, resource: Resource, name: str, holds: Callable[[Object], bool]) -> Object:
    """Return the object as soon as `holds`."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                found = await api.get(resource, name, "default")
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                if holds(found):
                    return found
            await asyncio.sleep(0.02)


async def until_none(api: HttpApi, resource: Resource, label_selector: str = "") -> None:
    """Return when no (such) object of the kind is left in the default namespace; of pods that go to sleep, too."""
    async with asyncio.timeout(SLEEP_WAIT_S):
        while (await api.list(resource, "default", label_selector=label_selector)).items:
            await asyncio.sleep(0.05)


def _is(obj: Object, kind: str, status: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found["status"] == status
