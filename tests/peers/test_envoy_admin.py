"""The admin port tells what Envoy's tells, in the same shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventmesh.dataplane.admin import listener_statuses
from tests.peers.pairs import document, pair_on

pytestmark = pytest.mark.peer


async def test_both_tell_alike_where_they_listen(tmp_path: Path) -> None:
    hosts = [
        {"name": "h", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}
    ]
    async with pair_on(document(hosts, []), tmp_path) as pair:
        theirs = json.dumps(await pair.admin.admin("/listeners?format=json"))
        ours = listener_statuses(pair.plane.addresses())
    assert ours == json.loads(theirs.replace(str(pair.envoy.port), str(pair.mesh.port)))
