"""What a change of an object can affect, and what of it control cannot route."""

from __future__ import annotations

import copy

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.watcher import Watcher
from tests.unit.xds.control.views import ingress, path, revision, rule, serverless, service, slice_, split


def test_a_new_ingress_affects_everything_and_the_same_again_nothing() -> None:
    watcher, obj = Watcher(), ingress("a", rule("a.test"))
    assert watcher.ingress(None, obj) is Effect.EVERYTHING
    touched = copy.deepcopy(obj)
    touched["status"] = {"conditions": []}
    touched["metadata"]["resourceVersion"] = "77"
    assert watcher.ingress(obj, touched) is Effect.NOTHING


def test_a_pod_affects_endpoints_alone() -> None:
    watcher = Watcher()
    assert watcher.slice(None, slice_("svc", "10.0.0.1")) is Effect.ENDPOINTS
    assert watcher.slice(slice_("svc", "10.0.0.1"), None) is Effect.ENDPOINTS


def test_a_change_of_mode_affects_endpoints_alone_a_new_revision_everything() -> None:
    watcher = Watcher()
    assert watcher.serverless(None, serverless("rev", "Proxy")) is Effect.EVERYTHING
    assert watcher.serverless(None, serverless("rev", "Serve")) is Effect.ENDPOINTS
    assert watcher.serverless(None, serverless("rev", "Serve", "h2c")) is Effect.EVERYTHING
    assert watcher.serverless(serverless("rev", "Serve", "h2c"), None) is Effect.EVERYTHING


def test_only_the_concurrency_of_a_revision_matters() -> None:
    watcher = Watcher()
    assert watcher.revision(None, revision("rev", 5)) is Effect.EVERYTHING
    ready = {**revision("rev", 5), "status": {"actualReplicas": 3}}
    assert watcher.revision(None, ready) is Effect.NOTHING


def test_services_and_their_deletion_affect_everything() -> None:
    watcher = Watcher()
    assert watcher.service(None, service("svc")) is Effect.EVERYTHING
    assert watcher.service(service("svc"), None) is Effect.EVERYTHING
    assert not watcher.of("ns").services


@pytest.mark.parametrize("class_", [None, "", "istio.ingress.networking.knative.dev"])
def test_an_ingress_of_another_class_does_not_exist(class_: str | None) -> None:
    obj = ingress("a", rule("a.test"))
    obj["metadata"]["annotations"] = {} if class_ is None else {"networking.knative.dev/ingress-class": class_}
    watcher = Watcher()
    assert watcher.ingress(None, obj) is Effect.NOTHING


def test_an_ingress_that_is_being_deleted_serves_no_more() -> None:
    watcher, obj = Watcher(), ingress("a", rule("a.test"))
    watcher.ingress(None, obj)
    leaving = copy.deepcopy(obj)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert watcher.ingress(obj, leaving) is Effect.EVERYTHING
    assert not watcher.of("ns").ingresses


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (rule("a.test", paths=[path(split("svc", 60))]), "spec.rules[0].http.paths[0].splits: percents add up to 60"),
        (rule("a.test", paths=[path(split("svc"), path="x")]), "spec.rules[0].http.paths[0].path: 'x' does not start"),
        (rule(), "spec.rules[0].hosts: at least one host"),
        ({"hosts": ["a.test"], "http": {"paths": []}}, "spec.rules[0].http.paths: at least one path"),
        (
            rule("a.test", paths=[path({**split("svc"), "serviceNamespace": "other"})]),
            "spec.rules[0].http.paths[0].splits[0].serviceNamespace: 'other' is not",
        ),
    ],
)
def test_what_cannot_be_routed_is_named_by_its_field(broken: Object, problem: str) -> None:
    watcher = Watcher()
    watcher.ingress(None, ingress("a", broken))
    assert watcher.invalid[Key("ns", "a")].startswith(problem)
    watcher.ingress(None, ingress("a", rule("a.test")))
    assert not watcher.invalid


def test_endpoints_that_become_another_service_s_leave_the_first() -> None:
    watcher, moved = Watcher(), slice_("svc", "10.0.0.1")
    watcher.slice(None, moved)
    watcher.take_touched()
    later = copy.deepcopy(moved)
    later["metadata"]["labels"]["kubernetes.io/service-name"] = "other"
    assert watcher.slice(moved, later) is Effect.ENDPOINTS
    assert watcher.take_touched().endpoints == {Key("ns", "svc"), Key("ns", "other")}
    assert watcher.of("ns").slices.keys() == {Key("ns", "other")}
    assert watcher.slice(later, None) is Effect.ENDPOINTS
    assert not watcher.of("ns").slices
