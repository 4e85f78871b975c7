"""Extension providers: what is read, whom they are asked about, and what becomes of requests without them."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.model.access import Rbac, RuleAction
from eventmesh.model.authz import AskedByGrpc, AskedByHttp, ExtAuthz
from eventmesh.model.match import TextKind
from eventmesh.xds.control.access.providers import CONFIG_MAP, MAX_HEADERS, MAX_LENGTH, MAX_PROVIDERS, read_providers
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import BROKER_CLUSTER
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Variant
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.dialogue import Client
from tests.unit.xds.control.test_access import World, policy, steps_of

GRPC = """
extensionProviders:
- name: opa
  envoyExtAuthzGrpc: {service: opa.auth.svc.cluster.local, port: 9191, timeout: 1500ms}
"""
HTTP = """
extensionProviders:
- name: portal
  envoyExtAuthzHttp:
    service: auth/portal.auth.svc.cluster.local
    port: 80
    failOpen: true
    statusOnError: "503"
    pathPrefix: /check
    includeRequestHeadersInCheck: [cookie, x-ext-*]
    includeAdditionalHeadersInCheck: {X-From: mesh}
    headersToUpstreamOnAllow: [authorization]
    headersToDownstreamOnDeny: ["*-why"]
    headersToDownstreamOnAllow: [set-cookie]
    includeRequestBodyInCheck: {maxRequestBytes: 4096, allowPartialMessage: true}
"""


def settings(text: str) -> Object:
    metadata = {"name": "config-mesh", "namespace": "eventmesh-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": text}}


def service(name: str, port: int, protocol: str = "") -> Object:
    said = {"appProtocol": protocol} if protocol else {}
    spec = {"selector": {"app": name}, "ports": [{"name": "p", "port": port, **said}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "auth"}, "spec": spec}


def custom(name: str = "ask", provider: str = "opa", **spec: Any) -> Object:
    return policy(name, action="CUSTOM", provider={"name": provider}, **{"rules": [{}], **spec})


def world(text: str, *objects: Object) -> World:
    made = World()
    made.watcher.config_map(None, settings(text))
    for obj in objects:
        made.watcher.service(None, obj)
    return made


OPA = service("opa", 9191, "grpc")
MANY = "a," * (MAX_HEADERS + 1)


def test_whom_a_policy_means_is_noted_and_asked_about_between_tokens_and_denials() -> None:
    mesh = world(GRPC, OPA)
    mesh.put(policy("may"), policy("must-not", action="DENY", rules=[{}]), custom())
    listener = mesh.told()
    assert steps_of(listener) == ["meant/opa", "ask/opa", "deny", "allow"]
    assert listener is not None and listener.filters is not None
    noting, asking, *_ = (step.step for step in listener.filters.access)
    assert isinstance(noting, Rbac) and noting.rules is None and noting.shadow is not None
    assert [one.name for one in noting.shadow.policies] == ["ns/ask[0]"]
    assert isinstance(asking, ExtAuthz) and asking.enabled_if is not None and not asking.fail_open
    assert asking.enabled_if.path == (f"{noting.shadow_prefix}shadow_effective_policy_id",)
    assert asking.service.cluster == "auth/opa:9191" and asking.service.timeout_s == 1.5
    assert asking.service.by == AskedByGrpc("opa.auth.svc.cluster.local:9191")


def test_all_that_a_provider_over_http_says_reaches_the_filter() -> None:
    mesh = world(HTTP, service("portal", 80))
    mesh.put(custom(provider="portal"))
    listener = mesh.told()
    assert listener is not None and listener.filters is not None
    asking = listener.filters.access[1].step
    assert isinstance(asking, ExtAuthz) and asking.fail_open and asking.status_on_error == 503
    assert asking.service.timeout_s == 10.0 and asking.body is not None and asking.body.max_bytes == 4096
    assert asking.allowed is not None and [(one.kind, one.value) for one in asking.allowed] == [
        (TextKind.EXACT, "cookie"),
        (TextKind.PREFIX, "x-ext-"),
    ]
    by = asking.service.by
    assert isinstance(by, AskedByHttp) and by.prefix == "/check" and by.add == (("x-from", "mesh"),)
    assert [one.value for one in by.upstream] == ["authorization"]
    assert by.client is not None and [(one.kind, one.value) for one in by.client] == [(TextKind.SUFFIX, "-why")]
    assert [one.value for one in by.client_on_success] == ["set-cookie"]


def test_each_provider_is_asked_about_those_whom_its_own_policies_mean() -> None:
    mesh = world(GRPC + HTTP.removeprefix("\nextensionProviders:\n"), OPA, service("portal", 80))
    mesh.put(custom("a"), custom("b", "portal"), custom("c"))
    listener = mesh.told()
    assert steps_of(listener) == ["meant/opa", "ask/opa", "meant/portal", "ask/portal"]
    assert listener is not None and listener.filters is not None
    noted = [step.step for step in listener.filters.access if isinstance(step.step, Rbac)]
    names = [[one.name for one in step.shadow.policies] for step in noted if step.shadow is not None]
    assert names == [["ns/a[0]", "ns/c[0]"], ["ns/b[0]"]]


@pytest.mark.parametrize(
    ("text", "services", "reason", "words"),
    [
        ("", [OPA], "UnknownProvider", "extensionProviders of eventmesh-system/config-mesh has no 'opa'"),
        (GRPC, [], "ProviderNotFound", "there is no Service auth/opa"),
        (GRPC, [service("opa", 80, "grpc")], "ProviderNotFound", "Service auth/opa has no port 9191"),
        (GRPC, [service("opa", 9191)], "ProviderNotFound", "is not one of gRPC; say appProtocol: grpc"),
        (HTTP.replace("portal", "opa"), [service("opa", 80, "bolt")], "ProviderNotFound", "does not speak HTTP"),
        (GRPC.replace("9191", "0"), [OPA], "InvalidProvider", "opa.envoyExtAuthzGrpc.port"),
    ],
)
def test_where_nobody_can_be_asked_whom_the_rules_mean_is_refused_and_the_policy_says_why(
    text: str, services: list[Object], reason: str, words: str
) -> None:
    mesh = world(text, *services)
    mesh.put(custom())
    listener = mesh.told()
    assert steps_of(listener) == ["deny"] and listener is not None and listener.filters is not None
    denying = listener.filters.access[0].step
    assert isinstance(denying, Rbac) and denying.rules is not None and denying.rules.action is RuleAction.DENY
    assert [one.name for one in denying.rules.policies] == ["ns/ask[0]"]
    ((key, (found, message)),) = mesh.builder.access.lacks().items()
    assert key == Key("ns", "ask") and found == reason and words in message and "are refused" in message


def test_a_provider_that_comes_is_asked_from_then_on() -> None:
    mesh = world(GRPC)
    mesh.put(custom())
    mesh.watcher.service(None, OPA)
    mesh.put()
    assert steps_of(mesh.told()) == ["meant/opa", "ask/opa"] and not mesh.builder.access.lacks()
    assert mesh.builder.affects(Audience(Role.SIDECAR, "ns"))


def test_a_sidecar_is_told_of_the_service_it_asks_beyond_its_scope_and_others_are_not() -> None:
    mesh = world(GRPC, OPA)
    mesh.put(custom(selector={"matchLabels": {"app": "a"}}))
    asking = Audience(Role.SIDECAR, "ns", labels=frozenset({("app", "a")}))
    for type_ in (ResourceType.CLUSTER, ResourceType.ENDPOINT):
        assert "auth/opa:9191" in mesh.builder.sets(asking)[type_]
        assert "auth/opa:9191" not in mesh.builder.sets(Audience(Role.SIDECAR, "ns"))[type_]


def test_a_sidecar_that_asks_for_hosts_on_demand_is_told_of_the_service_it_asks_as_long_as_it_does() -> None:
    mesh = world(GRPC, OPA)
    mesh.put()
    asking = Audience(Role.SIDECAR, "ns", on_demand=True)
    cache = SnapshotCache(mesh.builder.sets)
    envoy = Client(Variant.DELTA)
    envoy.stream = Stream(Variant.DELTA, cache.current(asking))
    cache.subscribe(asking, lambda configuration, changes: envoy.stream.configure(configuration, changes))

    def told(*objects: Object) -> set[str]:
        mesh.put(*objects)
        cache.update({asking: mesh.builder.sets(asking)})
        for push in envoy.pushes():
            envoy.ack(push)
        return set(envoy.stream.subscription(ResourceType.CLUSTER).held.accepted)

    envoy.subscribe(ResourceType.CLUSTER)
    assert told() == {BROKER_CLUSTER}
    assert told(custom()) == {BROKER_CLUSTER, "auth/opa:9191"}
    mesh.watcher.authorization(custom(), None)
    assert told() == {BROKER_CLUSTER}


def test_settings_that_are_not_understood_change_nothing_and_say_why() -> None:
    mesh = world(GRPC, OPA)
    mesh.watcher.config_map(None, settings("extensionProviders: {"))
    mesh.put(custom())
    assert steps_of(mesh.told()) == ["meant/opa", "ask/opa"] and "mesh" in mesh.watcher.invalid_settings[CONFIG_MAP]
    mesh.watcher.config_map(settings(""), None)
    mesh.put()
    assert steps_of(mesh.told()) == ["deny"] and not mesh.watcher.invalid_settings


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"mesh": "x" * (MAX_LENGTH + 1)}, f"mesh: {MAX_LENGTH + 1} characters are more than"),
        ({"mash": ""}, "mash: there is no such key; known is mesh"),
        ({"mesh": "[]"}, "mesh: expected an object"),
        ({"mesh": "a: ["}, "mesh"),
        ({"mesh": "outboundTrafficPolicy: {}"}, "mesh.outboundTrafficPolicy: is not supported"),
        ({"mesh": "extensionProviders: {}x"}, "mesh"),
        ({"mesh": "extensionProviders: 1"}, "expected a list of at most"),
        ({"mesh": f"extensionProviders: [{'{name: a},' * (MAX_PROVIDERS + 1)}]"}, "expected a list of at most"),
        ({"mesh": "extensionProviders: [{}]"}, "mesh.extensionProviders[0].name: None does not match"),
        ({"mesh": "extensionProviders: [{name: a}, {name: a}]"}, "extensionProviders[1].name: 'a' is there twice"),
    ],
)
def test_who_the_providers_are_must_be_told(data: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_providers(data)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("{zipkin: {}}", "one.zipkin"),
        ("{}", "give one of envoyExtAuthzGrpc and envoyExtAuthzHttp"),
        ("{envoyExtAuthzHttp: {port: 80}}", "one.envoyExtAuthzHttp.service"),
        ("{envoyExtAuthzHttp: {service: example.com, port: 80}}", "one.envoyExtAuthzHttp.service"),
        ("{envoyExtAuthzHttp: {service: b/a.c.svc, port: 80}}", "one.envoyExtAuthzHttp.service"),
        ("{envoyExtAuthzHttp: {service: a.b.svc}}", "one.envoyExtAuthzHttp.port"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: http}}", "one.envoyExtAuthzHttp.port"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, timeout: 61s}}", "61s is longer than 60s"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, timeout: soon}}", "one.envoyExtAuthzHttp.timeout"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, failOpen: yes please}}", "one.envoyExtAuthzHttp.failOpen"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, statusOnError: '99'}}", "statusOnError"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, statusOnError: 503}}", "statusOnError"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, pathPrefix: check}}", "pathPrefix"),
        ("{envoyExtAuthzHttp: {service: a.b.svc, port: 80, includeRequestBodyInCheck: {}}}", "maxRequestBytes"),
        (
            "{envoyExtAuthzHttp: {service: a.b.svc, port: 80, includeRequestBodyInCheck: {maxRequestBytes: 2000000}}}",
            "maxRequestBytes",
        ),
        (
            "{envoyExtAuthzHttp: {service: a.b.svc, port: 80, headersToUpstreamOnAllow: ['a b']}}",
            "headersToUpstreamOnAllow[0]",
        ),
        (
            "{envoyExtAuthzHttp: {service: a.b.svc, port: 80, headersToUpstreamOnAllow: ['*a*']}}",
            "headersToUpstreamOnAllow[0]",
        ),
        (
            f"{{envoyExtAuthzHttp: {{service: a.b.svc, port: 80, headersToDownstreamOnDeny: [{MANY}]}}}}",
            "headersToDownstreamOnDeny",
        ),
        (
            "{envoyExtAuthzHttp: {service: a.b.svc, port: 80, includeAdditionalHeadersInCheck: {'a b': c}}}",
            "'a b' is no name of a header",
        ),
        (
            '{envoyExtAuthzHttp: {service: a.b.svc, port: 80, includeAdditionalHeadersInCheck: {a: "b\\nc"}}}',
            "includeAdditionalHeadersInCheck",
        ),
        ("{envoyExtAuthzGrpc: {service: a.b.svc, port: 80, pathPrefix: /x}}", "one.envoyExtAuthzGrpc.pathPrefix"),
    ],
)
def test_what_is_wrong_with_one_provider_is_named_and_its_siblings_work(terms: str, words: str) -> None:
    inside = terms.removeprefix("{").removesuffix("}")
    text = f"extensionProviders:\n- {{name: one{', ' if inside else ''}{inside}}}\n" + GRPC.partition(":\n")[2]
    found = read_providers({"mesh": text, "_example": "any"})
    assert isinstance(found["one"], str) and words in found["one"], found["one"]
    assert not isinstance(found["opa"], str)
