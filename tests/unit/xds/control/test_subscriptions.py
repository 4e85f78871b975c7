"""The rules of the xDS transport protocol, one test each, in the order of xds_protocol.rst."""

from __future__ import annotations

import pytest

from eventmesh.xds.control import subscriptions
from eventmesh.xds.control.subscriptions import TooMuchAskedError, Variant
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.dialogue import CDS, EDS, LDS, RDS, Client, names, resource, service

SOTW, DELTA = Variant.SOTW, Variant.DELTA


# State of the world.


def test_sotw_a_wildcard_request_is_answered_with_everything() -> None:
    client = Client(SOTW, resource(CDS, "b"), resource(CDS, "a"))
    client.request(CDS)
    push = client.push()
    assert names(push) == ["a", "b"]
    assert push.nonce and push.version


def test_sotw_an_acknowledgement_is_not_answered() -> None:
    client = Client(SOTW, resource(CDS, "a"))
    client.request(CDS)
    client.ack(client.push())
    assert client.pushes() == []


def test_sotw_a_refusal_is_told_by_its_error_detail_alone_and_not_answered_with_the_same() -> None:
    client = Client(SOTW, resource(CDS, "a"))
    client.request(CDS)
    refusal = client.nack(client.push(), "bad cluster a")
    assert (refusal.type, refusal.names, refusal.message) == (CDS, ("a",), "bad cluster a")
    assert client.pushes() == []


def test_sotw_a_stale_nonce_is_ignored() -> None:
    client = Client(SOTW, resource(EDS, "a"), resource(EDS, "b"))
    client.request(EDS, "a")
    first = client.push()
    client.ack(first)
    client.publish(resource(EDS, "a", "2"), resource(EDS, "b"))
    client.push()
    client.request(EDS, "a", "b", nonce=first.nonce)
    assert client.pushes() == []
    assert client.stream.subscription(EDS).names == {"a"}


def test_sotw_a_name_asked_for_again_is_sent_again() -> None:
    client = Client(SOTW, resource(EDS, "a"), resource(EDS, "b"))
    client.request(EDS, "a", "b")
    first = client.push()
    client.request(EDS, "a", nonce=first.nonce)
    assert client.pushes() == []
    client.request(EDS, "a", "b", nonce=first.nonce)
    assert names(client.push()) == ["b"]


def test_sotw_no_names_after_names_means_unsubscribe_not_wildcard() -> None:
    client = Client(SOTW, resource(CDS, "a"), resource(CDS, "b"))
    client.request(CDS, "a")
    first = client.push()
    assert names(first) == ["a"]
    client.request(CDS, nonce=first.nonce)
    client.publish(resource(CDS, "a", "2"), resource(CDS, "b", "2"))
    assert client.pushes() == []


@pytest.mark.parametrize("type_", [EDS, RDS])
def test_sotw_types_that_are_never_asked_for_wholesale_have_no_implicit_wildcard(type_: object) -> None:
    client = Client(SOTW, resource(EDS, "a"), resource(RDS, "a"))
    client.request(EDS if type_ is EDS else RDS)
    assert client.pushes() == []


def test_sotw_an_explicit_wildcard_may_stand_beside_names() -> None:
    client = Client(SOTW, resource(CDS, "a"), resource(CDS, "b"))
    client.request(CDS, "*", "a")
    assert names(client.push()) == ["a", "b"]


@pytest.mark.parametrize("type_", [CDS, LDS])
def test_sotw_clusters_and_listeners_are_always_sent_complete(type_: object) -> None:
    kind = CDS if type_ is CDS else LDS
    client = Client(SOTW, resource(kind, "a"), resource(kind, "b"))
    client.request(kind)
    client.ack(client.push())
    client.publish(resource(kind, "a", "2"), resource(kind, "b"))
    push = client.push()
    assert names(push) == ["a", "b"]
    assert push.changed == {"a"}
    client.ack(push)
    client.publish(resource(kind, "b"))
    assert names(client.push()) == ["b"]


def test_sotw_endpoints_may_be_partial_and_their_absence_means_nothing() -> None:
    client = Client(SOTW, resource(EDS, "a"), resource(EDS, "b"))
    client.request(EDS, "a", "b")
    client.ack(client.push())
    client.publish(resource(EDS, "a", "2"), resource(EDS, "b"))
    push = client.push()
    assert names(push) == ["a"]
    client.ack(push)
    client.publish(resource(EDS, "a", "2"))
    assert client.pushes() == []


def test_sotw_an_unchanged_set_is_never_sent_again() -> None:
    client = Client(SOTW, resource(CDS, "a"))
    client.request(CDS)
    client.ack(client.push())
    client.publish(resource(CDS, "a"))
    assert client.pushes() == []


def test_sotw_what_does_not_exist_is_remembered_and_sent_when_it_appears() -> None:
    client = Client(SOTW)
    client.request(EDS, "later")
    assert client.pushes() == []
    client.publish(resource(EDS, "later"))
    assert names(client.push()) == ["later"]


def test_sotw_an_empty_wildcard_is_answered_so_that_the_client_can_go_on() -> None:
    client = Client(SOTW)
    client.request(LDS)
    assert names(client.push()) == []


def test_sotw_versions_come_from_content_so_replicas_agree() -> None:
    one, other = Client(SOTW, resource(CDS, "a")), Client(SOTW)
    other.publish(resource(CDS, "x"))
    other.publish(resource(CDS, "a"))
    one.request(CDS)
    other.request(CDS)
    assert one.push().version == other.push().version


# Delta.


def test_delta_a_name_subscribed_again_must_be_answered_again() -> None:
    client = Client(DELTA, resource(EDS, "a"))
    client.subscribe(EDS, "a")
    client.ack(client.push())
    client.subscribe(EDS, "a")
    assert names(client.push()) == ["a"]


def test_delta_an_unknown_name_may_be_unsubscribed() -> None:
    client = Client(DELTA, resource(EDS, "a"))
    client.subscribe(EDS, "a")
    client.ack(client.push())
    client.subscribe(EDS, drop=["never"])
    assert client.pushes() == []


def test_delta_a_first_request_without_names_is_a_wildcard() -> None:
    client = Client(DELTA, resource(CDS, "a"), resource(CDS, "b"))
    client.subscribe(CDS)
    client.ack(client.push())
    client.publish(resource(CDS, "a"), resource(CDS, "b", "2"))
    assert names(client.push()) == ["b"]


def test_delta_unsubscribing_the_wildcard_leaves_only_names() -> None:
    client = Client(DELTA, resource(CDS, "a"), resource(CDS, "b"))
    client.subscribe(CDS, "*", "a")
    client.ack(client.push())
    client.subscribe(CDS, drop=["*"])
    client.publish(resource(CDS, "a", "2"), resource(CDS, "b", "2"))
    assert names(client.push()) == ["a"]


def test_delta_a_name_dropped_under_a_wildcard_is_told_about_once_more() -> None:
    client = Client(DELTA, resource(CDS, "a"))
    client.subscribe(CDS, "*", "a", "gone")
    first = client.push()
    assert (names(first), first.removed) == (["a"], ("gone",))
    client.ack(first)
    client.subscribe(CDS, drop=["a"])
    second = client.push()
    assert names(second) == ["a"]
    client.ack(second)
    client.subscribe(CDS, drop=["gone"])
    assert client.push().removed == ("gone",)


def test_delta_what_does_not_exist_is_said_at_once() -> None:
    client = Client(DELTA)
    client.subscribe(RDS, "nowhere")
    assert client.push().removed == ("nowhere",)


def test_delta_what_is_deleted_later_is_removed() -> None:
    client = Client(DELTA, resource(LDS, "a"), resource(LDS, "b"))
    client.subscribe(LDS)
    client.ack(client.push())
    client.publish(resource(LDS, "b"))
    push = client.push()
    assert (names(push), push.removed) == ([], ("a",))


def test_delta_subscriptions_count_even_with_a_stale_nonce() -> None:
    client = Client(DELTA, resource(EDS, "a"), resource(EDS, "b"))
    client.subscribe(EDS, "a")
    client.ack(client.push())
    client.subscribe(EDS, "b", nonce="long ago")
    assert names(client.push()) == ["b"]


def test_delta_a_reconnecting_client_is_sent_only_what_differs() -> None:
    same, changed = resource(CDS, "same"), resource(CDS, "changed", "2")
    client = Client(DELTA, same, changed)
    client.subscribe(CDS, initial={"same": same.version, "changed": "old", "deleted": "x"})
    push = client.push()
    assert (names(push), push.removed) == (["changed"], ("deleted",))


def test_delta_a_reconnecting_client_that_has_everything_is_not_answered() -> None:
    same = resource(CDS, "same")
    client = Client(DELTA, same)
    client.subscribe(CDS, initial={"same": same.version})
    assert client.pushes() == []
    assert client.stream.subscription(CDS).acknowledged == client.generation


def test_delta_named_endpoints_are_answered_on_reconnect_even_if_their_version_matches() -> None:
    # Clusters without hosts otherwise: envoyproxy/envoy#22418.
    same = resource(EDS, "a")
    client = Client(DELTA, same)
    client.subscribe(EDS, "a", initial={"a": same.version})
    assert names(client.push()) == ["a"]


def test_delta_a_spontaneous_request_that_changes_nothing_is_not_answered() -> None:
    client = Client(DELTA, resource(CDS, "a"))
    client.subscribe(CDS)
    client.ack(client.push())
    client.subscribe(CDS)
    assert client.pushes() == []


# Both.


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_one_response_per_type_is_in_flight_and_changes_merge_meanwhile(variant: Variant) -> None:
    client = Client(variant, resource(EDS, "a"))
    client.request(EDS, "a") if variant is SOTW else client.subscribe(EDS, "a")
    first = client.push()
    for content in ("2", "3", "4"):
        client.publish(resource(EDS, "a", content))
        assert client.pushes() == []
    client.ack(first)
    assert [r.version for r in client.push().resources] == [resource(EDS, "a", "4").version]


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_refused_bytes_are_never_sent_again_and_a_repaired_version_is(variant: Variant) -> None:
    client = Client(variant, *service("good"), *service("bad"))
    client.request(CDS) if variant is SOTW else client.subscribe(CDS)
    client.settle()
    client.publish(*service("good"), *service("bad", "broken"))
    client.nack(client.push(), "Error adding cluster(s) bad: no such thing")
    generation = client.publish(*service("good", "2"), *service("bad", "broken"))
    push = client.push()
    assert {r.name: r.version for r in push.resources}.get("bad") in (None, resource(CDS, "bad").version)
    client.ack(push)
    # The refused one stands for itself: all others are served.
    assert client.stream.subscription(CDS).acknowledged == generation
    client.publish(*service("good", "2"), *service("bad", "repaired"))
    client.settle()
    assert client.stream.subscription(CDS).acknowledged == client.generation


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_the_good_part_of_a_refused_response_is_sent_again_without_the_bad(variant: Variant) -> None:
    client = Client(variant, resource(LDS, "bad"), resource(LDS, "good"))
    client.request(LDS) if variant is SOTW else client.subscribe(LDS)
    client.nack(client.push(), "Error adding/updating listener(s) bad: nope")
    assert names(client.push()) == ["good"]


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_a_refusal_that_names_nothing_is_pinned_down_one_by_one(variant: Variant) -> None:
    client = Client(variant, resource(LDS, "a"), resource(LDS, "b"), resource(LDS, "c"))
    client.request(LDS) if variant is SOTW else client.subscribe(LDS)
    refusal = client.nack(client.push(), "something is wrong")
    assert refusal.names == ("a", "b", "c")
    tried = []
    for _ in range(5):
        for push in client.pushes():
            tried.append(sorted(push.changed))
            if "b" in push.changed:
                assert client.nack(push, "something is wrong").names == ("b",)
            else:
                client.ack(push)
    assert tried == [["a"], ["b"], ["c"]]
    assert set(client.stream.subscription(LDS).held.accepted) == {"a", "c"}


def test_a_name_is_blamed_only_where_it_stands_as_a_word() -> None:
    client = Client(SOTW, resource(RDS, "local"), resource(RDS, "public"))
    client.request(RDS, "local", "public")
    refusal = client.nack(client.push(), "public: domain localhost appears twice")
    assert refusal.names == ("public",)


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_a_refusal_of_what_has_changed_meanwhile_holds_nothing_back(variant: Variant) -> None:
    client = Client(variant, resource(LDS, "a"), resource(LDS, "b"))
    client.request(LDS) if variant is SOTW else client.subscribe(LDS)
    client.settle()
    client.publish(resource(LDS, "a", "broken"), resource(LDS, "b", "broken"))
    push = client.push()
    client.publish(resource(LDS, "a"), resource(LDS, "b"))
    client.nack(push, "no")
    client.settle()
    assert client.stream.subscription(LDS).acknowledged == client.generation


def test_a_refused_route_table_holds_up_the_acknowledgement_of_all_that_it_may_hide() -> None:
    client = Client(DELTA, resource(RDS, "table"))
    client.subscribe(RDS, "table")
    client.settle()
    client.publish(resource(RDS, "table", "broken"), resource(RDS, "other"))
    client.nack(client.push(), "no")
    client.settle()
    assert client.stream.subscription(RDS).acknowledged == 1


def test_a_refusal_is_certain_when_it_names_its_resources_or_there_was_but_one() -> None:
    client = Client(DELTA, *service("a"), *service("b"))
    client.subscribe(CDS)
    assert not client.nack(client.push(), "something is wrong").is_certain
    assert client.nack(client.push(), "something is wrong").is_certain
    named = Client(DELTA, *service("a"), *service("b"))
    named.subscribe(CDS)
    refusal = named.nack(named.push(), "cluster b has no port")
    assert (refusal.names, refusal.is_certain) == (("b",), True)
    assert refusal.versions == (resource(CDS, "b").version,)


# What a client may ask for.


@pytest.mark.parametrize("variant", [SOTW, DELTA])
def test_names_beyond_the_limit_of_a_type_end_the_stream(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_NAMES", 3)
    client = Client(variant)
    ask = client.request if variant is SOTW else client.subscribe
    ask(EDS, "a", "b", "c")
    ask(CDS, "a")
    with pytest.raises(TooMuchAskedError, match="more than 3 names of eds"):
        ask(EDS, "b", "c", "d", "e")


def test_a_name_that_is_said_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_NAMES", 2)
    client = Client(DELTA)
    client.subscribe(EDS, "a", "b", initial={"a": "1", "b": "2"})
    client.subscribe(EDS, "b", "a")


def test_a_client_may_go_on_naming_what_it_drops_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_NAMES", 2)
    client = Client(DELTA)
    for number in range(5):
        client.subscribe(EDS, f"n{number}")
        client.subscribe(EDS, drop=[f"n{number}"])


def test_a_name_no_resource_can_have_ends_the_stream() -> None:
    with pytest.raises(TooMuchAskedError, match="1025 characters"):
        Client(DELTA).subscribe(EDS, "n" * (subscriptions.MAX_NAME_LENGTH + 1))


def test_a_refusal_is_kept_in_so_many_words_and_no_more() -> None:
    client = Client(DELTA, resource(CDS, "a"))
    client.subscribe(CDS)
    assert len(client.nack(client.push(), "x" * 100_000).message) == subscriptions.MAX_WORDS


@pytest.mark.parametrize("type_", [LDS, CDS])
def test_sotw_what_was_deleted_and_comes_back_the_same_is_sent_again(type_: ResourceType) -> None:
    same = resource(type_, "a")
    client = Client(SOTW, same)
    client.request(type_, "a")
    client.ack(client.push())
    client.publish()
    gone = client.push()
    assert names(gone) == []
    client.ack(gone)
    client.publish(same)
    assert names(client.push()) == ["a"]
