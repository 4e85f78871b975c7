"""The KIngress hash is the one Knative's own code computes (vectors recorded from knative.dev/networking)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eventmesh.xds.control.ingress_hash import ingress_hash

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "kingress_hash.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_hash_is_knatives_own(vector: dict[str, Any]) -> None:
    assert ingress_hash(vector["spec"], vector["namespace"], vector["name"]) == vector["hash"]
