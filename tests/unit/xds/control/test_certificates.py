"""Certificates of the gateway: out of Secrets, shown while a KIngress names them, and what is wrong with one said."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import DownstreamTlsContext, Secret

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.certificates import parse_certificate
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.views import built, ingress, plain, rule, table, world

FILES = Path(__file__).parents[3] / "vectors" / "tls"
GATEWAY = Audience(Role.GATEWAY)


def secret(name: str, shown: str = "server", key: str = "", **data: str | None) -> Object:
    files = {"tls.crt": FILES / f"{shown}.pem", "tls.key": FILES / f"{key or shown}.key"}
    encoded = {field: base64.b64encode(path.read_bytes()).decode() for field, path in files.items()}
    for field, value in data.items():
        encoded[field.replace("_", ".")] = value or ""
    return {"metadata": {"name": name, "namespace": "ns"}, "type": "kubernetes.io/tls", "data": encoded}


def secured(name: str = "web", host: str = "web.test", secret_name: str = "cert", **spec: str) -> Object:
    tls = [{"hosts": [host], "secretName": secret_name, "secretNamespace": "ns"}]
    return ingress(name, rule(host), tls=tls, **spec)


def listeners(builder: ResourceBuilder) -> set[str]:
    return set(builder.sets(GATEWAY)[ResourceType.LISTENER])


def test_the_gateway_shows_what_kingresses_name_and_nothing_else() -> None:
    builder = built(
        world(ingress=[secured(), ingress("plain", rule("plain.test"))], secret=[secret("cert"), secret("spare")])
    )
    sets = builder.sets(GATEWAY)
    (shown,) = sets[ResourceType.SECRET].values()
    certificate = Secret.parse(shown.body).tls_certificate
    assert certificate is not None and certificate.certificate_chain is not None
    assert certificate.certificate_chain.inline_bytes == (FILES / "server.pem").read_bytes()
    listener = Listener.parse(sets[ResourceType.LISTENER]["secure"].body)
    socket = listener.filter_chains[0].transport_socket
    assert socket is not None and socket.typed_config is not None
    common = DownstreamTlsContext.parse(socket.typed_config.value).common_tls_context
    assert common is not None
    assert [config.name for config in common.tls_certificate_sds_secret_configs] == ["ns/cert"]
    assert set(table(sets[ResourceType.ROUTE]["secure"])) == {"web.test"}
    assert set(table(sets[ResourceType.ROUTE]["public"])) >= {"web.test", "plain.test"}


def test_without_a_certificate_nothing_listens_for_tls() -> None:
    watcher = world(ingress=[ingress("plain", rule("plain.test"))], secret=[secret("spare")])
    builder = built(watcher)
    assert listeners(builder) == {"public", "local"} and not builder.sets(GATEWAY)[ResourceType.SECRET]
    watcher.ingress(None, secured())
    watcher.secret(None, secret("cert"))
    builder.update(watcher.of, watcher.take_changed())
    assert listeners(builder) == {"public", "local", "secure"}
    watcher.secret(secret("cert"), None)
    builder.update(watcher.of, watcher.take_changed())
    assert listeners(builder) == {"public", "local"}


def test_a_redirect_leads_to_what_is_served_under_tls() -> None:
    builder = built(world(ingress=[secured(httpOption="Redirected")], secret=[secret("cert")]))
    routes = builder.sets(GATEWAY)[ResourceType.ROUTE]
    assert table(routes["public"])["web.test"].routes[0].redirect is not None
    (route,) = plain(table(routes["secure"])["web.test"])
    assert route.redirect is None and route.route is not None


def test_a_new_certificate_is_another_secret_of_the_same_name() -> None:
    watcher = world(ingress=[secured()], secret=[secret("cert")])
    builder = built(watcher)
    before = builder.sets(GATEWAY)
    watcher.secret(secret("cert"), secret("cert", "other"))
    builder.update(watcher.of, watcher.take_changed())
    after = builder.sets(GATEWAY)
    assert before[ResourceType.SECRET]["ns/cert"] != after[ResourceType.SECRET]["ns/cert"]
    assert before[ResourceType.LISTENER]["secure"].version == after[ResourceType.LISTENER]["secure"].version


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        ([], "spec.tls: there is no Secret ns/cert of type kubernetes.io/tls"),
        ([secret("cert", tls_crt=None)], "spec.tls: Secret ns/cert: data['tls.crt']: missing"),
        ([secret("cert", tls_crt="?")], "spec.tls: Secret ns/cert: data['tls.crt']: is not base64"),
        ([secret("cert", tls_crt="eA==")], "spec.tls: Secret ns/cert: data['tls.crt']: is no PEM certificate"),
        (
            [secret("cert", tls_key="eA==")],
            "spec.tls: Secret ns/cert: data['tls.key']: is no unencrypted PEM private key",
        ),
        (
            [secret("cert", key="other")],
            "spec.tls: Secret ns/cert: data['tls.key']: is not the key of the certificate in data['tls.crt']",
        ),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_and_others_are_shown(secrets: list[Object], problem: str) -> None:
    good = secured("good", "good.test", "fine")
    watcher = world(ingress=[secured(), good], secret=[*secrets, secret("fine")])
    builder = built(watcher)
    assert builder.certificates.problems == {Key("ns", "web"): problem}
    assert set(builder.sets(GATEWAY)[ResourceType.SECRET]) == {"ns/fine"}
    watcher.secret(None, secret("cert"))
    builder.update(watcher.of, watcher.take_changed())
    assert builder.certificates.problems == {}


def test_secrets_of_other_types_and_namespaces_are_nothing() -> None:
    assert parse_certificate({**secret("cert"), "type": "Opaque"}) is None
    watcher = world(
        ingress=[ingress("web", rule("web.test"), tls=[{"secretName": "cert", "secretNamespace": "other"}])]
    )
    assert "spec.tls[0].secretNamespace: 'other' is not" in watcher.invalid[Key("ns", "web")]


def test_no_key_is_printed() -> None:
    certificate = parse_certificate(secret("cert"))
    assert certificate is not None and "PRIVATE" not in repr(certificate)
