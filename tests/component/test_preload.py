"""What a process may do before it forks sidecars."""

import asyncio
import json
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
import sys
import eventmesh.sidecar.preload
known = set(sys.modules)
from eventmesh.xds.bootstrap import load_bootstrap
from eventmesh.xds.client.inbound import first_terms
assert first_terms(load_bootstrap(sys.argv[1])) is not None
print(*sorted(name for name in set(sys.modules) - known if name.startswith('eventmesh')))
"""


async def test_a_sidecar_with_an_identity_imports_nothing_when_it_begins(tmp_path: Path) -> None:
    identities = Identities(OwnAuthority(RootFiles(tmp_path), SystemClock()), SystemClock(), "cluster.local")
    issued, control = identities.current(identities.of("shop", "cart")), identities.parts.control
    plain = bootstrap("sidecar", "pod", "127.0.0.1:0", "127.0.0.1:1", namespace="shop")
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(with_identity(plain, issued, identities.bundle(), control, MtlsMode.PERMISSIVE)))
    null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    async with program(sys.executable, "-c", BEGIN, str(file), stdin=null, stdout=pipe) as process:
        said, _ = await process.communicate()
    assert (process.returncode, said.split()) == (0, [])
