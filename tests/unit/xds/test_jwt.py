"""The filter jwt_authn of listeners and routes as Envoy spells it."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.access import AccessStep, Off
from eventmesh.model.jwt import (
    AllRequired,
    Jwt,
    JwtProvider,
    JwtRule,
    MayBeMissing,
    MayFail,
    Named,
    OneRequired,
    RemoteKeys,
    Requirement,
    TokenOf,
)
from eventmesh.model.match import PathKind, RouteMatch, TextKind, TextMatch
from eventmesh.model.policy import Filters
from tests.unit.xds.test_http_filters import TYPES, listener_of

JWT = f"{TYPES}.http.jwt_authn.v3.JwtAuthentication"
PER_ROUTE = f"{TYPES}.http.jwt_authn.v3.PerRouteConfig"
LOCAL = {"local_jwks": {"inline_string": "{}"}}
ANY = {"match": {"prefix": "/"}}
REMOTE = {"http_uri": {"uri": "https://issuer.test/keys?v=1", "cluster": "c", "timeout": "5s"}}


def _read(**fields: Any) -> Jwt:
    filters = listener_of({"@type": JWT, **fields}).listener.filters
    assert filters is not None
    (step,) = filters.access
    assert isinstance(step.step, Jwt)
    return step.step


def _requirement(requires: dict[str, Any]) -> Requirement | None:
    rules = [{**ANY, "requires": requires}]
    return _read(providers={"a": LOCAL, "b": LOCAL}, rules=rules).rules[0].requires


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"provider_name": "a"}, TokenOf("a")),
        ({"provider_and_audiences": {"provider_name": "a", "audiences": ["x"]}}, TokenOf("a", ("x",))),
        ({"requires_any": {"requirements": [{"provider_name": "a"}, {"allow_missing": {}}]}},
         OneRequired((TokenOf("a"), MayBeMissing()))),
        ({"requires_all": {"requirements": [{"provider_name": "a"}, {"provider_name": "b"}]}},
         AllRequired((TokenOf("a"), TokenOf("b")))),
        ({"allow_missing_or_failed": {}}, MayFail()),
    ],
)  # fmt: skip
def test_requirements_are_read(written: dict[str, Any], expected: Requirement) -> None:
    assert _requirement(written) == expected


def test_a_provider_is_read() -> None:
    written = {
        "issuer": "i",
        "audiences": ["x"],
        "subjects": {"prefix": "s"},
        "require_expiration": True,
        "max_lifetime": "60s",
        "clock_skew_seconds": 5,
        "forward": True,
        "from_headers": [{"name": "X-T", "value_prefix": "JWT "}],
        "from_params": ["t"],
        "from_cookies": ["c"],
        "forward_payload_header": "X-P",
        "pad_forward_payload_header": True,
        "claim_to_headers": [{"header_name": "X-S", "claim_name": "a.b"}],
        "payload_in_metadata": "p",
        "header_in_metadata": "h",
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope"]},
        **LOCAL,
    }
    expected = JwtProvider(
        "a",
        "i",
        ("x",),
        TextMatch(TextKind.PREFIX, "s"),
        True,
        60.0,
        5,
        "{}",
        None,
        (("x-t", "JWT "),),
        ("t",),
        ("c",),
        True,
        "x-p",
        True,
        (("x-s", "a.b"),),
        "p",
        "h",
        ("scope",),
    )
    assert _read(providers={"a": written}).providers == (expected,)
    assert _read(providers={"a": LOCAL}).providers == (JwtProvider("a", keys="{}"),)


def test_remote_keys_are_read_with_envoys_defaults() -> None:
    (plain,) = _read(providers={"a": {"remote_jwks": REMOTE}}).providers
    assert plain.remote == RemoteKeys("c", "issuer.test", "/keys?v=1", 5.0)
    fields = {**REMOTE, "cache_duration": "60s", "async_fetch": {"failed_refetch_duration": "3s"}}
    (full,) = _read(providers={"a": {"remote_jwks": fields}}).providers
    assert full.remote == RemoteKeys("c", "issuer.test", "/keys?v=1", 5.0, 60.0, True, 3.0)


def test_rules_and_routes_refer_to_requirements_by_name() -> None:
    named = {"r": {"provider_name": "a"}}
    rules = [{"match": {"path": "/x"}, "requirement_name": "r"}, ANY]
    read = _read(providers={"a": LOCAL}, requirement_map=named, rules=rules, bypass_cors_preflight=True)
    wanted = (JwtRule(RouteMatch("/x", PathKind.EXACT), TokenOf("a")), JwtRule(RouteMatch("/"), None))
    assert (read.rules, read.named, read.bypass_preflight) == (wanted, (("r", TokenOf("a")),), True)
    resource = listener_of(
        {"@type": JWT}, host={"0": {"@type": PER_ROUTE, "requirement_name": "r"}},
        route={"0": {"@type": PER_ROUTE, "disabled": True}},
    )  # fmt: skip
    assert resource.inline is not None
    one, two = resource.inline.virtual_hosts[0].routes
    assert one.filters == Filters(access=(AccessStep("0", Off()),))
    assert two.filters == Filters(access=(AccessStep("0", Named("r")),))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"providers": {"a": {}}}, r'providers\["a"\]\.local_jwks: missing'),
        ({"providers": {"a": {"remote_jwks": {}}}}, r"remote_jwks\.http_uri: missing"),
        ({"providers": {"a": {"remote_jwks": {"http_uri": {"uri": "keys", "cluster": "c", "timeout": "5s"}}}}},
         "uri: 'keys' is no URL"),
        ({"providers": {"a": {"remote_jwks": {"http_uri": {"uri": "http://h", "cluster": "c"}}}}}, "timeout: missing"),
        ({"providers": {"a": {**LOCAL, "failed_status_in_metadata": "x"}}}, "failed_status_in_metadata"),
        ({"rules": [{**ANY, "requires": {"provider_name": "x"}}]}, r"requires\.provider_name: 'x' is not in"),
        ({"rules": [{**ANY, "requires": {"requires_any": {"requirements": []}}}]}, "wants at least two"),
        ({"rules": [{**ANY, "requires": {}}]}, r"rules\[0\]\.requires: empty"),
        ({"rules": [{**ANY, "requires": {"extract_only_without_validation": {}}}]}, "extract_only_without_validation"),
        ({"rules": [{**ANY, "requirement_name": "x"}]}, r"rules\[0\]\.requirement_name: 'x' is not in requirement_map"),
        ({"filter_state_rules": {}}, "filter_state_rules"),
    ],
)  # fmt: skip
def test_what_is_not_carried_out_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        listener_of({"@type": JWT, **fields})
