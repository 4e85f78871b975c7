"""Reads AuthorizationPolicy and RequestAuthentication objects, and says of each wrong field what is wrong. Pure.

The shapes are Istio's v1, as far as Envoy's filters rbac and jwt_authn carry them out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from eventmesh.core import check_keys
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.xds.control.access.conditions import KEYS, OPERATIONS, PAYLOAD, SOURCES, Make, by_key
from eventmesh.xds.control.access.values import Action, AuthorizationPolicy, RequestAuthentication, TokenIssuer
from eventmesh.xds.control.field_reader import FieldReader

MAX_RULES: Final = 128
"""Of one object. All are asked about every request that none of them means."""
MAX_VALUES: Final = 256
"""Of one list: the same."""
MAX_TEXT: Final = 1024
"""Longest value: hosts, paths and issuers of real systems have some dozens of characters."""
MAX_ISSUERS: Final = 16
"""Istio's bound on jwtRules is 4096; a token is looked for where each of them has it."""

DEFAULT_FETCH_S: Final = 5.0
"""Istio's."""
MAX_FETCH_S: Final = 30.0
"""Longest time for one key set: there are only so many fetches at once."""

_ADDRESS: Final = re.compile(rf"https?://[!$-;=?-Z_a-z~\[\]]{{1,{MAX_TEXT - 8}}}")
"""Without blanks, quotes and fragments."""
_HEADER: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]{1,256}")

_ACTIONS: Final = frozenset(action.value for action in Action)


def read_authorization(obj: Object) -> tuple[AuthorizationPolicy | None, list[FieldError]]:
    """Return the policy, None if anything is wrong with it, and everything that is wrong."""
    read = FieldReader()
    spec = read.mapping(obj, "spec", "", frozenset({"selector", "action", "provider", "rules"}))
    action = spec.get("action") or "ALLOW"
    read.one_of(action, _ACTIONS, "spec.action")
    provider = _text(read, read.mapping(spec, "provider", "spec", frozenset({"name"})), "name", "spec.provider")
    if action == "CUSTOM" and not provider:
        read.wrong("spec.provider.name", "missing; name one of the mesh's extensionProviders")
    elif action != "CUSTOM" and "provider" in spec:
        read.wrong("spec.provider", f"nobody is asked by action {action}; leave it out, or say CUSTOM")
    rules = [_rule(read, rule, f"spec.rules[{at}]") for at, rule in enumerate(_items(read, spec, "rules", "spec"))]
    selector = read_selector(read, spec)
    if read.errors:
        return None, read.errors
    return AuthorizationPolicy(key_of(obj), selector, Action(action), tuple(rules), provider), []


def _rule(read: FieldReader, value: object, at: str) -> Object:
    rule = read.members(value, at, frozenset({"from", "to", "when"}))
    sources = [
        _all(read, read.mapping(item, "source", path, _fields(SOURCES)), f"{path}.source", SOURCES, "id")
        for path, item in _members(read, rule, "from", at, "source")
    ]
    operations = [
        _all(read, read.mapping(item, "operation", path, _fields(OPERATIONS)), f"{path}.operation", OPERATIONS, "rule")
        for path, item in _members(read, rule, "to", at, "operation")
    ]
    when = [_when(read, item, f"{at}.when[{number}]") for number, item in enumerate(_items(read, rule, "when", at))]
    principal = {"and_ids": {"ids": [_one(sources, "id"), *when]}} if when else _one(sources, "id")
    return {"permissions": [_one(operations, "rule")], "principals": [principal]}


def _fields(makes: Mapping[str, Make]) -> frozenset[str]:
    return frozenset((*makes, *(_negated(name) for name in makes)))


def _negated(name: str) -> str:
    return f"not{name[0].upper()}{name[1:]}"


def _members(
    read: FieldReader, rule: Mapping[str, Any], name: str, at: str, member: str
) -> list[tuple[str, Mapping[str, Any]]]:
    items = enumerate(_items(read, rule, name, at))
    paths = [(f"{at}.{name}[{number}]", item) for number, item in items]
    return [(path, read.members(item, path, frozenset({member}))) for path, item in paths]


def _all(read: FieldReader, owner: Mapping[str, Any], at: str, makes: Mapping[str, Make], kind: str) -> Object:
    """Return what asks for all fields of a source or an operation; each for one of its values."""
    if not owner and not read.errors:
        read.wrong(at, "is empty; leave it out, or say who or what is meant")
    asked: list[Object] = []
    for name, make in makes.items():
        if name in owner:
            asked.append(_one(_values(read, owner, name, at, make), kind))
        if _negated(name) in owner:
            asked.append({f"not_{kind}": _one(_values(read, owner, _negated(name), at, make), kind)})
    return {f"and_{kind}s": {f"{kind}s": asked}} if asked else {"any": True}


def _when(read: FieldReader, value: object, at: str) -> Object:
    item = read.members(value, at, frozenset({"key", "values", "notValues"}))
    key = item.get("key")
    make = by_key(key) if isinstance(key, str) else None
    if make is None:
        read.wrong(f"{at}.key", f"{key!r} is not supported; {', '.join(KEYS)} are")
        return {"any": True}
    if not item.get("values") and not item.get("notValues"):
        read.wrong(f"{at}.values", "missing; give values or notValues")
    asked = [_one(_values(read, item, "values", at, make), "id")] if item.get("values") else []
    if item.get("notValues"):
        asked.append({"not_id": _one(_values(read, item, "notValues", at, make), "id")})
    return {"and_ids": {"ids": asked}}


def _one(asked: list[Object], kind: str) -> Object:
    """Return what asks for one of several things; nothing said means anything."""
    return {f"or_{kind}s": {f"{kind}s": asked}} if asked else {"any": True}


def _values(read: FieldReader, owner: Mapping[str, Any], name: str, at: str, make: Make) -> list[Object]:
    values = _items(read, owner, name, at)
    if not values:
        read.wrong(f"{at}.{name}", "is empty; leave it out, or give values")
    made = []
    for number, value in enumerate(values):
        path = f"{at}.{name}[{number}]"
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "*" in value[1:-1]:
            read.wrong(path, f"{value!r} is no text of 1 to {MAX_TEXT} characters with a * at its beginning or end")
            continue
        try:
            made.append(make(value))
        except ValueError as error:
            read.wrong(path, str(error))
    return made


def _items(read: FieldReader, owner: Mapping[str, Any], name: str, at: str) -> list[Any]:
    found = owner.get(name) or []
    most = MAX_RULES if name in ("rules", "from", "to", "when") else MAX_VALUES
    if not isinstance(found, list):
        read.wrong(f"{at}.{name}", "expected a list")
        return []
    if len(found) > most:
        read.wrong(f"{at}.{name}", f"has {len(found)} members; at most {most} are accepted")
        return []
    return found


def read_selector(read: FieldReader, spec: Mapping[str, Any]) -> Mapping[str, str]:
    """Return which workloads a policy is for, by their labels; empty: all of its namespace."""
    selector = read.mapping(spec, "selector", "spec", frozenset({"matchLabels"}))
    labels = selector.get("matchLabels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        read.wrong("spec.selector.matchLabels", "expected texts by name")
        return {}
    return labels


# ---- whose tokens

_TEXTS: Final = {"audiences": "audiences", "fromParams": "from_params", "fromCookies": "from_cookies"}
_RULE: Final = frozenset(
    ("issuer", "jwks", "jwksUri", "timeout", "fromHeaders", "outputPayloadToHeader", "outputClaimToHeaders", *_TEXTS)
) | {"forwardOriginalToken"}


def read_authentication(obj: Object) -> tuple[RequestAuthentication | None, list[FieldError]]:
    """Return the RequestAuthentication, None if anything is wrong with it, and everything that is wrong."""
    read = FieldReader()
    spec = read.mapping(obj, "spec", "", frozenset({"selector", "jwtRules"}))
    rules = _items(read, spec, "jwtRules", "spec")
    if not 0 < len(rules) <= MAX_ISSUERS:
        read.wrong("spec.jwtRules", f"has {len(rules)} members; accepted are 1 to {MAX_ISSUERS}")
    issuers = [_issuer(read, rule, f"spec.jwtRules[{at}]") for at, rule in enumerate(rules)]
    selector = read_selector(read, spec)
    if read.errors:
        return None, read.errors
    return RequestAuthentication(key_of(obj), selector, tuple(issuers)), []


def _issuer(read: FieldReader, value: object, at: str) -> TokenIssuer:
    rule = read.members(value, at, _RULE)
    provider: Object = {
        "issuer": _text(read, rule, "issuer", at, needed=True),
        "forward": rule.get("forwardOriginalToken") is True,
        "payload_in_metadata": PAYLOAD,
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
    }
    for name, field in _TEXTS.items():
        if rule.get(name):
            provider[field] = [one for one in _items(read, rule, name, at) if isinstance(one, str)]
    headers = [
        {"name": _text(read, item, "name", path, needed=True), "value_prefix": _text(read, item, "prefix", path)}
        for path, item in _objects(read, rule, "fromHeaders", at, frozenset({"name", "prefix"}))
    ]
    claims = [
        {
            "header_name": read.text(item, "header", path, _HEADER, needed=True),
            "claim_name": _text(read, item, "claim", path, needed=True),
        }
        for path, item in _objects(read, rule, "outputClaimToHeaders", at, frozenset({"header", "claim"}))
    ]
    output = read.text(rule, "outputPayloadToHeader", at, _HEADER, needed=False)
    given = {"from_headers": headers, "claim_to_headers": claims, "forward_payload_header": output}
    terms = provider | {name: member for name, member in given.items() if member}
    if "jwksUri" in rule:
        if "jwks" in rule:
            read.wrong(f"{at}.jwks", "contradicts jwksUri; give one of the two")
        return TokenIssuer(terms, _address(read, rule, at), _timeout_s(read, rule, at))
    if "timeout" in rule:
        read.wrong(f"{at}.timeout", "nothing is fetched; leave it out, or give jwksUri")
    return TokenIssuer(terms | {"local_jwks": {"inline_string": _keys(read, rule, at)}})


def _address(read: FieldReader, rule: Mapping[str, Any], at: str) -> str:
    """Return where a key set is fetched. Where that is (a private network, say) is its author's affair."""
    text = rule["jwksUri"]
    if isinstance(text, str) and _ADDRESS.fullmatch(text) is not None:
        try:
            split = urlsplit(text)
            if split.hostname and split.port != 0 and split.username is None:
                return text
        except ValueError:
            pass
    read.wrong(
        f"{at}.jwksUri", f"{text!r} is no http or https URL of up to {MAX_TEXT} characters, without a user in it"
    )
    return ""


def _timeout_s(read: FieldReader, rule: Mapping[str, Any], at: str) -> float:
    seconds = read.seconds(rule, "timeout", at)
    if seconds is not None and seconds > MAX_FETCH_S:
        read.wrong(f"{at}.timeout", f"{rule['timeout']} is longer than {MAX_FETCH_S:g}s")
    return DEFAULT_FETCH_S if seconds is None else seconds


def _keys(read: FieldReader, rule: Mapping[str, Any], at: str) -> str:
    text = rule.get("jwks")
    try:
        check_keys(text if isinstance(text, str) else "")
    except ValueError as error:
        read.wrong(
            f"{at}.jwks", f"the key set {error}" if text else "missing; give the key set, or where it is in jwksUri"
        )
    return text if isinstance(text, str) else ""


def _objects(
    read: FieldReader, rule: Mapping[str, Any], name: str, at: str, known: frozenset[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    paths = [(f"{at}.{name}[{number}]", item) for number, item in enumerate(_items(read, rule, name, at))]
    return [(path, read.members(item, path, known)) for path, item in paths]


def _text(read: FieldReader, owner: Mapping[str, Any], name: str, at: str, *, needed: bool = False) -> str:
    value = owner.get(name) or ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or (needed and not value):
        read.wrong(f"{at}.{name}", f"{value!r} is no text of {1 if needed else 0} to {MAX_TEXT} characters")
        return ""
    return value
