"""The server's HTTP: who is let in, where paths lead, discovery, and what is no plain object."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.api.server import ApiServer
from eventmesh.kube.api import ApiError
from eventmesh.kube.resources import CONFIG_MAP, POD
from tests.component.browser import MAPS, Browser
from tests.component.embedded_api import served

# -- who is let in, and where paths lead


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
async def test_health_and_version_need_no_token(http: Browser, path: str) -> None:
    assert (await http("GET", path, Authorization="")).status == 200


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/healthz/ping", "ok"),
        ("/readyz/informer-sync", "ok"),
        ("/livez?verbose", "[+]ping ok\n[+]etcd ok\nlivez check passed\n"),
        ("/healthz?verbose=true&exclude=etcd", "[+]ping ok\n[+]etcd excluded: ok\nhealthz check passed\n"),
        ("/livez?exclude=nothing", "ok"),
        (
            "/livez?verbose&exclude=b&exclude=a",
            "[+]ping ok\n[+]etcd ok\n"
            'warn: some health checks cannot be excluded: no matches for "a","b"\nlivez check passed\n',
        ),
        ("/readyz?verbose", "[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\nreadyz check passed\n"),
    ],
)
async def test_health_is_told_in_the_words_of_kubernetes(http: Browser, path: str, shown: str) -> None:
    while not http.api.is_in_step:
        await asyncio.sleep(0)
    answer = await http("GET", path)
    assert (answer.status, answer.text) == (200, shown)
    assert answer.type == "text/plain; charset=utf-8"


async def test_a_health_check_that_fails_is_named_and_can_be_left_out(http: Browser) -> None:
    http.api.store._history._db.close()
    answer = await http("GET", "/livez", Authorization="")
    assert (answer.status, answer.text) == (500, "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n")
    assert (await http("GET", "/livez?exclude=etcd")).status == 200
    answer = await http("GET", "/livez/etcd")
    assert answer.status == 500 and answer.text.startswith("internal server error: ")
    # Who may not see more is told no more.
    assert (await http("GET", "/livez/etcd", Authorization="")).status == 401
    assert (await http("GET", "/livez/nothing")).text == "404 page not found\n"


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic abc"])
async def test_without_the_token_nothing_is_told(http: Browser, header: str) -> None:
    answer = await http("GET", MAPS, Authorization=header)
    assert (answer.status, answer.json["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "path", ["/apis/nothing.example.com/v1/things", "/apis/serving.knative.dev/v9/services", "/nothing", "/api/v1/x"]
)
async def test_unserved_path_is_plain_text(http: Browser, path: str) -> None:
    answer = await http("GET", path)
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.type.startswith("text/plain")


async def test_taken_port_is_named(http: Browser, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = ApiServer(http.api, ("127.0.0.1", port), tmp_path / "other")
        with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
            await server.start()
        await server.stop()


# -- discovery


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_aggregated_discovery_echoes_the_form_asked_for(http: Browser, version: str) -> None:
    media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    answer = await http("GET", "/apis", Accept=f"{media},application/json")
    assert (answer.type, answer.json["apiVersion"]) == (media, f"apidiscovery.k8s.io/{version}")
    groups = [item["metadata"]["name"] for item in answer.json["items"]]
    assert groups.index("networking.k8s.io") < groups.index("networking.internal.knative.dev")
    serving = answer.json["items"][groups.index("serving.knative.dev")]
    assert [entry["version"] for entry in serving["versions"]] == ["v1", "v1beta1"]
    service = next(entry for entry in serving["versions"][0]["resources"] if entry["resource"] == "services")
    assert service["shortNames"] == ["ksvc", "kservice"] and service["scope"] == "Namespaced"
    assert [part["subresource"] for part in service["subresources"]] == ["status"]


async def test_legacy_discovery_lists_subresources(http: Browser) -> None:
    assert (await http("GET", "/api")).json["versions"] == ["v1"]
    names = {entry["name"] for entry in (await http("GET", "/apis/apps/v1")).json["resources"]}
    assert {"deployments", "deployments/status", "deployments/scale"} <= names
    group = (await http("GET", "/apis/sources.knative.dev")).json
    assert group["preferredVersion"]["version"] == "v1" and len(group["versions"]) == 4
    scale = next(entry for entry in (await http("GET", "/apis/apps/v1")).json["resources"] if entry["kind"] == "Scale")
    assert (scale["group"], scale["version"]) == ("autoscaling", "v1")


async def test_openapi_index_names_documents_by_their_content(http: Browser) -> None:
    index = (await http("GET", "/openapi/v3")).json["paths"]
    url = index["apis/serving.knative.dev/v1"]["serverRelativeURL"]
    document = (await http("GET", url)).json
    patch = document["paths"]["/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    patches = {"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"}
    assert set(patch["requestBody"]["content"]) == patches
    schema = document["components"]["schemas"]["dev.knative.serving.v1.Service"]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "serving.knative.dev", "version": "v1", "kind": "Service"}
    ]
    assert (await http("GET", "/openapi/v3/apis/nothing/v1")).status == 404


# -- what is no plain object


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_verbs_that_make_no_sense_are_not_allowed(http: Browser, method: str) -> None:
    path = f"{MAPS}/a" if method == "POST" else MAPS
    answer = await http(method, path, {})
    assert (answer.status, answer.json["reason"]) == (405, "MethodNotAllowed")


async def test_reviews_are_answered_and_not_stored(http: Browser) -> None:
    revision = http.api.store.revision
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await http("POST", path, {"spec": {"resourceAttributes": {"verb": "delete"}}})
    assert answer.status == 201 and answer.json["status"]["allowed"] is True
    assert http.api.store.revision == revision
    assert (await http("GET", path)).status == 405


async def test_eviction_deletes_a_pod_in_its_own_time(http: Browser) -> None:
    api = http.api.in_process()
    await api.create(POD, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default")
    path = "/api/v1/namespaces/default/pods/p"
    assert (await http("POST", f"{path}/eviction", {"metadata": {"name": "p"}})).status == 201
    assert "deletionTimestamp" in (await http("GET", path)).json["metadata"]


async def test_log_is_not_served_without_a_runtime(http: Browser) -> None:
    assert (await http("GET", "/api/v1/namespaces/default/pods/p/log")).status == 404


async def test_impersonated_user_is_the_author(http: Browser) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await http("POST", path, {}, Impersonate_User="jane")
    assert answer.json["status"]["userInfo"]["username"] == "jane"


async def test_bug_in_one_request_is_told_and_harms_no_other(http: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.api.registry, "get", lambda *_: 1 / 0)
    answer = await http("GET", f"{MAPS}/a")
    assert (answer.status, answer.json["reason"]) == (500, "InternalError")
    assert (await http("GET", MAPS)).status == 200


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        first = await running.api.in_process().create(CONFIG_MAP, {"metadata": {"name": "kept"}}, "default")
        kubeconfig = running.kubeconfig.read_text()
    async with served(tmp_path) as running:
        api = running.api.in_process()
        assert await api.get(CONFIG_MAP, "kept", "default") == first
        with pytest.raises(ApiError):
            await api.get(CONFIG_MAP, "never", "default")
        again = running.kubeconfig.read_text()
    # The administrator's certificate is another one at each start; `test_client_certificates` shows that both are good.
    assert lasting(kubeconfig) == lasting(again)


def lasting(kubeconfig: str) -> list[str]:
    """Return the lines of a kubeconfig that a restart must not change."""
    return [
        line for line in kubeconfig.splitlines() if not re.match(r" *(server|client-(certificate|key)-data):", line)
    ]
