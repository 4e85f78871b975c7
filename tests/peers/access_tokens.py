"""Random requirements, and random tokens of which some are good. Seeded, but for the keys, which decide nothing."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from eventmesh.base.clock import SystemClock
from tests.tokens import ALGORITHMS, encoded, key_set, sign, token

ISSUERS = ("https://one.test", "two")
AUDIENCES = ("shop", "https://shop/", "bank")
PROVIDERS = ("one", "two", "any")
PATHS = ("/", "/a", "/a/b", "/open")


def authentication(random: Random) -> dict[str, Any]:
    """Return the body of a `JwtAuthentication`."""
    rules = [
        {"match": {random.choice(("prefix", "path")): random.choice(PATHS)}, **_requires(random)}
        for _ in range(random.choice((0, 1, 2)))
    ]
    return {"providers": _providers(random), "rules": [*rules, {"match": {"prefix": "/"}, **_requires(random)}]}


def _providers(random: Random) -> dict[str, Any]:
    found = {}
    for name, issuer in zip(PROVIDERS, (*ISSUERS, ""), strict=True):
        keys = key_set(*random.sample(ALGORITHMS, random.choice((3, len(ALGORITHMS)))))
        provider: dict[str, Any] = {"local_jwks": {"inline_string": keys}, "payload_in_metadata": name}
        if issuer:
            provider["issuer"] = issuer
        if random.random() < 0.4:
            provider["audiences"] = random.sample(AUDIENCES, 1)
        if random.random() < 0.2:
            provider["require_expiration"] = True
        if random.random() < 0.3:
            provider["from_headers"] = [{"name": "x-token", "value_prefix": random.choice(("", "JWT "))}]
            provider["from_params"] = ["t"]
        found[name] = provider
    return found


def _requires(random: Random) -> dict[str, Any]:
    return {} if random.random() < 0.1 else {"requires": _requirement(random)}


def _requirement(random: Random) -> dict[str, Any]:
    several = [_of(random, name) for name in random.sample(PROVIDERS, 2)]
    lenient: dict[str, Any] = {random.choice(("allow_missing", "allow_missing_or_failed")): {}}
    return random.choice(
        (
            several[0],
            lenient,
            {"requires_any": {"requirements": several}},
            {"requires_any": {"requirements": [*several, lenient]}},
            {"requires_all": {"requirements": [{"requires_any": {"requirements": [one, lenient]}} for one in several]}},
        )
    )


def _of(random: Random, name: str) -> dict[str, Any]:
    if random.random() < 0.7:
        return {"provider_name": name}
    return {"provider_and_audiences": {"provider_name": name, "audiences": random.sample(AUDIENCES, 1)}}


def rules(random: Random) -> dict[str, Any]:
    """Return an `envoy.config.rbac.v3.RBAC` that looks into tokens."""
    principal = {
        "metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": random.choice(PROVIDERS)}, {"key": random.choice(("iss", "sub", "aud", "n", "no"))}],
            "value": random.choice(
                (
                    {"string_match": {"exact": random.choice((*ISSUERS, "me"))}},
                    {"list_match": {"one_of": {"string_match": {"prefix": "sh"}}}},
                    {"double_match": {"range": {"start": 1, "end": 3}}},
                    {"present_match": random.random() < 0.5},
                )
            ),
            "invert": random.random() < 0.3,
        }
    }
    policy = {"permissions": [{"any": True}], "principals": [principal, {"not_id": principal}][: random.choice((1, 2))]}
    return {"action": random.choice(("ALLOW", "DENY")), "policies": {"p": policy}}


def request(random: Random) -> bytes:
    """Return the head of a request without `Host`, which names the policy it is for."""
    path, lines = random.choice(PATHS), []
    match random.choice(("bearer", "bearer", "header", "query", "no")):
        case "bearer":
            lines.append(f"authorization: {random.choice(('Bearer ', 'Bearer ', 'bearer ', 'Basic '))}{_token(random)}")
        case "header":
            lines.append(f"x-token: {random.choice(('', 'JWT '))}{_token(random)}")
        case "query":
            path += f"?{random.choice(('access_token', 't', 'x'))}={_token(random)}"
    return "\r\n".join((f"GET {path} HTTP/1.1", *lines)).encode()


def _token(random: Random) -> str:
    now = int(SystemClock().now().timestamp())
    # Times are far from the moments at which a clock that ticks between two answers decides.
    claims: dict[str, Any] = {
        "iss": random.choice((*ISSUERS, *ISSUERS, "other", 7)),
        "sub": random.choice(("me", "you", 1.5, None)),
        "aud": random.choice(("shop", ["shop", "bank"], ["http://shop"], "other", 1, [1])),
        "exp": random.choice((now + 3600, now + 3600, now + 30.5, now - 3600, "soon", -1, 0)),
        "nbf": random.choice((now - 3600, now + 3600, 0, "x")),
        "iat": random.choice((now, -5, "x")),
        "n": random.choice((1, 2.5, "2")),
    }
    defaults = {"sub": "me", "aud": "shop", "exp": now + 3600, "nbf": 0, "iat": now}
    for name, value in defaults.items():
        if random.random() < 0.8:
            claims[name] = value
    for name in list(claims):
        if claims[name] is None or random.random() < 0.1:
            del claims[name]
    algorithm = random.choice(ALGORITHMS)
    pick = random.random()
    if pick < 0.75:
        return token(claims, algorithm, name="" if random.random() < 0.85 else "stranger")
    if pick < 0.9:
        return token(claims, algorithm, header=_header(random, algorithm))
    return _spoilt(random, token(claims, algorithm))


def _header(random: Random, algorithm: str) -> dict[str, Any]:
    return random.choice(
        (
            {"alg": algorithm},
            {"alg": algorithm, "kid": "other"},
            {"alg": random.choice((*ALGORITHMS, "none", "ES521"))},
            {"alg": 1},
            {"kid": algorithm},
            {"alg": algorithm, "kid": 5},
        )
    )


def _spoilt(random: Random, text: str) -> str:
    header, payload, signature = text.split(".")
    junk = random.choice(("", "a", "aaaaa", encoded(b"[1]"), encoded(b"{"), encoded(b"{}"), "__--"))
    match random.randrange(5):
        case 0:
            return f"{junk}.{payload}.{signature}"
        case 1:
            signed = f"{header}.{junk}"
            return f"{signed}.{encoded(sign(signed.encode(), 'ES256'))}"
        case 2:
            return f"{header}.{payload}.{junk}"
        case 3:
            return random.choice((f"{header}.{payload}", f"{text}.x", "", ".", "..", json.dumps("a")))
    return text[: random.randrange(len(text))]
