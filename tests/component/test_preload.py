"""What a process may do before it forks sidecars."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.processes import program

POD = "127.93.16.5"
"""Where the sidecar of this file's test listens, at Knative's ports."""

CODE = """
import os, sys

def open_files():
    return set(os.listdir('/proc/self/fd'))

before = open_files()
import eventmesh.sidecar.preload
opened = [fd for fd in open_files() - before if os.path.exists('/proc/self/fd/' + fd)]
heavy = {'aiohttp', 'kubernetes', 'envoy_data_plane'} & set(sys.modules)
print(len(os.listdir('/proc/self/task')), len(opened), len(heavy))
"""


async def test_preloading_starts_no_thread_opens_no_file_and_loads_nothing_heavy() -> None:
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    async with program(sys.executable, "-c", CODE, stdin=null, stdout=pipe) as process:
        said, _ = await process.communicate()
    assert said.split() == [b"1", b"0", b"0"]


BEGIN = """
import os, signal, sys
import eventmesh.cli.main, eventmesh.cli.sidecar, eventmesh.sidecar.preload
from eventmesh.base import late_methods
from eventmesh.sidecar import function
write, written, known = late_methods.compiled, [], set(sys.modules)

def note(made, name, *rest):
    written.append(made.__qualname__)
    return write(made, name, *rest)

def ready(path, message):
    modules = sorted(set(sys.modules) - known)
    print(message, *modules, *written, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    function.notify = lambda *ignored: None

late_methods.compiled = note
function.notify = ready
with late_methods.written_at_once():  # so that the first of a class is noted, and not the forty-ninth
    sys.exit(eventmesh.cli.main.main(['sidecar', '--bootstrap', sys.argv[1]]))
"""


async def test_a_sidecar_imports_and_writes_nothing_until_it_is_ready(tmp_path: Path) -> None:
    """What it names belongs into `sidecar.preload` or `sidecar.rehearsal`."""
    identities = Identities(OwnAuthority(RootFiles(tmp_path), SystemClock()), SystemClock(), "cluster.local")
    issued, control = identities.current(identities.of("shop", "cart")), identities.parts.control
    plain = bootstrap("sidecar", "pod", f"{POD}:15000", "127.0.0.1:1", namespace="shop")
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(with_identity(plain, issued, identities.bundle(), control, MtlsMode.PERMISSIVE)))
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    with socket.create_server(("127.0.0.1", 0)) as function:
        probe = {"tcpSocket": {"host": "127.0.0.1", "port": function.getsockname()[1]}}
        pod = {"USER_PORT": str(function.getsockname()[1]), "SERVING_POD_IP": POD, "EVENTMESH_DRAIN_QUIET_S": "0.01"}
        env = {**os.environ, **pod, "SERVING_READINESS_PROBE": json.dumps(probe)}
        async with program(sys.executable, "-c", BEGIN, str(file), env=env, stdin=null, stdout=pipe) as process:
            said, _ = await process.communicate()
    assert (process.returncode, said.split()) == (0, [b"READY=1"])
