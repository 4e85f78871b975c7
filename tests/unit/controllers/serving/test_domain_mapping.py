"""DomainMappings over the embedded API: claims, what a domain stands for, the KIngress made of it."""

from __future__ import annotations

from typing import Any

from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of
from eventmesh.kube.resources import BROKER, DOMAIN_CLAIM, DOMAIN_MAPPING, KINGRESS, NAMESPACE, SERVICE
from eventmesh.kube.status import condition
from tests.unit.controllers.serving.world import World

HOST = "www.example.com"
KSVC = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}
PLAIN = {"apiVersion": "v1", "kind": "Service", "name": "plain"}
AUTOCREATE = "autocreate-cluster-domain-claims"


def mapping(reference: Object, name: str = HOST, **spec: Any) -> Object:
    return {
        "apiVersion": DOMAIN_MAPPING.api_version,
        "kind": "DomainMapping",
        "metadata": {"name": name},
        "spec": {"ref": reference, **spec},
    }


async def mapped(world: World, reference: Object = KSVC, namespace: str = "default", **spec: Any) -> None:
    await world.user.create(DOMAIN_MAPPING, mapping(reference, **spec), namespace)


async def with_claims(world: World) -> None:
    await world.configure("config-network", {AUTOCREATE: "true"})


async def plain_service(world: World, port: int = 80) -> None:
    spec = {"ports": [{"port": port, "name": "http"}], "selector": {"app": "plain"}}
    await world.user.create(
        SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"}, "spec": spec}, "default"
    )


def message(obj: Object, kind: str = "Ready") -> str:
    found = condition(obj, kind)
    assert found is not None
    text: str = found.get("message", "")
    return text


async def test_a_domain_is_claimed_published_and_ready(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    await mapped(world)
    ingress = await world.until(KINGRESS, HOST, lambda obj: True)
    path = {
        "rewriteHost": "hello.default.svc.cluster.local",
        "splits": [
            {
                "serviceNamespace": "default",
                "serviceName": "hello",
                "servicePort": 80,
                "percent": 100,
                "appendHeaders": {"K-Original-Host": HOST},
            }
        ],
    }
    assert ingress["spec"] == {
        "httpOption": "Enabled",
        "rules": [{"hosts": [HOST], "visibility": "ExternalIP", "http": {"paths": [path]}}],
    }
    await world.until_condition(DOMAIN_MAPPING, HOST, "Ready", "Unknown", "IngressNotConfigured")
    await world.control_publishes(HOST)
    ready = await world.until_condition(DOMAIN_MAPPING, HOST, "Ready", "True")
    assert ready["status"]["url"] == ready["status"]["address"]["url"] == f"http://{HOST}:8080"
    told = {kind["type"]: (kind["status"], kind.get("reason", "")) for kind in ready["status"]["conditions"]}
    assert told == {
        "CertificateProvisioned": ("True", "TLSNotEnabled"),
        "DomainClaimed": ("True", ""),
        "IngressReady": ("True", ""),
        "Ready": ("True", ""),
        "ReferenceResolved": ("True", ""),
    }
    claim = await world.api.get(DOMAIN_CLAIM, HOST)
    assert claim["spec"] == {"namespace": "default"}


async def test_without_autocreation_the_claim_is_an_administrators_to_make(world: World) -> None:
    await world.deploy()
    await mapped(world)
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "False", "DomainAlreadyClaimed")
    assert message(refused).startswith(f'no ClusterDomainClaim found for domain "{HOST}"')
    assert "spec.namespace default" in message(refused)
    assert HOST not in await world.names(KINGRESS)
    claim = {
        "apiVersion": DOMAIN_CLAIM.api_version,
        "kind": "ClusterDomainClaim",
        "metadata": {"name": HOST},
        "spec": {"namespace": "default"},
    }
    await world.user.create(DOMAIN_CLAIM, claim)
    await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "True")
    await world.until(KINGRESS, HOST, lambda obj: True)
    await world.user.delete(DOMAIN_MAPPING, HOST, "default")
    await world.until_gone(DOMAIN_MAPPING, HOST)
    assert (await world.api.get(DOMAIN_CLAIM, HOST))["spec"] == {"namespace": "default"}


async def test_a_domain_is_one_namespaces_until_that_lets_it_go(world: World) -> None:
    await with_claims(world)
    await world.user.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "first"}})
    await world.deploy()
    await mapped(world, {**PLAIN}, namespace="first")
    await world.until_claimed(HOST, "first")
    await mapped(world)
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "False", "DomainAlreadyClaimed")
    assert message(refused) == (
        'The domain name is already in use by another DomainMapping: namespace "first" has claimed it'
    )
    await world.user.delete(DOMAIN_MAPPING, HOST, "first")
    await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "True")
    await world.until_claimed(HOST, "default")


async def test_a_mapping_whose_claim_is_given_to_another_namespace_stops_to_serve(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    await mapped(world)
    await world.until(KINGRESS, HOST, lambda obj: True)
    await world.api.patch(DOMAIN_CLAIM, HOST, {"spec": {"namespace": "other"}})
    await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "False", "DomainAlreadyClaimed")
    await world.until_gone(KINGRESS, HOST)


async def test_a_deleted_mapping_gives_its_claim_back(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    await mapped(world)
    await world.until_condition(DOMAIN_MAPPING, HOST, "DomainClaimed", "True")
    await world.user.delete(DOMAIN_MAPPING, HOST, "default")
    await world.until_gone(DOMAIN_MAPPING, HOST)
    await world.until_gone(KINGRESS, HOST)
    assert [obj["metadata"]["name"] for obj in (await world.api.list(DOMAIN_CLAIM)).items] == []


async def test_what_does_not_exist_yet_is_found_when_it_comes(world: World) -> None:
    await with_claims(world)
    await mapped(world)
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "ReferenceResolved", "False", "ResolveFailed")
    assert message(refused) == ('failed to get object default/hello: services.serving.knative.dev "hello" not found')
    await world.deploy()
    await world.until_condition(DOMAIN_MAPPING, HOST, "ReferenceResolved", "True")
    await world.until(KINGRESS, HOST, lambda obj: True)


async def test_a_plain_service_is_mapped_by_its_port_80_and_one_without_is_named(world: World) -> None:
    await with_claims(world)
    await plain_service(world, port=9000)
    await mapped(world, PLAIN)
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "ReferenceResolved", "False", "ResolveFailed")
    assert message(refused) == 'Service "plain" needs a port 80, to which a domain leads; its ports: 9000'
    patch = {"spec": {"ports": [{"port": 80, "targetPort": 9000, "name": "http"}]}}
    await world.user.patch(SERVICE, "plain", patch, "default")
    ingress = await world.until(KINGRESS, HOST, lambda obj: True)
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert (path["rewriteHost"], path["splits"][0]["serviceName"]) == ("plain.default.svc.cluster.local", "plain")


async def test_addresses_a_domain_cannot_stand_for_are_refused_by_their_uri(world: World) -> None:
    await with_claims(world)
    broker = {"apiVersion": BROKER.api_version, "kind": "Broker", "metadata": {"name": "bus"}, "spec": {}}
    stored = await world.api.create(BROKER, broker, "default")
    uri = "http://broker-ingress.knative-eventing.svc.cluster.local/default/bus"
    await world.api.replace(BROKER, {**stored, "status": {"address": {"url": uri}}}, subresource="status")
    await mapped(world, {"apiVersion": BROKER.api_version, "kind": "Broker", "name": "bus"})
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "ReferenceResolved", "False", "ResolveFailed")
    assert message(refused) == f'resolved URI "{uri}" contains a path'
    pod = {"apiVersion": "v1", "kind": "Pod", "name": "x"}
    await world.user.patch(DOMAIN_MAPPING, HOST, {"spec": {"ref": pod}}, "default")
    refused = await world.until_condition(DOMAIN_MAPPING, HOST, "ReferenceResolved", "False", "ResolveFailed")
    assert message(refused).startswith("Pod (v1) default/x has no address that is known here; known are Service")


async def test_a_domain_with_a_certificate_is_served_under_tls(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    await mapped(world, tls={"secretName": "cert"})
    kind, reason = "CertificateProvisioned", "CertificateExternallyProvided"
    secured = await world.until_condition(DOMAIN_MAPPING, HOST, kind, "True", reason)
    assert secured["status"]["url"] == f"https://{HOST}"
    ingress = await world.until(KINGRESS, HOST, lambda obj: True)
    assert ingress["spec"]["tls"] == [{"hosts": [HOST], "secretName": "cert", "secretNamespace": "default"}]
    annotation = {"networking.knative.dev/ingress-class": "istio.ingress.networking.knative.dev"}
    await world.user.patch(DOMAIN_MAPPING, HOST, {"metadata": {"annotations": annotation}}, "default")
    ingress = await world.until(KINGRESS, HOST, lambda obj: annotation.items() <= annotations_of(obj).items())


async def test_a_mapping_follows_its_reference_and_the_settings(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    await plain_service(world)
    await mapped(world)
    await world.until(KINGRESS, HOST, lambda obj: True)
    await world.user.patch(DOMAIN_MAPPING, HOST, {"spec": {"ref": PLAIN}}, "default")
    await world.until(KINGRESS, HOST, lambda obj: "plain" in str(obj["spec"]))
    await world.configure("config-network", {AUTOCREATE: "true", "http-protocol": "Redirected"})
    await world.until(KINGRESS, HOST, lambda obj: bool(obj["spec"]["httpOption"] == "Redirected"))


async def test_a_long_domain_has_a_kingress_of_a_name_that_fits(world: World) -> None:
    await with_claims(world)
    await world.deploy()
    name = ".".join(["x" * 40] * 3)
    await world.user.create(DOMAIN_MAPPING, mapping(KSVC, name), "default")
    await world.until_condition(DOMAIN_MAPPING, name, "DomainClaimed", "True")
    await world.until_condition(DOMAIN_MAPPING, name, "ReferenceResolved", "True")
    (ingress,) = [n for n in await world.names(KINGRESS) if n.startswith("x" * 31)]
    assert len(ingress) == 63
