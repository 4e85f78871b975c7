"""What happens to a request, match by match, as the compiled core sees it."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.xds.control.asked import Asked, headers_of
from eventmesh.xds.control.explain import Explanation, explain
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from tests.unit.xds.control.views import built, ingress, path, rule, service, slice_, split, world

PATHS = [
    path(split("tagged"), headers={"Tag": {"exact": "blue"}}),
    path(split("one", 90, Rev="1"), split("two", 10), path="/deep"),
]


def explained(asked: Asked, *rules: object, **spec: str) -> Explanation:
    ports = {"name": "http", "port": 80}
    watcher = world(
        ingress=[ingress("a", rule("a.test", paths=PATHS), **spec)],
        service=[service(name, ports) for name in ("tagged", "one", "two")],
        slice=[slice_("one", "10.0.0.1"), slice_("tagged", "10.0.0.7", "10.0.0.8")],
    )
    return explain(built(watcher).sets(Audience(Role.GATEWAY)), "public", asked)


def taken(found: Explanation) -> list[bool]:
    return [route["taken"] for route in found["routes"]]


def test_every_condition_up_to_the_route_that_is_taken_has_its_verdict() -> None:
    found = explained(Asked("a.test:8080", "/x", headers=(("tag", "blue"),)))
    assert found["virtualHost"]["name"] == "ns/a/0"
    assert taken(found) == [False, False, True]
    probe, _, route = found["routes"]
    assert [(one["what"], one["holds"]) for one in route["conditions"]] == [
        ("path prefix /", True),
        ("header tag exact 'blue'", True),
    ]
    assert [one["holds"] for one in probe["conditions"]] == [True, True, False]
    (share,) = found["outcome"]["forward"]
    assert (share["cluster"], share["percent"]) == ("ns/tagged:80", 100)
    assert share["endpoints"] == ["10.0.0.7:8080", "10.0.0.8:8080"]


def test_a_split_is_shown_with_its_shares_endpoints_and_headers() -> None:
    found = explained(Asked("a.test", "/deeper?x=1"))
    one, two = found["outcome"]["forward"]
    assert (one["cluster"], one["percent"], one["endpoints"]) == ("ns/one:80", 90, ["10.0.0.1:8080"])
    assert (two["cluster"], two["percent"], two["endpoints"]) == ("ns/two:80", 10, [])
    assert one["requestHeaders"]["rev"] == "1"
    assert found["outcome"]["timeoutSeconds"] == 0


def test_without_a_route_or_a_host_it_says_which_is_missing() -> None:
    no_route = explained(Asked("a.test", "/elsewhere"))
    assert no_route["outcome"] == {"status": 404, "why": "no route of ns/a/0 matches"}
    assert taken(no_route) == [False, False, False, False]
    no_host = explained(Asked("b.test"))
    assert no_host["virtualHost"] is None
    assert no_host["outcome"]["status"] == 404 and "b.test" in no_host["outcome"]["why"]


def test_a_redirect_is_an_outcome() -> None:
    found = explained(Asked("a.test"), httpOption="Redirected")
    assert found["outcome"] == {"status": 301, "redirect": {"scheme": "https"}}


@pytest.mark.parametrize(("host", "path_"), [("", "/"), ("a.test", "x")])
def test_a_request_that_cannot_be_is_refused(host: str, path_: str) -> None:
    with pytest.raises(UsageError):
        Asked(host, path_)


def test_headers_are_written_with_an_equals_sign() -> None:
    assert headers_of(["Tag=blue", "x=a=b"]) == (("tag", "blue"), ("x", "a=b"))
    with pytest.raises(UsageError, match="'tag' is not NAME=VALUE"):
        headers_of(["tag"])
