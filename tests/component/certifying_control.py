"""`eventmesh control` that certifies, beside an API whose accounts ask it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eventmesh.kube.api import Api
from eventmesh.kube.resources import SERVICE_ACCOUNT
from eventmesh.xds.control.certification import AUDIENCE
from tests.component.embedded_api import Served
from tests.component.processes import START_TIMEOUT_S, program

_LINE = re.compile(r"ADS under mTLS on (\d+), certificates on (\d+)")


@dataclass(frozen=True, slots=True)
class CertifyingControl:
    """A running process, and its ports."""

    process: asyncio.subprocess.Process
    ads: int
    secured: int
    certificates: int


@asynccontextmanager
async def certifying_control(
    api: Served, *flags: str, ads: int = 0, secured: int = 0, certificates: int = 0
) -> AsyncIterator[CertifyingControl]:
    """Run the command until the block ends; with ports of 0, on free ones."""
    async with program(
        *(sys.executable, "-m", "eventmesh.cli.main", "control", "--kubeconfig", str(api.kubeconfig)),
        *("--address", f"127.0.0.1:{ads}", "--secured-address", f"127.0.0.1:{secured}"),
        *("--certificate-address", f"127.0.0.1:{certificates}", "--admin-address", "127.0.0.1:0"),
        *("--ca", "embedded", *flags),
        stdout=asyncio.subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            plain = (await process.stdout.readline()).decode()
            found = _LINE.search((await process.stdout.readline()).decode())
        assert found is not None
        yield CertifyingControl(process, int(plain.rpartition(":")[2]), int(found[1]), int(found[2]))


async def token(api: Api, namespace: str, account: str, audience: str = AUDIENCE) -> str:
    """Return a token of a service account, as a kubelet asks for it."""
    review = {"metadata": {"name": account, "namespace": namespace}, "spec": {"audiences": [audience]}}
    answer = await api.create(SERVICE_ACCOUNT, review, namespace, subresource="token")
    found: str = answer["status"]["token"]
    return found
