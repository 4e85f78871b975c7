"""Public conformance data (cloudevents/spec, cloudevents/conformance), which this repository does not carry.

`EVENTMESH_CONFORMANCE_DATA` names the folder that holds it; continuous integration always has it, and fails without.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("EVENTMESH_CONFORMANCE_DATA", "conformance-data"))

needs_data = pytest.mark.skipif(
    "EVENTMESH_CONFORMANCE_DATA" not in os.environ,
    reason="public conformance data is not part of this repository: let EVENTMESH_CONFORMANCE_DATA name it",
)
