"""What a sidecar reads from its environment."""

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.listener import WireProtocol
from eventmesh.sidecar.environment import DRAIN_QUIET_S, MAX_CONCURRENCY, ignored, read_pod
from eventmesh.sidecar.readiness import ProbeKind


def test_without_a_user_port_there_is_no_function() -> None:
    assert read_pod({"QUEUE_SERVING_PORT": "8012"}) is None


def test_knatives_variables_describe_the_pod() -> None:
    pod = read_pod(
        {
            "USER_PORT": "8080",
            "QUEUE_SERVING_PORT": "8013",
            "CONTAINER_CONCURRENCY": "10",
            "REVISION_TIMEOUT_SECONDS": "60",
            "SERVING_NAMESPACE": "default",
            "SERVING_REVISION": "hello-00001",
            "SERVING_POD": "hello-00001-x",
            "SERVING_POD_IP": "127.64.0.17",
            "SERVING_READINESS_PROBE": '{"httpGet":{"path":"/healthz","port":8080}}',
            "EVENTMESH_USER_PROTOCOL": "h2c",
            "NOTIFY_SOCKET": "/run/n",
        }
    )
    assert pod is not None
    assert (pod.user_port, pod.serving_port, pod.concurrency, pod.timeout_s) == (8080, 8013, 10, 60.0)
    assert (pod.namespace, pod.revision, pod.name, pod.ip) == ("default", "hello-00001", "hello-00001-x", "127.64.0.17")
    assert pod.user_protocol is WireProtocol.HTTP2
    assert (pod.probe.kind, pod.probe.path) == (ProbeKind.HTTP, "/healthz")
    assert (pod.notify_socket, pod.drain_quiet_s) == ("/run/n", DRAIN_QUIET_S)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USER_PORT", "http"),
        ("USER_PORT", "0"),
        ("USER_PORT", "65536"),
        ("QUEUE_SERVING_PORT", "-1"),
        ("CONTAINER_CONCURRENCY", str(MAX_CONCURRENCY + 1)),
        ("REVISION_TIMEOUT_SECONDS", "300s"),
        ("SERVING_POD_IP", "localhost"),
        ("EVENTMESH_USER_PROTOCOL", "SPDY/3"),
        ("EVENTMESH_DRAIN_QUIET_S", "-1"),
        ("EVENTMESH_DRAIN_QUIET_S", "soon"),
        ("SERVING_READINESS_PROBE", "{"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_pod({"USER_PORT": "8080", name: value})
    assert refused.value.path == name


@pytest.mark.parametrize(
    ("ip", "netns", "host"),
    [
        ("127.64.0.17", "", "127.64.0.17"),  # pods share a loopback: each needs an address of its own
        ("127.64.0.17", "/run/netns/p", "127.0.0.1"),
        ("10.2.3.4", "", "127.0.0.1"),
    ],
)
def test_the_function_finds_the_mesh_on_a_loopback_of_its_own(ip: str, netns: str, host: str) -> None:
    pod = read_pod({"USER_PORT": "1", "SERVING_POD_IP": ip, "EVENTMESH_POD_NETNS": netns})
    assert pod is not None and pod.outbound_host == host


def test_what_is_asked_for_and_not_done_is_named() -> None:
    asked = {"REVISION_IDLE_TIMEOUT_SECONDS": "5", "REVISION_RESPONSE_START_TIMEOUT_SECONDS": "0"}
    assert ignored(asked) == ("REVISION_IDLE_TIMEOUT_SECONDS",)
    assert ignored({}) == ()


@pytest.mark.parametrize(
    ("word", "protocol", "declaration"),
    [
        ("http1", WireProtocol.DOWNSTREAM, ""),
        ("bolt", WireProtocol.BOLT, ""),
        ("dubbo", WireProtocol.DUBBO, ""),
        ("dubbo-thrift", WireProtocol.FRAMED, "dubbo-thrift"),
    ],
)
def test_what_no_protocol_is_called_is_one_that_somebody_declares(
    word: str, protocol: WireProtocol, declaration: str
) -> None:
    pod = read_pod({"USER_PORT": "1", "EVENTMESH_USER_PROTOCOL": word})
    assert pod is not None and (pod.user_protocol, pod.user_declaration) == (protocol, declaration)
