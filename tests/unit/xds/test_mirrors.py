"""request_mirror_policies of routes, virtual hosts and tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.route import Forward, Mirror
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.translate.mirror import MAX_MIRRORS
from tests.unit.xds.documents import HOST, MANAGER, ROUTE, put, shop_document

POLICIES = "request_mirror_policies"


def mirrors(document: dict[str, Any]) -> tuple[Mirror, ...]:
    action = parse_bootstrap(json.dumps(document)).snapshot.route_tables[0].virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward)
    return action.mirrors


def test_a_route_says_who_gets_copies_and_of_how_many_requests() -> None:
    share = {"default_value": {"numerator": 5, "denominator": "TEN_THOUSAND"}}
    policies = [
        {"cluster": "shop"},
        {"cluster": "shop", "runtime_fraction": share, "disable_shadow_host_suffix_append": True},
        {"cluster": "shop", "host_rewrite_literal": "other", "trace_sampled": True},
    ]
    assert mirrors(put(shop_document(), f"{ROUTE}.route.{POLICIES}", policies)) == (
        Mirror("shop"),
        Mirror("shop", 500, marks_host=False),
        Mirror("shop", host_rewrite="other"),
    )


def test_a_host_and_a_table_speak_for_routes_that_say_nothing() -> None:
    table = put(shop_document(), f"{MANAGER}.route_config.{POLICIES}", [{"cluster": "shop"}])
    assert mirrors(table) == (Mirror("shop"),)
    host = put(table, f"{HOST}.{POLICIES}", [{"cluster": "shop", "host_rewrite_literal": "of-host"}])
    assert mirrors(host) == (Mirror("shop", host_rewrite="of-host"),)
    route = put(host, f"{ROUTE}.route.{POLICIES}", [{"cluster": "shop", "host_rewrite_literal": "of-route"}])
    assert mirrors(route) == (Mirror("shop", host_rewrite="of-route"),)


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ([{}], f"{POLICIES}[0].cluster: missing"),
        ([{"cluster": "nowhere"}], "leads to the unknown cluster 'nowhere'"),
        ([{"cluster_header": "x"}], f"{POLICIES}[0].cluster_header"),
        ([{"cluster": "shop", "trace_sampled": False}], f"{POLICIES}[0].trace_sampled"),
        ([{"cluster": "shop"}] * (MAX_MIRRORS + 1), f"has {MAX_MIRRORS + 1} entries; at most {MAX_MIRRORS}"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_path(policies: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mirrors(put(shop_document(), f"{ROUTE}.route.{POLICIES}", policies))
    assert words in str(caught.value)
