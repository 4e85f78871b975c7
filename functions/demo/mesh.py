"""The mesh of the demo: an `eventmesh up` of its own, on free ports, in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

READY_WITHIN_S = 30.0
EVENTMESH = (sys.executable, "-m", "eventmesh.cli.main")


class MeshProcess:
    """A started `eventmesh up`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        self.log = directory / "up.log"
        # A file and not a pipe: with KEEP=1 the mesh outlives the demo and goes on writing.
        with self.log.open("wb") as output:
            argv = [*EVENTMESH, "up", "--data-dir", str(directory), "--port", "0", "--gateway-port", "0"]
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
        try:
            self.gateway = self._wait_until_ready()
        except BaseException:
            self.process.kill()
            raise

    def _wait_until_ready(self) -> str:
        """Return the gateway's `host:port`; raises SystemExit with the mesh's own words when it does not start."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"http://NAME\.NAMESPACE\.localhost:(\d+)", self.log.read_text())
            if found and self.kubeconfig.exists():
                return f"127.0.0.1:{found.group(1)}"
            time.sleep(0.02)
        raise SystemExit(f"demo: the mesh did not start:\n{self.log.read_text()}")

    def environment(self) -> dict[str, str]:
        """Return the variables with which kn, kubectl and eventmesh find this mesh."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "EVENTMESH_DATA_DIR": str(self.directory)}

    def stop(self) -> None:
        """Stop the mesh as Ctrl-C does, and wait until everything it started has ended."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
