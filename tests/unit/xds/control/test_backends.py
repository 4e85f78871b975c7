"""A KIngress that leads to what is not there is known, and told of only when that changes."""

from __future__ import annotations

from eventmesh.kube.objects import Key
from eventmesh.xds.control.backends import MAX_TOLD, MissingBackends
from eventmesh.xds.control.watcher import Watcher
from tests.unit.xds.control.views import ingress, path, rule, service, split

KEY = Key("ns", "a")


def test_what_is_missing_is_told_once_and_taken_back_when_it_comes() -> None:
    watcher = Watcher()
    missing = MissingBackends(watcher.of)
    watcher.ingress(None, ingress("a", rule("a.test", paths=[path(split("svc"))])))
    assert missing.renew(["ns"]) == {KEY}
    assert missing.renew(["ns"]) == set()
    message = missing.message(KEY)
    assert message is not None and "there is no Service ns/svc" in message
    watcher.service(None, service("svc"))
    assert missing.renew(["ns"]) == {KEY}
    assert missing.message(KEY) is None


def test_a_kingress_that_goes_is_forgotten() -> None:
    watcher = Watcher()
    missing = MissingBackends(watcher.of)
    obj = ingress("a", rule("a.test", paths=[path(split("svc"))]))
    watcher.ingress(None, obj)
    missing.renew(["ns"])
    watcher.ingress(obj, None)
    assert missing.renew(["ns"]) == {KEY}
    assert missing.message(KEY) is None


def test_a_crowd_of_missing_services_is_a_number() -> None:
    watcher = Watcher()
    missing = MissingBackends(watcher.of)
    paths = [path(split(f"svc-{number}"), path=f"/{number}") for number in range(MAX_TOLD + 3)]
    watcher.ingress(None, ingress("a", rule("a.test", paths=paths)))
    missing.renew(["ns"])
    message = missing.message(KEY)
    assert message is not None
    assert message.count("there is no Service") == MAX_TOLD and message.endswith("; and 3 more")
