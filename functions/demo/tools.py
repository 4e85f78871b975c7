"""What a user has at hand: kn and kubectl when they are on PATH, eventmesh's own commands otherwise."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.demo.mesh import EVENTMESH, MeshProcess


@dataclass(frozen=True)
class Answer:
    """An HTTP answer and how long it took."""

    status: int
    headers: dict[str, str]
    body: str
    ms: float


@dataclass(frozen=True)
class Line:
    """A line of a function's log, and when it was written."""

    at: datetime
    text: str


class Tools:
    """Runs commands against one mesh."""

    def __init__(self, mesh: MeshProcess) -> None:
        self._mesh = mesh
        self.kn = shutil.which("kn")
        self.kubectl = shutil.which("kubectl")

    def describe(self) -> str:
        """Say which commands are used."""
        used = [name for name, path in (("kn", self.kn), ("kubectl", self.kubectl)) if path]
        return f"with {' and '.join(used)}" if used else "with eventmesh's own commands (no kn, no kubectl on PATH)"

    def eventmesh(self, *words: str) -> str:
        """Run an eventmesh command."""
        return self._run([*EVENTMESH, *words])

    def apply(self, manifest: Path) -> None:
        """Apply a manifest."""
        if self.kubectl:
            self._run([self.kubectl, "apply", "-f", str(manifest)])
        else:
            self.eventmesh("apply", "-f", str(manifest))

    def create_service(self, name: str, image: str, manifest: Path) -> str:
        """Create a function as its README says; return what the command printed last."""
        if self.kn:
            done = self._run([self.kn, "service", "create", name, "--image", image, "--env", "TARGET=mesh"])
            return done.strip().splitlines()[-1]
        self.apply(manifest)
        return f"applied {manifest.name}"

    def get(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind in the default namespace."""
        if self.kubectl:
            listed = json.loads(self._run([self.kubectl, "get", kind, "-o", "json"]))
            items: list[dict[str, Any]] = listed["items"]
            return items
        objects: list[dict[str, Any]] = json.loads(self.eventmesh("get", kind, "-o", "json"))
        return objects

    def logs(self, service: str) -> list[Line]:
        """Return what the pods of a function have written; nothing while it is asleep."""
        if self.kubectl:
            selector = f"serving.knative.dev/service={service}"
            flags = ["-l", selector, "-c", "user-container", "--tail=-1", "--timestamps"]
            text = self._run([self.kubectl, "logs", *flags])
        else:
            text = self.eventmesh("logs", service, "--timestamps")
        stamped = [line.partition(" ") for line in text.splitlines()]
        return [Line(datetime.fromisoformat(stamp), words) for stamp, _, words in stamped if words]

    def send(self, broker: str, event_type: str, data: object, *flags: str) -> str:
        """Put an event into a broker; return what the broker said, and how soon."""
        words = ("--broker", broker, "--type", event_type, "--data", json.dumps(data))
        return self.eventmesh("send", *words, *flags).strip().rpartition(" (")[2].rstrip(")")

    def call(self, service: str, path: str = "/") -> Answer:
        """Send an HTTP request to a function, through the gateway."""
        connection = http.client.HTTPConnection(self._mesh.gateway, timeout=60)
        began = time.monotonic()
        connection.request("GET", path, headers={"Host": f"{service}.default.localhost"})
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return Answer(response.status, dict(response.getheaders()), body, (time.monotonic() - began) * 1000)

    def _run(self, argv: list[str]) -> str:
        done = subprocess.run(argv, env=self._mesh.environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"demo: {' '.join(argv)} failed ({done.returncode}):\n{done.stderr}{done.stdout}")
        return done.stdout
