"""A refused cluster is remembered with the data plane's words, for as long as it is what is published."""

from __future__ import annotations

from eventmesh.kube.objects import Key
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.refusals import MAX_REFUSED, ClusterRefusals
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.subscriptions import Refusal
from tests.unit.xds.control.dialogue import CDS

A = Key("ns", "a")


def nack(*names: str, message: str = "no") -> Nack:
    refusal = Refusal(CDS, 1, names, message, tuple("1" for _ in names))
    return Nack("gw", Role.GATEWAY, refusal, Audience(Role.GATEWAY))


def refusals() -> ClusterRefusals:
    return ClusterRefusals(lambda cluster: [A] if cluster == "ns/x:80" else [])


def test_who_leads_to_a_refused_cluster_is_told_by_whom_and_why() -> None:
    known = refusals()
    assert known.refused(nack("ns/x:80", message="wrong port")) == ["ns/x:80"]
    assert known.message(A) == "gw: cds ns/x:80: wrong port"
    assert known.message(Key("ns", "other")) is None


def test_nobody_is_blamed_while_it_may_be_another_cluster() -> None:
    known = refusals()
    assert known.refused(nack("ns/x:80", "ns/y:80")) == []
    assert known.message(A) is None
    assert known.refused(nack("ns/x:80", "ns/y:80", message="ns/x:80 and ns/y:80 are wrong")) == ["ns/x:80", "ns/y:80"]


def test_a_refusal_stands_until_the_cluster_has_another_version() -> None:
    known = refusals()
    known.refused(nack("ns/x:80"))
    assert known.published(lambda cluster: {"1", "of its endpoints"}) == [A]
    assert known.message(A) is not None
    assert known.published(lambda cluster: {"2"}) == [A]
    assert known.message(A) is None
    assert known.published(lambda cluster: {"2"}) == []


def test_refusals_are_bounded() -> None:
    known = refusals()
    names = [f"ns/{number}:80" for number in range(MAX_REFUSED)]
    for name in names:
        assert known.refused(nack(name)) == [name]
    assert known.refused(nack("ns/x:80")) == []
