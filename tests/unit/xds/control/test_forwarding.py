"""A domain that stands for a Route is routed to the Route's revisions."""

from __future__ import annotations

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.forwarding import forwarded
from eventmesh.xds.control.objects import Ingress
from tests.unit.xds.control.views import ingress, path, rule, service, split, world

ROUTE_LABEL = {"serving.knative.dev/route": "hello"}


def mapped(*route_paths: Object, domain_path: Object | None = None, route_exists: bool = True) -> Ingress:
    """Return what becomes of `www.test`, mapped to the Route `hello` with these paths."""
    inside = ("hello.ns.svc.cluster.local",)
    leads = domain_path or path(split("hello", K_Original_Host="www.test"), rewriteHost=inside[0])
    objects = [ingress("www.test", rule("www.test", paths=[leads]), created="2026-01-02T00:00:00Z")]
    if route_exists:
        objects.append(ingress("hello", rule(*inside, paths=list(route_paths), external=False)))
    view = world(ingress=objects, service=[service("hello", labels=ROUTE_LABEL), service("plain")]).of("ns")
    return forwarded(view, "cluster.local").ingresses[Key("ns", "www.test")]


def test_a_domain_takes_the_splits_of_the_route_and_keeps_its_own_headers() -> None:
    found = mapped(path(split("rev-1", 30, Rev="1"), split("rev-2", 70, Rev="2"), appendHeaders={"Route": "hello"}))
    (only,) = found.rules[0].paths
    assert found.rules[0].hosts == ("www.test",) and found.rules[0].external
    assert [(share.service.name, share.percent) for share in only.splits] == [("rev-1", 30), ("rev-2", 70)]
    assert [share.headers for share in only.splits] == [{"rev": "1"}, {"rev": "2"}]
    assert only.headers == {"k-original-host": "www.test", "route": "hello"}
    assert only.rewrite_host == "hello.ns.svc.cluster.local"


def test_what_the_route_sets_wins_over_what_the_domain_sets() -> None:
    leads = path(split("hello", Who="domain"))
    (only,) = mapped(path(split("rev"), appendHeaders={"Who": "route"}), domain_path=leads).rules[0].paths
    assert only.headers == {"who": "route"}


def test_a_route_that_chooses_by_header_chooses_for_the_domain_too() -> None:
    tagged = path(split("next"), headers={"Knative-Serving-Tag": {"exact": "next"}})
    first, second = mapped(tagged, path(split("rev"))).rules[0].paths
    assert first.matches == (("knative-serving-tag", "next"),)
    assert (first.splits[0].service.name, second.splits[0].service.name) == ("next", "rev")


def test_of_two_prefixes_the_longer_holds_and_what_no_request_can_take_is_left_out() -> None:
    leads = path(split("hello"), path="/shop")
    found = mapped(
        path(split("all")), path(split("cart"), path="/shop/cart"), path(split("blog"), path="/blog"), domain_path=leads
    )
    taken = {each.prefix: each.splits[0].service.name for each in found.rules[0].paths}
    assert taken == {"/shop": "all", "/shop/cart": "cart"}


def test_headers_that_contradict_each_other_lead_nowhere() -> None:
    leads = path(split("hello"), headers={"Tier": {"exact": "gold"}})
    found = mapped(path(split("iron"), headers={"Tier": {"exact": "iron"}}), path(split("any")), domain_path=leads)
    assert [each.splits[0].service.name for each in found.rules[0].paths] == ["any"]


def test_a_route_without_a_kingress_leaves_the_path_as_it_is() -> None:
    (only,) = mapped(route_exists=False).rules[0].paths
    assert only.splits[0].service == Key("ns", "hello")


def test_plain_services_and_shares_of_several_are_left_as_they_are() -> None:
    for leads in (path(split("plain")), path(split("hello", 50), split("plain", 50))):
        found = mapped(path(split("rev")), domain_path=leads)
        assert [share.service.name for share in found.rules[0].paths[0].splits][0] in ("plain", "hello")


def test_a_view_without_domains_is_the_same_object() -> None:
    view = world(ingress=[ingress("a", rule("a.test"))]).of("ns")
    assert forwarded(view, "cluster.local") is view
