"""Rules of the filter rbac into questions of ours; source: envoy.config.rbac.v3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eventmesh.model.access import Off, Policy, Rbac, RuleAction, Rules, Step
from eventmesh.model.question import (
    All,
    AnyOf,
    Anything,
    Caller,
    DestinationIp,
    DestinationPort,
    HasMember,
    Header,
    IsFlag,
    IsNull,
    IsNumber,
    IsOne,
    IsText,
    IsThere,
    Metadata,
    Not,
    Principal,
    ServerName,
    SourceIp,
    Test,
    UrlPath,
    ValueTest,
)
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import read_matcher, read_text_match

MAX_PORT = 65_535


def read_rbac(config: Message) -> Rbac:
    """Return an `http.rbac.v3.RBAC`. Raises ConfigError with the path of what is wrong."""
    rules, shadow = config.child("rules"), config.child("shadow_rules")
    prefix = config.text("shadow_rules_stat_prefix")
    return Rbac(_rules(rules) if rules else None, _rules(shadow) if shadow else None, prefix)


def read_rbac_per_route(config: Message) -> Rbac | Off:
    """Return an `http.rbac.v3.RBACPerRoute`; without rules of its own it switches the filter off."""
    own = config.child("rbac")
    return read_rbac(own) if own is not None else Off()


READERS: Mapping[str, Callable[[Message], Step]] = {
    "envoy.extensions.filters.http.rbac.v3.RBAC": read_rbac,
    "envoy.extensions.filters.http.rbac.v3.RBACPerRoute": read_rbac_per_route,
}
"""How the filter and what routes say of it are read."""


def _rules(config: Message) -> Rules:
    policies = config.messages_by_key("policies")
    action = RuleAction[config.text("action", "ALLOW")]
    return Rules(action, tuple(_policy(name, policies[name]) for name in sorted(policies)))


def _policy(name: str, config: Message) -> Policy:
    permissions, principals = config.children("permissions"), config.children("principals")
    for field, given in (("permissions", permissions), ("principals", principals)):
        if not given:
            raise config.error(field, "empty; Envoy too wants at least one")
    return Policy(name, tuple(map(_permission, permissions)), tuple(map(_principal, principals)))


def _permission(config: Message) -> Test:
    if config.has("destination_port"):
        port = _port(config, "destination_port")
        return DestinationPort(port, port)
    span = config.child("destination_port_range")
    if span is not None:
        # Envoy's range ends before its end.
        return DestinationPort(_port(span, "start"), max(_port(span, "end", MAX_PORT + 1) - 1, 0))
    if network := config.child("destination_ip"):
        return DestinationIp(_network(network))
    if server_name := config.child("requested_server_name"):
        return ServerName(read_text_match(server_name))
    return _either(config, "rule", "rules", _permission)


def _principal(config: Message) -> Test:
    if authenticated := config.child("authenticated"):
        name = authenticated.child("principal_name")
        return Principal(read_text_match(name) if name else None)
    for field, caller in _CALLERS.items():
        if network := config.child(field):
            return SourceIp(caller, _network(network))
    return _either(config, "id", "ids", _principal)


_CALLERS = {"source_ip": Caller.DIRECT, "direct_remote_ip": Caller.DIRECT, "remote_ip": Caller.TOLD}


def _either(config: Message, one: str, several: str, read: Callable[[Message], Test]) -> Test:
    """Return what permissions and principals can say alike."""
    for field, combine in ((f"and_{several}", All), (f"or_{several}", AnyOf)):
        group = config.child(field)
        if group is not None:
            if not group.children(several):
                raise group.error(several, "empty; Envoy too wants at least one")
            return combine(tuple(map(read, group.children(several))))
    if (inner := config.child(f"not_{one}")) is not None:
        return Not(read(inner))
    if (header := config.child("header")) is not None:
        return Header(read_matcher(header))
    if (path := config.child("url_path")) is not None:
        text = path.child("path")
        if text is None:
            raise path.error("path", "missing")
        return UrlPath(read_text_match(text))
    if (metadata := config.child("metadata")) is not None:
        return read_metadata(metadata)
    if config.has("any"):
        if not config.flag("any"):
            raise config.error("any", "false says nothing; Envoy too wants true")
        return Anything()
    raise config.error("", "empty; say what is meant, or any: true")


def read_metadata(config: Message) -> Metadata:
    """Return a `matcher.MetadataMatcher`."""
    value = config.child("value")
    if value is None or not config.text("filter"):
        raise config.error("filter" if value is not None else "value", "missing")
    path = tuple(segment.text("key") for segment in config.children("path"))
    if not path or "" in path:
        raise config.error("path", "empty; give the keys from outside in")
    return Metadata(config.text("filter"), path, _value(value), config.flag("invert"))


def _value(config: Message) -> ValueTest:
    if config.has("null_match"):
        return IsNull()
    if config.has("bool_match"):
        return IsFlag(config.flag("bool_match"))
    if config.has("present_match"):
        return IsThere(config.flag("present_match"))
    if (text := config.child("string_match")) is not None:
        return IsText(read_text_match(text))
    if (number := config.child("double_match")) is not None:
        return _number(number)
    if (of := config.child("list_match")) is not None and (member := of.child("one_of")) is not None:
        return HasMember(_value(member))
    if (group := config.child("or_match")) is not None:
        return IsOne(tuple(map(_value, group.children("value_matchers"))))
    raise config.error("", "empty; say what the value must be")


def _number(config: Message) -> IsNumber:
    span = config.child("range")
    if span is not None:
        return IsNumber(span.decimal("start"), span.decimal("end"))
    exact = config.decimal("exact")
    return IsNumber(exact, exact)


def _network(config: Message) -> str:
    return f"{config.text('address_prefix')}/{config.number('prefix_len')}"


def _port(config: Message, field: str, most: int = MAX_PORT) -> int:
    port = config.number(field)
    if not 0 <= port <= most:
        raise config.error(field, f"{port} is no port; accepted are 0 to {most}")
    return port
