"""Random access policies and random requests, made so that both decisions are common. Seeded: a number names a case."""

from __future__ import annotations

from random import Random
from typing import Any

PATHS = ("/", "/a", "/a/b", "/admin", "/admin/x", "/A", "/a?x=/admin", "/b%2Fc")
NAMES = ("x-one", "x-two")
VALUES = ("a", "ab", "b", "B", "a,b", "")
METHODS = ("GET", "POST", "DELETE")
HOSTS = ("shop", "shop.test", "SHOP")
NETWORKS = ("127.0.0.1/32", "10.0.0.0/8", "192.0.2.0/24", "127.0.0.0/7", "0.0.0.0/0", "::/0")
FORWARDED = ("", "10.1.2.3", "192.0.2.1, 10.0.0.1", "10.0.0.1, nobody", "2001:db8::1")
DEPTH = 3


def rbac(random: Random) -> dict[str, Any]:
    """Return an `envoy.config.rbac.v3.RBAC`."""
    policies = {f"p{at}": _policy(random) for at in range(random.choice((0, 1, 1, 2, 3)))}
    return {"action": random.choice(("ALLOW", "ALLOW", "DENY", "DENY", "LOG")), "policies": policies}


def _policy(random: Random) -> dict[str, Any]:
    return {
        "permissions": [_test(random, "rule", DEPTH) for _ in range(random.choice((1, 1, 2)))],
        "principals": [_test(random, "id", DEPTH) for _ in range(random.choice((1, 1, 2)))],
    }


def _test(random: Random, kind: str, depth: int) -> dict[str, Any]:
    """Return a permission (`rule`) or a principal (`id`)."""
    pick = random.random()
    if depth and pick < 0.35:
        several = [_test(random, kind, depth - 1) for _ in range(random.choice((1, 2, 3)))]
        return {f"{random.choice(('and', 'or'))}_{kind}s": {f"{kind}s": several}}
    if depth and pick < 0.45:
        return {f"not_{kind}": _test(random, kind, depth - 1)}
    if pick < 0.55:
        return {"any": True}
    if pick < 0.7:
        return {"url_path": {"path": _text(random, PATHS)}}
    if pick < 0.8:
        if kind == "id":
            return {random.choice(("source_ip", "direct_remote_ip", "remote_ip")): _network(random)}
        return (
            {"destination_ip": _network(random)} if random.random() < 0.7 else {"requested_server_name": {"exact": ""}}
        )
    if pick < 0.84 and kind == "id":
        return {"authenticated": random.choice(({}, {"principal_name": {"prefix": "spiffe"}}))}
    return {"header": _header(random)}


def _header(random: Random) -> dict[str, Any]:
    name, values = random.choice(
        (("x-one", VALUES), ("x-two", VALUES), (":method", METHODS), (":path", PATHS), (":authority", HOSTS))
    )
    field: dict[str, Any] = {"name": name, "invert_match": random.random() < 0.25}
    if random.random() < 0.2:
        return field | {"present_match": random.random() < 0.7}
    return field | {"string_match": _text(random, values)}


def _text(random: Random, values: tuple[str, ...]) -> dict[str, Any]:
    value = random.choice(values)
    kind = random.choice(("exact", "exact", "prefix", "suffix", "contains", "safe_regex"))
    if kind == "safe_regex":
        return {"safe_regex": {"regex": random.choice((".*a.*", "/?a+b?", "[A-Z].*", "b|shop", "(?i)SHOP.*"))}}
    if kind != "exact":
        value = value[: random.randint(1, max(1, len(value)))] or "a"
    return {kind: value, "ignore_case": random.random() < 0.3}


def _network(random: Random) -> dict[str, Any]:
    address, _, length = random.choice(NETWORKS).partition("/")
    return {"address_prefix": address, "prefix_len": int(length)}


def request(random: Random) -> bytes:
    """Return the head of a request without `Host`, which names the policy it is for."""
    lines = [f"{random.choice(METHODS)} {random.choice(PATHS)} HTTP/1.1"]
    for name in NAMES:
        # A header may be missing, or be there twice.
        lines += [f"{name}: {random.choice(VALUES)}" for _ in range(random.choice((0, 1, 1, 2)))]
    if forwarded := random.choice(FORWARDED):
        lines.append(f"x-forwarded-for: {forwarded}")
    return "\r\n".join(lines).encode()
