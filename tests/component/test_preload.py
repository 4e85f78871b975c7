"""What a process may do before it forks sidecars."""

import asyncio
import sys

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
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.split() == [b"1", b"0", b"0"]
