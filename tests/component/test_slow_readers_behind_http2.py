"""Clients that do not take their answers from an endpoint that speaks HTTP/2: its windows bound what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.component.http2_endpoint import Http2Endpoint
from tests.component.test_hostile_clients import ALLOWED_KIB
from tests.component.test_slow_tls_readers import BODIES, KINDS, Kind, cost_kib


# With nothing that bounds their windows together, 50 streams on 16 connections cost 204 MiB.
@pytest.mark.parametrize("secure", [False, True], ids=["clear text", "TLS"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_readers_that_take_nothing_cost_no_more_behind_http2_and_a_polite_client_is_served(
    kind: Kind, secure: bool, tmp_path: Path
) -> None:
    assert await cost_kib(kind, Http2Endpoint(BODIES), tmp_path, secure=secure, http2=True) < ALLOWED_KIB
