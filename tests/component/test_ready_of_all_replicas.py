"""Two processes of control, a gateway at each: Ready is the word of both gateways, until a replica is dead."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.kube.api import Api, Object
from eventmesh.kube.resources import KINGRESS, LEASE
from eventmesh.kube.status import condition, is_ready
from eventmesh.xds.control.replicas.own import LABELS
from eventmesh.xds.control.replicas.word import ANNOTATION, Word
from tests.component.embedded_api import served
from tests.component.processes import data_plane
from tests.component.test_control_command import control
from tests.unit.xds.control.views import ingress, rule
from tests.waiting import WAIT_S

LEASE_S = "8"
"""One that is alive on a busy machine renews in time, and a dead one is not waited for long."""


async def route(api: Api, name: str) -> None:
    body = ingress(name, rule(f"{name}.test"))
    body["metadata"]["namespace"] = "default"
    body["spec"]["rules"][0]["http"]["paths"][0]["splits"][0]["serviceNamespace"] = "default"
    await api.create(KINGRESS, {"apiVersion": KINGRESS.api_version, "kind": KINGRESS.kind, **body}, "default")


async def until(api: Api, name: str, holds: Callable[[Object], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds(await api.get(KINGRESS, name, "default")):
            await asyncio.sleep(0.05)


def is_waiting_for(gateway: str) -> Callable[[Object], bool]:
    def holds(obj: Object) -> bool:
        found = condition(obj, "LoadBalancerReady") or {}
        return found.get("status") == "Unknown" and gateway in found["message"]

    return holds


async def everybody_is_known(api: Api) -> None:
    """Return when each of two replicas has told of its gateway, which has everything."""
    selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
    async with asyncio.timeout(WAIT_S):
        while True:
            leases = await api.list(LEASE, "eventmesh-system", label_selector=selector)
            words = [Word.from_json(lease["metadata"]["annotations"][ANNOTATION]) for lease in leases.items]
            if [word.clients for word in words] == [1, 1] and not any(word.waiting for word in words):
                return
            await asyncio.sleep(0.05)


async def test_a_route_is_ready_when_the_gateways_of_both_replicas_have_it_or_their_replica_is_dead(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    async with AsyncExitStack() as stack:
        api_server = await stack.enter_async_context(served(tmp_path))
        api = api_server.api.in_process()
        controls, gateways = [], []
        for number in (1, 2):
            flags = [
                word
                for flag in ("--gateway", "--gateway-tls", "--local")
                for word in (flag, f"127.0.0.1:{unused_tcp_port_factory()}")
            ]
            known = ("--kubeconfig", str(api_server.kubeconfig), "--lease-duration-s", LEASE_S)
            process, port = await stack.enter_async_context(control(*known, *flags))
            controls.append(process)
            tree = client_bootstrap("gateway", f"gateway-{number}", f"127.0.0.1:{port}", "127.0.0.1:0")
            (tmp_path / f"{number}.json").write_text(json.dumps(tree))
            gateways.append(await stack.enter_async_context(data_plane("gateway", tmp_path / f"{number}.json")))
        await everybody_is_known(api)

        for number, gateway in enumerate(gateways, 1):
            gateway.process.send_signal(signal.SIGSTOP)
            await route(api, f"stopped-{number}")
            await until(api, f"stopped-{number}", is_waiting_for(f"gateway-{number}"))
            gateway.process.send_signal(signal.SIGCONT)
            await until(api, f"stopped-{number}", is_ready)

        # Whichever of them leads: the other goes on without it, and without the gateway that was only there.
        gateways[1].process.send_signal(signal.SIGSTOP)
        await route(api, "left")
        await until(api, "left", is_waiting_for("gateway-2"))
        controls[1].kill()
        await until(api, "left", is_ready)
