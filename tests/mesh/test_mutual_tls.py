"""mTLS between the workloads of a real mesh: there from the first answer; beside clear text, or by one switch alone."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from cryptography import x509

from eventmesh.kube.resources import PEER_AUTHENTICATION, POD
from tests.mesh.objects import add_function, deploy, service
from tests.mesh.processes import MeshProcess
from tests.waiting import WAIT_S

PORT = 8012
STRICT = {"metadata": {"name": "default"}, "spec": {"mtls": {"mode": "STRICT"}}}


def shown_by(address: str) -> str:
    """Return the SPIFFE id in the certificate that a sidecar shows, also to somebody who has none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((address, PORT), WAIT_S) as plain, context.wrap_socket(plain) as secured:
        found = secured.getpeercert(binary_form=True)
    assert found is not None
    names = x509.load_der_x509_certificate(found).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    (name,) = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return str(name)


async def answer_in_clear_text(address: str) -> bytes:
    """Return the first bytes that a sidecar answers to a plain request; a TLS alert when it demands TLS."""
    reader, writer = await asyncio.open_connection(address, PORT)
    writer.write(b"GET / HTTP/1.1\r\nhost: hello\r\n\r\n")
    try:
        return await reader.read(12)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_strict_leaves_functions_reachable_through_the_mesh_alone(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", initial_scale="1", min_scale="1"))
        (pod,) = (await api.list(POD, "default")).items
        address: str = pod["status"]["podIP"]
        assert await asyncio.to_thread(shown_by, address) == "spiffe://cluster.local/ns/default/sa/default"
        assert await answer_in_clear_text(address) == b"HTTP/1.1 200"
        await api.create(PEER_AUTHENTICATION, STRICT, "eventmesh-system")
        async with asyncio.timeout(WAIT_S):
            while (await answer_in_clear_text(address)).startswith(b"HTTP"):
                await asyncio.sleep(0.05)
        assert (await mesh.get("hello")).status == 200
        # What starts now is strict from its first moment on: control has not been heard yet.
        await deploy(api, service("later", initial_scale="1", min_scale="1"))
        (pod,) = (await api.list(POD, "default", label_selector="serving.knative.dev/service=later")).items
        assert not (await answer_in_clear_text(pod["status"]["podIP"])).startswith(b"HTTP")
        assert (await mesh.get("later")).status == 200
