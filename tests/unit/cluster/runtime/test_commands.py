"""What is executed for the containers of a pod."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.commands import DRAIN_QUIET_S, Place, function_command, sidecar_command
from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.process import Network
from eventmesh.kube.api import Object

OWN_NETWORK = Place("127.64.0.20", podspec.UserPort(9000), Network(7, "/proc/1/fd/7"))
HOST_NETWORK = Place("127.64.0.20", podspec.UserPort(43_210), None)
IMAGE = Image("hello", f"sha256:{'0' * 64}", Path("/images/hello"), (sys.executable, "main.py"), ("-v",), {"MODE": "x"})


class NoReferences:
    """Nothing to refer to."""

    def config_map(self, namespace: str, name: str) -> Object | None:
        return None

    def secret(self, namespace: str, name: str) -> Object | None:
        return None


def pod(container: dict[str, Any] | None = None, *more: Object, labels: dict[str, str] | None = None) -> Object:
    app = {"name": "app", "image": "dev.local/hello", "ports": [{"containerPort": 9000}], **(container or {})}
    metadata = {"name": "p-1", "namespace": "shop", "uid": "u", "labels": labels or {}}
    return {"metadata": metadata, "spec": {"containers": [app, *more]}}


def function(container: dict[str, Any] | None = None, place: Place = OWN_NETWORK) -> Any:
    whole = pod(container)
    return function_command(whole, whole["spec"]["containers"][0], IMAGE, place, NoReferences())


def sidecar(whole: Object, place: Place = OWN_NETWORK) -> dict[str, str]:
    return dict(sidecar_command(whole, place, "/run/notify", Path("/b.json"), NoReferences()).env)


def test_a_function_runs_the_command_of_its_image_in_its_directory() -> None:
    command = function()
    assert command.argv == (sys.executable, "main.py", "-v")
    assert command.workdir == "/images/hello"
    assert (command.env["PORT"], command.env["MODE"], command.env["HOSTNAME"]) == ("9000", "x", "p-1")


def test_the_program_of_an_image_is_found_wherever_the_container_works() -> None:
    image = dataclasses.replace(IMAGE, command=("./bin/server", "-v"))
    whole = pod({"workingDir": "/tmp"})
    command = function_command(whole, whole["spec"]["containers"][0], image, OWN_NETWORK, NoReferences())
    assert (command.argv[0], command.workdir) == ("/images/hello/bin/server", "/tmp")
    assert function({"command": ["./other"], "workingDir": "/tmp"}).argv[0] == "./other"


def test_command_and_args_of_the_container_replace_those_of_the_image_as_in_kubernetes() -> None:
    assert function({"args": ["-q"]}).argv == (sys.executable, "main.py", "-q")
    assert function({"command": ["./other"]}).argv == ("./other",)
    named = {"command": ["echo"], "args": ["$(WHO)", "$$(WHO)"], "env": [{"name": "WHO", "value": "me"}]}
    assert function(named).argv == ("echo", "me", "$(WHO)")


def test_what_a_function_sends_goes_to_its_sidecar() -> None:
    assert function().env["HTTP_PROXY"] == "http://127.0.0.1:15001"
    assert function(place=HOST_NETWORK).env["HTTP_PROXY"] == "http://127.64.0.20:15001"


def test_on_the_hosts_network_a_function_gets_a_free_port_whatever_it_asked_for() -> None:
    assert function({"env": [{"name": "PORT", "value": "9000"}]}, HOST_NETWORK).env["PORT"] == "43210"


def test_the_environment_of_the_mesh_itself_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "AWS_SECRET_ACCESS_KEY" not in function().env


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"livenessProbe": {"tcpSocket": {"port": "web"}}}, "livenessProbe.tcpSocket.port"),
        ({"startupProbe": {"httpGet": {}, "grpc": {}}}, "startupProbe: must have one action"),
    ],
)
def test_what_a_process_cannot_have_is_refused_by_name(asked: dict[str, Any], named: str) -> None:
    with pytest.raises(ContainerConfigError) as refusal:
        function(asked)
    assert named in str(refusal.value)


def test_only_the_container_that_requests_go_to_gets_a_port() -> None:
    helper = {"name": "helper", "image": "dev.local/hello"}
    whole = pod(None, helper)
    whole["spec"]["initContainers"] = [{"name": "first", "image": "dev.local/hello"}]
    for container in (helper, whole["spec"]["initContainers"][0]):
        env = function_command(whole, container, IMAGE, OWN_NETWORK, NoReferences()).env
        assert "PORT" not in env
        assert env["HTTP_PROXY"] == "http://127.0.0.1:15001"


def test_a_sidecar_learns_where_the_function_is_and_whom_to_tell() -> None:
    env = sidecar(pod())
    assert {name: env[name] for name in ("USER_PORT", "SERVING_POD", "SERVING_POD_IP", "SERVING_NAMESPACE")} == {
        "USER_PORT": "9000",
        "SERVING_POD": "p-1",
        "SERVING_POD_IP": "127.64.0.20",
        "SERVING_NAMESPACE": "shop",
    }
    assert (env["NOTIFY_SOCKET"], env["EVENTMESH_POD_NETNS"]) == ("/run/notify", "/proc/1/fd/7")
    assert env["EVENTMESH_DRAIN_QUIET_S"] == str(DRAIN_QUIET_S)


def test_a_pod_of_a_revision_serves_where_knative_expects_it_and_any_other_at_its_own_port() -> None:
    assert sidecar(pod(labels={"serving.knative.dev/revision": "hello-1"}))["QUEUE_SERVING_PORT"] == "8012"
    assert sidecar(pod())["QUEUE_SERVING_PORT"] == "9000"


def test_what_the_spec_says_of_the_sidecar_wins_over_the_defaults() -> None:
    said = {"name": podspec.SIDECAR, "env": [{"name": "CONTAINER_CONCURRENCY", "value": "7"}]}
    assert sidecar(pod(None, said))["CONTAINER_CONCURRENCY"] == "7"


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("http1", "http1"), ("user-port", "http1"), ("h2c", "h2c"), ("grpc-api", "h2c"), ("bolt", "bolt")],
)
def test_the_name_of_the_port_tells_what_the_function_speaks(name: str, protocol: str) -> None:
    named = pod({"ports": [{"containerPort": 9000, "name": name}]})
    env = sidecar(named, Place("127.64.0.20", podspec.user_port(named), None))
    assert env["EVENTMESH_USER_PROTOCOL"] == protocol


def test_on_the_hosts_network_the_probe_moves_with_the_function() -> None:
    probe = {"tcpSocket": {"port": 9000, "host": "127.0.0.1"}, "periodSeconds": 2}
    said = {"name": podspec.SIDECAR, "env": [{"name": "SERVING_READINESS_PROBE", "value": json.dumps(probe)}]}
    assert json.loads(sidecar(pod(None, said))["SERVING_READINESS_PROBE"]) == probe
    moved = json.loads(sidecar(pod(None, said), HOST_NETWORK)["SERVING_READINESS_PROBE"])
    assert moved == {"tcpSocket": {"port": 43_210, "host": "127.0.0.1"}, "periodSeconds": 2}
