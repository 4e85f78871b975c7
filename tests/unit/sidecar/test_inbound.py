"""The snapshot of a pod, as far as it depends on the kind of pod."""

import pytest

from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.route import DirectResponse, Forward
from eventmesh.model.tracing import Traffic
from eventmesh.sidecar.environment import Pod
from eventmesh.sidecar.function import function_snapshot
from eventmesh.sidecar.inbound import PENDING_PER_SLOT, USER, declared
from eventmesh.sidecar.outbound import placed

BOLT, DUBBO, FRAMED = WireProtocol.BOLT, WireProtocol.DUBBO, WireProtocol.FRAMED


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
        (
            Pod(7000, DUBBO),
            {"inbound": 8012, "inbound-h2c": 8013, "inbound-dubbo": 20880, "stat": 9090, "queue-admin": 8022},
        ),
        (Pod(7000, DUBBO, serving_port=7000), {"inbound-dubbo": 7000, "stat": 9090, "queue-admin": 8022}),
        (Pod(7000, FRAMED, "lamp"), {"inbound": 8012, "inbound-h2c": 8013, "stat": 9090, "queue-admin": 8022}),
        (Pod(12200, BOLT, serving_port=12200), {"inbound-bolt": 12200, "stat": 9090, "queue-admin": 8022}),
    ],
)
def test_a_pod_listens_where_its_callers_look(pod: Pod, ports: dict[str, int]) -> None:
    snapshot = function_snapshot(pod)
    listening = {listener.name: int(listener.address.rpartition(":")[2]) for listener in snapshot.listeners}
    assert listening == ports | {"outbound": 15001, "outbound-bolt": 12220, "outbound-dubbo": 20882}


def test_every_route_table_and_cluster_that_is_named_exists() -> None:
    for pod in (Pod(8080), Pod(12200, BOLT), Pod(20880, DUBBO), Pod(7000, FRAMED, "lamp")):
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


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (Pod(12200, BOLT), "Bolt, on port 12200"),
        (Pod(7000, DUBBO), "Dubbo, on port 20880"),
        (Pod(7000, FRAMED, "lamp"), "lamp, on port 7000"),
    ],
)
def test_http_to_a_function_that_speaks_frames_is_told_what_it_speaks(pod: Pod, told: str) -> None:
    table = next(table for table in function_snapshot(pod).route_tables if table.name == "inbound")
    answer = table.virtual_hosts[0].routes[-1].action
    assert isinstance(answer, DirectResponse) and told in answer.body


def test_a_declared_protocol_is_served_where_callers_look_once_it_is_declared() -> None:
    declaration = Declaration("lamp", "{}")
    listener = declared(Pod(7000, FRAMED, "lamp", ip="127.64.0.9"), declaration)
    assert (listener.address, listener.route_table) == ("127.64.0.9:7000", "inbound-lamp")
    assert listener.declarations == (declaration,)


def test_a_listener_of_control_is_placed_where_the_function_dials() -> None:
    sent = Listener("outbound-lamp", "127.0.0.1:7100", "declared/lamp", traffic=Traffic.OUTBOUND)
    assert placed(sent, Pod(7000, netns="/run/netns/pod")) == sent
    moved = placed(sent, Pod(7000, ip="127.64.0.9"))
    assert moved is not None and moved.address == "127.64.0.9:7100"
    assert placed(sent, Pod(7100, netns="/run/netns/pod")) is None
    inward = Listener("edge", "127.0.0.1:7100", "all")
    assert placed(inward, Pod(7100)) is inward
