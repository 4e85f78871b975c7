"""What is told of a client: how far it has come with each type, and what it refused in its own words."""

from __future__ import annotations

from eventmesh.xds.control.messages import Node
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.resources import set_version
from eventmesh.xds.control.status import Connection, connection_status
from eventmesh.xds.control.subscriptions import Variant
from tests.unit.xds.control.dialogue import CDS, RDS, Client, resource


def connected() -> Client:
    client = Client(Variant.DELTA, resource(CDS, "c"), resource(RDS, "t"))
    client.stream.node = Node("pod-1", metadata={"role": "sidecar", "namespace": "shop"})
    client.subscribe(CDS)
    client.settle()
    return client


def test_a_client_is_told_with_its_versions_and_what_it_owes() -> None:
    client = connected()
    found = connection_status(Connection(client.stream, "127.0.0.1:1", 2.0), 5.0)
    assert (found["node"], found["role"], found["namespace"]) == ("pod-1", "sidecar", "shop")
    assert (found["variant"], found["connectedSeconds"]) == ("delta", 3.0)
    version = set_version([resource(CDS, "c")])
    assert found["types"]["cds"] == {"state": "SYNCED", "version": version, "resources": 1}
    assert found["types"]["rds"]["state"] == "NOT_ASKED"
    client.publish(resource(CDS, "c", "2"), resource(RDS, "t"))
    client.push()
    assert connection_status(Connection(client.stream, "", 0.0), 0.0)["types"]["cds"]["state"] == "STALE"


def test_a_refusal_is_told_with_its_resources_and_reason_until_it_is_mended() -> None:
    client = connected()
    client.publish(resource(CDS, "c", "2"), resource(RDS, "t"))
    client.nack(client.push(), "c has no port")
    found = connection_status(Connection(client.stream, "", 0.0), 0.0)["types"]["cds"]
    assert (found["state"], found["refused"], found["reason"]) == ("ERROR", ["c"], "c has no port")
    assert found["version"] == set_version([resource(CDS, "c")])
    client.publish(resource(CDS, "c", "3"), resource(RDS, "t"))
    client.settle()
    mended = connection_status(Connection(client.stream, "", 0.0), 0.0)["types"]["cds"]
    assert mended["state"] == "SYNCED" and "reason" not in mended


def test_counters_and_durations_are_prometheus_text() -> None:
    metrics = Metrics()
    metrics.refusals["rds"] += 2
    for seconds in (0.0004, 0.004, 20.0):
        metrics.push.observe(seconds)
    lines = metrics.render({"sidecar": 3}, {"generation": 7.0}).splitlines()
    assert 'eventmesh_control_nacks_total{type="rds"} 2' in lines
    assert 'eventmesh_control_streams{role="sidecar"} 3' in lines
    assert "eventmesh_control_generation 7" in lines
    assert 'eventmesh_control_push_seconds_bucket{le="0.0005"} 1' in lines
    assert 'eventmesh_control_push_seconds_bucket{le="0.005"} 2' in lines
    assert 'eventmesh_control_push_seconds_bucket{le="+Inf"} 3' in lines
    assert "eventmesh_control_push_seconds_sum 20.004400" in lines
