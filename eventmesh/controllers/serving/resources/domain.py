"""DomainMapping → ClusterDomainClaim and KIngress (Serving, pkg/reconciler/domainmapping/resources)."""

from __future__ import annotations

from eventmesh.controllers.serving.names import (
    DOMAIN_MAPPING_NAMESPACE,
    DOMAIN_MAPPING_UID,
    INGRESS_CLASS,
    INGRESS_CLASS_OLD,
    LAST_APPLIED,
    child_name,
)
from eventmesh.controllers.serving.resources.kingress import HTTP1_PORT, http_option, ingress_class
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.api import Object
from eventmesh.kube.knative import service_host
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import DOMAIN_CLAIM, DOMAIN_MAPPING, KINGRESS

ORIGINAL_HOST = "K-Original-Host"
"""Carries the host that the client asked for past the rewrite; a function's sidecar puts it back."""


def domain_claim(mapping: Object) -> Object:
    """Return the claim of a mapping's namespace to its domain."""
    metadata = mapping["metadata"]
    return {
        "apiVersion": DOMAIN_CLAIM.api_version,
        "kind": DOMAIN_CLAIM.kind,
        "metadata": {"name": metadata["name"]},
        "spec": {"namespace": metadata["namespace"]},
    }


def domain_ingress_name(mapping: Object) -> str:
    """Return the name of a mapping's KIngress: the domain, shortened when it is too long for a label."""
    return child_name(mapping["metadata"]["name"], "")


def domain_ingress(mapping: Object, service: str, settings: ServingSettings) -> Object:
    """Return the KIngress that sends a domain's requests to port 80 of a Service, under that Service's own host."""
    metadata = mapping["metadata"]
    host, namespace = metadata["name"], metadata["namespace"]
    annotations = {key: value for key, value in annotations_of(mapping).items() if key != LAST_APPLIED}
    annotations.pop(INGRESS_CLASS_OLD, None)
    annotations[INGRESS_CLASS] = ingress_class(mapping, settings)
    split = {
        "serviceNamespace": namespace,
        "serviceName": service,
        "servicePort": HTTP1_PORT,
        "percent": 100,
        "appendHeaders": {ORIGINAL_HOST: host},
    }
    path = {"rewriteHost": service_host(service, namespace), "splits": [split]}
    rule = {"hosts": [host], "visibility": "ExternalIP", "http": {"paths": [path]}}
    spec: Object = {"httpOption": http_option(annotations, settings), "rules": [rule]}
    secret = (mapping["spec"].get("tls") or {}).get("secretName")
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret, "secretNamespace": namespace}]
    return {
        "apiVersion": KINGRESS.api_version,
        "kind": KINGRESS.kind,
        "metadata": {
            "name": domain_ingress_name(mapping),
            "namespace": namespace,
            "labels": {
                **labels_of(mapping),
                DOMAIN_MAPPING_UID: metadata["uid"],
                DOMAIN_MAPPING_NAMESPACE: namespace,
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference(DOMAIN_MAPPING, mapping)],
        },
        "spec": spec,
    }
