"""Bootstraps of the mesh's own data planes, read by the reader that the data planes use."""

from __future__ import annotations

import json

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.xds.bootstrap import parse_bootstrap


def test_a_data_plane_reads_its_bootstrap_without_a_warning() -> None:
    read = parse_bootstrap(json.dumps(bootstrap("gateway", "g1", "127.0.0.1:15000", "127.0.0.1:18000", zone="a")))
    assert read.warnings == ()
    assert (read.node.id, read.node.metadata) == ("g1", {"role": "gateway", "zone": "a"})
    assert read.admin == "127.0.0.1:15000"
    assert read.ads is not None
    assert (read.ads.cluster, read.ads.authority, read.ads.delta) == ("control", "127.0.0.1:18000", True)
