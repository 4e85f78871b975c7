"""The snapshot of a pod, as far as it depends on the kind of pod."""

import pytest

from eventmesh.model.listener import WireProtocol
from eventmesh.model.route import DirectResponse, Forward
from eventmesh.sidecar.environment import Pod
from eventmesh.sidecar.function import function_snapshot
from eventmesh.sidecar.inbound import PENDING_PER_SLOT, USER

BOLT = WireProtocol.BOLT


@pytest.mark.parametrize(
    ("pod", "ports"),
    [
        (Pod(8080), {"inbound": 8012, "inbound-h2c": 8013, "stat": 9090, "queue-admin": 8022}),
        (Pod(8080, serving_port=80), {"inbound": 80, "stat": 9090, "queue-admin": 8022}),
        (Pod(9090, serving_port=9090), {"inbound": 9090, "queue-admin": 8022}),
        (
            Pod(12200, BOLT),
            {"inbound": 8012, "inbound-h2c": 8013, "inbound-bolt": 12200, "stat": 9090, "queue-admin": 8022},
        ),
        (Pod(12200, BOLT, serving_port=12200), {"inbound-bolt": 12200, "stat": 9090, "queue-admin": 8022}),
    ],
)
def test_a_pod_listens_where_its_callers_look(pod: Pod, ports: dict[str, int]) -> None:
    snapshot = function_snapshot(pod)
    listening = {listener.name: int(listener.address.rpartition(":")[2]) for listener in snapshot.listeners}
    assert listening == ports | {"outbound": 15001, "outbound-bolt": 12220}


def test_every_route_table_and_cluster_that_is_named_exists() -> None:
    for pod in (Pod(8080), Pod(12200, BOLT)):
        snapshot = function_snapshot(pod)
        tables = {table.name for table in snapshot.route_tables}
        clusters = {cluster.name for cluster in snapshot.clusters}
        assert {listener.route_table for listener in snapshot.listeners} <= tables
        for table in snapshot.route_tables:
            for host in table.virtual_hosts:
                for route in host.routes:
                    if isinstance(route.action, Forward):
                        assert {share.name for share in route.action.clusters} <= clusters


def test_concurrency_bounds_what_runs_and_what_waits() -> None:
    user = next(cluster for cluster in function_snapshot(Pod(8080, concurrency=7)).clusters if cluster.name == USER)
    assert (user.max_requests_per_endpoint, user.max_pending) == (7, 7 * PENDING_PER_SLOT)


def test_http_to_a_bolt_function_is_told_what_it_speaks() -> None:
    table = next(table for table in function_snapshot(Pod(12200, BOLT)).route_tables if table.name == "inbound")
    answer = table.virtual_hosts[0].routes[-1].action
    assert isinstance(answer, DirectResponse) and "Bolt" in answer.body
