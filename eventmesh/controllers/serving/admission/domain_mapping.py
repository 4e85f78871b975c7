"""Defaults and rules of DomainMapping and ClusterDomainClaim.

After Serving, pkg/apis/serving/v1beta1/domainmapping_*.go, and knative.dev/pkg/apis/duck/v1/knative_reference.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.controllers.serving.admission import defaults
from eventmesh.controllers.serving.admission.fields import (
    disallowed,
    dns_1123_label_problem,
    dns_1123_subdomain_problem,
    missing,
    within,
)
from eventmesh.controllers.serving.admission.metadata import authorship_errors
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.knative import CLUSTER_DOMAIN


class DomainMappingAdmission:
    """DomainMapping: a domain as its name, and what it stands for."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the DomainMapping with the namespace of its reference and its author filled in."""
        return defaults.default_domain_mapping(obj, request)

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the DomainMapping."""
        metadata = obj["metadata"]
        if "deletionTimestamp" in metadata:
            return []
        annotations = metadata.get("annotations") or {}
        errors = [*_name_errors(metadata), *within("annotations", authorship_errors(annotations, obj, request))]
        reference = (obj.get("spec") or {}).get("ref") or {}
        return [
            *within("metadata", errors),
            *within("spec.ref", _reference_errors(reference, metadata.get("namespace", ""))),
        ]


class DomainClaimAdmission:
    """ClusterDomainClaim: the namespace that may map a domain."""

    def default(self, obj: Object, request: AdmissionRequest) -> Object:
        """Return the claim as it is."""
        return obj

    def validate(self, obj: Object, request: AdmissionRequest) -> list[FieldError]:
        """Return what is wrong with the claim."""
        return [] if (obj.get("spec") or {}).get("namespace") else [missing("spec.namespace")]


def _name_errors(metadata: Object) -> Iterator[FieldError]:
    if metadata.get("generateName"):
        yield disallowed("generateName")
    name = metadata.get("name") or ""
    problem = _domain_problem(name)
    if problem:
        yield FieldError(f'invalid name "{name}": {problem}', "name")
    if name.endswith(f".{CLUSTER_DOMAIN}"):
        told = f'must not be a subdomain of cluster local domain "{CLUSTER_DOMAIN}"'
        yield FieldError(f'invalid name "{name}": {told}', "name")


def _domain_problem(name: str) -> str:
    """Return what keeps `name` from being a full domain name, in Kubernetes' words; empty when nothing does."""
    if not name:
        return "name: Required value"
    domain = name.removesuffix(".")
    if problem := dns_1123_subdomain_problem(domain):
        return f'name: Invalid value: "{domain}": {problem}'
    labels = domain.split(".")
    if len(labels) < 2:
        return f'name: Invalid value: "{domain}": should be a domain with at least two segments separated by dots'
    for label in labels:
        if problem := dns_1123_label_problem(label):
            return f'name: Invalid value: "{label}": {problem}'
    return ""


def _reference_errors(reference: Object, namespace: str) -> Iterator[FieldError]:
    for field in ("name", "apiVersion", "kind"):
        if not reference.get(field):
            yield missing(field)
    if reference.get("group"):
        yield disallowed("group")
    other = reference.get("namespace")
    if other and namespace and other != namespace:
        details = f'parent namespace: "{namespace}" does not match ref: "{other}"'
        yield FieldError("mismatched namespaces", "namespace", details)
