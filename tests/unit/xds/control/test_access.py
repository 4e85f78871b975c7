"""AuthorizationPolicy and RequestAuthentication: what is read, what is refused, and who is told."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.model.access import Rbac, RuleAction
from eventmesh.model.jwt import Jwt, MayBeMissing, OneRequired, TokenOf
from eventmesh.model.listener import Listener
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.control.access.reading import read_authentication, read_authorization
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.control.scope import Audience, audience_of
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.listener import read_listener
from tests.tokens import key_set

KEYS = key_set("ES256")


def _object(kind: str, name: str = "p", namespace: str = "ns", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "eventmesh.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def policy(name: str = "p", namespace: str = "ns", **spec: Any) -> Object:
    return _object("AuthorizationPolicy", name, namespace, **spec)


def tokens(name: str = "t", namespace: str = "ns", **rule: Any) -> Object:
    given = {"issuer": "i", "jwks": KEYS, **rule}
    said = {field: value for field, value in given.items() if value is not None}
    return _object("RequestAuthentication", name, namespace, jwtRules=[said])


class World:
    """A control without sockets: objects in, what a workload is told out."""

    def __init__(self, *objects: Object) -> None:
        self.watcher = Watcher()
        self.builder = ResourceBuilder(Settings())
        self.put(*objects)

    def put(self, *objects: Object) -> None:
        for obj in objects:
            authorizes = obj["kind"] == "AuthorizationPolicy"
            (self.watcher.authorization if authorizes else self.watcher.authentication)(None, obj)
        self.builder.update(self.watcher.of, self.watcher.take_changed())

    def told(self, namespace: str = "ns", **labels: str) -> Listener | None:
        audience = Audience(Role.SIDECAR, namespace, labels=frozenset(labels.items()))
        resource = self.builder.sets(audience)[ResourceType.LISTENER].get(INBOUND)
        if resource is None:
            return None
        warnings: list[str] = []
        message = read_wire(message_type("envoy.config.listener.v3.Listener"), resource.body, "", warnings)
        listener = read_listener(message, warnings).listener
        assert not warnings
        return listener


def steps_of(listener: Listener | None) -> list[str]:
    filters = listener.filters if listener is not None else None
    return [step.name for step in filters.access] if filters is not None else []


def test_nobody_is_told_anything_without_a_policy() -> None:
    assert World().told() is None


def test_tokens_come_first_then_who_must_not_then_who_may() -> None:
    world = World(policy("may"), policy("must-not", action="DENY", rules=[{}]), tokens())
    listener = world.told()
    assert steps_of(listener) == ["jwt", "deny", "allow"]
    assert listener is not None and listener.filters is not None
    jwt, deny, allow = (step.step for step in listener.filters.access)
    assert isinstance(jwt, Jwt) and isinstance(deny, Rbac) and isinstance(allow, Rbac)
    assert jwt.rules[0].requires == OneRequired((TokenOf("ns/t[0]"), MayBeMissing()))
    assert deny.rules is not None and deny.rules.action is RuleAction.DENY and len(deny.rules.policies) == 1
    assert allow.rules is not None and not allow.rules.policies, "without rules ALLOW lets nobody through"


def test_a_policy_holds_for_the_workloads_it_selects_and_the_meshs_own_for_all() -> None:
    world = World(policy(selector={"matchLabels": {"app": "a"}}))
    assert steps_of(world.told(app="a", more="x")) == ["allow"] and world.told(app="b") is None
    assert world.told("other", app="a") is None
    world.put(policy("everywhere", "eventmesh-system", action="DENY", rules=[{}]))
    assert steps_of(world.told(app="a")) == ["deny", "allow"] and steps_of(world.told("other")) == ["deny"]
    assert world.builder.affects(Audience(Role.SIDECAR, "other")), "the mesh's own concern everybody"


def test_a_policy_that_is_gone_is_told_no_more() -> None:
    world = World(gone := policy())
    assert world.told() is not None
    world.watcher.authorization(gone, None)
    world.put()
    assert world.told() is None


def test_who_is_told_of_a_policy_is_told_when_none_is_left() -> None:
    """A sidecar to whom nothing is said of `inbound` goes on by what it has heard last."""
    gone = policy("gone", rules=[{}])
    world = World(gone)
    workload = Audience(Role.SIDECAR, "ns")
    told = world.builder.sets(workload)[ResourceType.LISTENER][INBOUND]
    world.watcher.authorization(gone, None)
    world.put()
    left = world.builder.sets(workload)[ResourceType.LISTENER][INBOUND]
    assert left.version != told.version and steps_of(world.told()) == []
    del told
    world.put()
    assert world.builder.sets(workload)[ResourceType.LISTENER][INBOUND] is left


def test_a_listener_is_built_once_and_kept_no_longer_than_somebody_is_told_of_it() -> None:
    world = World(policy(rules=[{}]))
    revision = Audience(Role.SIDECAR, "ns", labels=frozenset({("revision", "cart-00001")}))
    told = world.builder.sets(revision)[ResourceType.LISTENER][INBOUND]
    world.put()
    assert world.builder.sets(revision)[ResourceType.LISTENER][INBOUND] is told
    kept = weakref.ref(told)
    del told
    gc.collect()
    assert kept() is None


def _verifies(world: World) -> list[bool]:
    """Tell of each issuer that is looked at whether there are keys."""
    resource = world.builder.sets(Audience(Role.SIDECAR, "ns"))[ResourceType.LISTENER].get(INBOUND)
    return [b"no-key-set" not in resource.body] if resource is not None else []


@pytest.mark.parametrize("former", [{"jwks": KEYS}, {"jwks": None, "jwksUri": "https://a/"}])
def test_tokens_of_an_issuer_whose_keys_move_are_refused_until_it_has_answered(former: Object) -> None:
    world = World()
    world.watcher.key_set("https://a/", KEYS)
    world.put(tokens(**former))
    assert _verifies(world) == [True]
    world.put(tokens(jwks=None, jwksUri="https://b/"))
    assert _verifies(world) == [False]
    world.watcher.key_set("https://b/", KEYS)
    world.put()
    assert _verifies(world) == [True]


def test_tokens_of_an_issuer_that_is_new_are_not_looked_at_until_it_has_answered() -> None:
    world = World(tokens(jwks=None, jwksUri="https://a/"))
    assert _verifies(world) == []
    world.put(tokens(jwks=None, jwksUri="https://a/", timeout="9s"))
    assert _verifies(world) == []
    world.put(tokens(jwks=KEYS), tokens(issuer="other", jwks=None, jwksUri="https://a/"))
    assert _verifies(world) == []


def test_all_rules_can_be_carried_out() -> None:
    source = {
        "principals": ["cluster.local/ns/a/sa/b", "*/sa/b", "cluster.local/*", "*"], "notPrincipals": ["x"],
        "requestPrincipals": ["i/s", "i/*", "*"], "namespaces": ["a", "b-*"], "ipBlocks": ["10.0.0.0/8", "::1"],
        "remoteIpBlocks": ["192.0.2.1"],
    }  # fmt: skip
    operation = {
        "hosts": ["a.b", "*.b"], "ports": ["80"], "methods": ["GET"], "paths": ["/a*", "*"], "notPaths": ["/a/b"]
    }  # fmt: skip
    keys = {
        "source.ip": "10.0.0.1", "remote.ip": "10.0.0.0/8", "source.namespace": "a", "source.principal": "b",
        "request.auth.principal": "i/s", "request.auth.audiences": "a", "request.auth.presenter": "a",
        "request.headers[X-A]": "a*", "request.auth.claims[realm][roles]": "admin",
    }  # fmt: skip
    when = [{"key": key, "values": [value], "notValues": [value]} for key, value in keys.items()]
    rule = {"from": [{"source": source}], "to": [{"operation": operation}], "when": when}
    assert steps_of(World(policy(rules=[rule])).told()) == ["allow"]


def _told(errors: list[FieldError]) -> str:
    return "; ".join(f"{error.path}: {error.message}" for error in errors)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"action": "CUSTOM"}, "spec.provider.name: missing"),
        ({"provider": {"name": "opa"}}, "spec.provider: nobody is asked by action ALLOW"),
        ({"action": "AUDIT"}, "spec.action: 'AUDIT' is not one of ALLOW, CUSTOM, DENY"),
        ({"rules": [{"form": []}]}, "spec.rules[0].form: there is no such field"),
        ({"rules": [{"from": [{"source": {}}]}]}, "spec.rules[0].from[0].source: is empty"),
        ({"rules": [{"from": [{"source": {"principals": []}}]}]}, "source.principals: is empty"),
        ({"rules": [{"from": [{"source": {"principals": ["a*b"]}}]}]}, "principals[0]: 'a*b' is no text"),
        ({"rules": [{"from": [{"source": {"ipBlocks": ["10.0.0.0/40"]}}]}]}, "ipBlocks[0]: "),
        ({"rules": [{"from": [{"source": {"requestPrincipals": ["me"]}}]}]}, "'me' is not ISSUER/SUBJECT"),
        ({"rules": [{"to": [{"operation": {"ports": ["http"]}}]}]}, "ports[0]: 'http' is no port"),
        ({"rules": [{"when": [{"key": "x"}]}]}, "when[0].key: 'x' is not supported"),
        ({"rules": [{"when": [{"key": "source.ip"}]}]}, "when[0].values: missing"),
        ({"rules": [{}] * 129}, "spec.rules: has 129 members; at most 128"),
        ({"rules": [{"to": [{"operation": {"paths": ["/"] * 257}}]}]}, "paths: has 257 members; at most 256"),
        ({"rules": [{"to": [{"operation": {"paths": ["/" * 1025]}}]}]}, "1 to 1024 characters"),
        ({"selector": {"matchLabels": {"a": 1}}}, "spec.selector.matchLabels: expected texts"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(spec: dict[str, Any], path: str) -> None:
    value, errors = read_authorization(policy(**spec))
    assert value is None and path in _told(errors)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"issuer": ""}, "spec.jwtRules[0].issuer"),
        ({"jwks": ""}, "spec.jwtRules[0].jwks: missing"),
        ({"jwks": "{}"}, "spec.jwtRules[0].jwks: the key set has no list"),
        ({"jwksUri": "https://i/keys"}, "spec.jwtRules[0].jwks: contradicts jwksUri"),
        *(
            ({"jwks": None, "jwksUri": bad}, "spec.jwtRules[0].jwksUri: ")
            for bad in (
                "",
                "ftp://i/keys",
                "https://",
                "https://u:p@i/",
                "https://i/a b",
                "https://i/#x",
                7,
                "http://i:0/",
                "http://i:x/",
                f"https://i/{'x' * 1100}",
            )
        ),
        (
            {"jwks": None, "jwksUri": "https://i/keys", "timeout": "31s"},
            "spec.jwtRules[0].timeout: 31s is longer than 30s",
        ),
        ({"outputPayloadToHeader": "x y"}, "spec.jwtRules[0].outputPayloadToHeader: 'x y' does not match"),
        ({"fromHeaders": [{}]}, "spec.jwtRules[0].fromHeaders[0].name"),
        ({"timeout": "5s"}, "spec.jwtRules[0].timeout: nothing is fetched"),
    ],
)
def test_what_is_wrong_with_a_request_authentication_is_named(rule: dict[str, Any], path: str) -> None:
    value, errors = read_authentication(tokens(**rule))
    assert value is None and path in _told(errors)


def test_a_request_authentication_has_rules_up_to_a_limit() -> None:
    rule = {"issuer": "i", "jwks": KEYS}
    for count in (0, 17):
        value, errors = read_authentication(_object("RequestAuthentication", jwtRules=[rule] * count))
        assert value is None and f"has {count} members; accepted are 1 to 16" in _told(errors)


def test_one_that_is_not_understood_holds_for_nobody_and_says_why() -> None:
    world = World(policy(action="CUSTOM"), tokens(jwks="x"))
    assert world.told() is None
    assert [*map(str, world.watcher.invalid_access), *map(str, world.watcher.invalid_tokens)] == ["ns/p", "ns/t"]


def test_a_node_is_known_by_the_labels_of_its_pod() -> None:
    labels = {"app": "a", "pod-template-hash": "x", "odd": 1}
    node = Node("id", metadata={"role": "sidecar", "namespace": "ns", "labels": labels})
    assert audience_of(node).labels == {("app", "a")}


def test_a_policy_of_the_meshs_own_namespace_selects_its_own_workloads_once() -> None:
    world = World(policy(namespace=SYSTEM_NAMESPACE, rules=[{}]))
    assert [one.key.name for one in world.builder.access.policies(SYSTEM_NAMESPACE, {})] == ["p"]
