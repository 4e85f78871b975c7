"""The filter jwt_authn; source: envoy.extensions.filters.http.jwt_authn.v3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from eventmesh.model.access import Off, Step
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
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import read_text_match
from eventmesh.xds.translate.match import read_match
from eventmesh.xds.translate.sources import read_data

DEFAULT_CACHE_S = 600.0
DEFAULT_RETRY_S = 1.0
DEFAULT_SKEW_S = 60
"""Envoy's."""


def read_jwt(config: Message) -> Jwt:
    """Return a `JwtAuthentication`. Raises ConfigError with the path of what is wrong."""
    providers = config.messages_by_key("providers")
    named = config.messages_by_key("requirement_map")
    known = frozenset(providers)
    requirements = {name: _requirement(named[name], known) for name in sorted(named)}
    return Jwt(
        providers=tuple(_provider(name, providers[name]) for name in sorted(providers)),
        rules=tuple(_rule(rule, known, requirements) for rule in config.children("rules")),
        named=tuple(requirements.items()),
        bypass_preflight=config.flag("bypass_cors_preflight"),
    )


def read_jwt_per_route(config: Message) -> Named | Off:
    """Return a `PerRouteConfig`."""
    if config.flag("disabled"):
        return Off()
    if not config.text("requirement_name"):
        raise config.error("requirement_name", "missing; give it, or disabled: true")
    return Named(config.text("requirement_name"))


READERS: Mapping[str, Callable[[Message], Step]] = {
    "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication": read_jwt,
    "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig": read_jwt_per_route,
}
"""How the filter and what routes say of it are read."""


def _rule(config: Message, known: frozenset[str], named: dict[str, Requirement]) -> JwtRule:
    match, requires, name = config.child("match"), config.child("requires"), config.text("requirement_name")
    if match is None:
        raise config.error("match", "missing")
    if name:
        if name not in named:
            raise config.error("requirement_name", f"{name!r} is not in requirement_map")
        return JwtRule(read_match(match), named[name])
    return JwtRule(read_match(match), _requirement(requires, known) if requires is not None else None)


def _requirement(config: Message, known: frozenset[str]) -> Requirement:
    if config.has("provider_name"):
        return TokenOf(_known(config, known))
    if (wanted := config.child("provider_and_audiences")) is not None:
        return TokenOf(_known(wanted, known), wanted.texts("audiences"))
    for field, combine in (("requires_any", OneRequired), ("requires_all", AllRequired)):
        group = config.child(field)
        if group is not None:
            of = tuple(_requirement(one, known) for one in group.children("requirements"))
            if len(of) < 2:
                raise group.error("requirements", f"has {len(of)}; Envoy too wants at least two")
            return combine(of)
    if config.has("allow_missing"):
        return MayBeMissing()
    if config.has("allow_missing_or_failed"):
        return MayFail()
    raise config.error("", "empty; say whose token is required, or what may be missing")


def _known(config: Message, known: frozenset[str]) -> str:
    name = config.text("provider_name")
    if name not in known:
        raise config.error("provider_name", f"{name!r} is not in providers")
    return name


def _provider(name: str, config: Message) -> JwtProvider:
    subjects, normal = config.child("subjects"), config.child("normalize_payload_in_metadata")
    remote = config.child("remote_jwks")
    if remote is None and not config.has("local_jwks"):
        raise config.error("local_jwks", "missing; give local_jwks or remote_jwks")
    return JwtProvider(
        name=name,
        issuer=config.text("issuer"),
        audiences=config.texts("audiences"),
        subject=read_text_match(subjects) if subjects is not None else None,
        must_end=config.flag("require_expiration"),
        max_lifetime_s=config.seconds("max_lifetime", 0.0),
        clock_skew_s=config.number("clock_skew_seconds") or DEFAULT_SKEW_S,
        keys="" if remote is not None else read_data(config, "local_jwks"),
        remote=_remote(remote) if remote is not None else None,
        headers=tuple(
            (_name(header, "name"), header.text("value_prefix")) for header in config.children("from_headers")
        ),
        params=config.texts("from_params"),
        cookies=config.texts("from_cookies"),
        forward=config.flag("forward"),
        payload_header=config.text("forward_payload_header").lower(),
        padded=config.flag("pad_forward_payload_header"),
        claim_headers=tuple(
            (_name(claim, "header_name"), claim.text("claim_name")) for claim in config.children("claim_to_headers")
        ),
        payload_key=config.text("payload_in_metadata"),
        header_key=config.text("header_in_metadata"),
        split_claims=normal.texts("space_delimited_claims") if normal is not None else (),
    )


def _remote(config: Message) -> RemoteKeys:
    uri, fetch = config.child("http_uri"), config.child("async_fetch")
    if uri is None or not uri.text("cluster"):
        raise config.error("http_uri" if uri is None else "http_uri.cluster", "missing")
    timeout_s = uri.seconds("timeout", 0.0)
    if not timeout_s:
        raise uri.error("timeout", "missing; Envoy too wants one")
    split = urlsplit(uri.text("uri"))
    if not split.netloc:
        raise uri.error("uri", f"{uri.text('uri')!r} is no URL with a host")
    return RemoteKeys(
        cluster=uri.text("cluster"),
        authority=split.netloc,
        path=(split.path or "/") + (f"?{split.query}" if split.query else ""),
        timeout_s=timeout_s,
        cache_s=config.seconds("cache_duration", DEFAULT_CACHE_S),
        background=fetch is not None,
        retry_s=fetch.seconds("failed_refetch_duration", DEFAULT_RETRY_S) if fetch is not None else DEFAULT_RETRY_S,
    )


def _name(config: Message, field: str) -> str:
    name = config.text(field)
    if not name:
        raise config.error(field, "missing")
    return name.lower()
