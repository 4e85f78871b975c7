"""What services still say with `append`, which `append_action` has overtaken: as Envoy (1.40) understands it."""

from __future__ import annotations

import warnings

from tests.unit.core.requests import GET, OK
from tests.unit.core.test_authz import GRPC, SERVER, mesh_with, ok, option, says_by_grpc


def test_what_is_appended_stands_behind_what_is_set_and_is_a_line_of_its_own_in_an_answer() -> None:
    mesh = mesh_with(GRPC)
    client = mesh.connect()
    client.says(GET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        headers = [option("x-one", "2", append=True), option("x-one", "1", append=False)]
        nowhere = option("x-nil", "1", append=True)
        says_by_grpc(
            mesh, ok(headers=[*headers, nowhere], response_headers_to_add=[option("x-told", "1", append=True)])
        )
    server = mesh.dialled(SERVER)
    sent = server.takes().decode()
    assert "x-one: 1,2\r\n" in sent and "x-nil" not in sent
    server.says(OK)
    assert "x-told: 1\r\n" in client.takes().decode()
