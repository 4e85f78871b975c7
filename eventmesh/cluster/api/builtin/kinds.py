"""The table of built-in kinds: what Knative, kn and kubectl read or write, and what user manifests often carry."""

from __future__ import annotations

from dataclasses import replace

from eventmesh.cluster.api.builtin import rows
from eventmesh.cluster.api.builtin.autoscaling_v1 import AutoscalerView
from eventmesh.cluster.api.builtin.events import EventView
from eventmesh.cluster.api.builtin.types import kind_schema
from eventmesh.cluster.api.catalog import ALL_VERBS, ScalePaths, Served, View
from eventmesh.kube.api import Resource

_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_CREATE_ONLY = ("create",)
_SCALE = (("scale", "Scale", ("get", "patch", "update")),)
_WORKLOAD_SCALE = ScalePaths(selector="")
"""Workloads keep their selector as an object; the registry spells it out."""


_NO_CONTROLLER = "{} are stored, but nothing in the local cluster acts on them"
_NOT_CALLED = "{} are stored, but the local cluster never calls webhooks"
_CAVEATS = {
    kind: text.format(kind.partition(".")[0])
    for text, kinds in (
        (
            _NO_CONTROLLER,
            (
                "certificatesigningrequests.certificates.k8s.io",
                "daemonsets.apps",
                "ingresses.networking.k8s.io",
                "limitranges",
                "networkpolicies.networking.k8s.io",
                "persistentvolumeclaims",
                "poddisruptionbudgets.policy",
                "replicationcontrollers",
                "resourcequotas",
                "statefulsets.apps",
            ),
        ),
        (
            _NOT_CALLED,
            (
                "mutatingwebhookconfigurations.admissionregistration.k8s.io",
                "validatingwebhookconfigurations.admissionregistration.k8s.io",
            ),
        ),
    )
    for kind in kinds
}
"""What a writer is warned of: nothing is ignored in silence."""


def _kind(
    plural: str,
    kind: str,
    *,
    short: tuple[str, ...] = (),
    namespaced: bool = True,
    status: bool = False,
    categories: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = (),
    group: str = "",
    version: str = "v1",
    generation: bool = False,
    scale: ScalePaths | None = None,
    verbs: tuple[str, ...] = ALL_VERBS,
) -> Served:
    resource = Resource(group, version, plural, kind, namespaced)
    row = rows.ROWS.get(resource.group_resource)
    return Served(
        resource=resource,
        singular=kind.lower(),
        short_names=short,
        categories=categories,
        has_status=status,
        has_generation=generation,
        scale=scale,
        subresources=subresources + (_SCALE if scale else ()),
        columns=row[0] if row else (),
        cells=row[1] if row else None,
        schema=kind_schema(resource.api_version, kind),
        selectable_fields=fields,
        caveat=_CAVEATS.get(resource.group_resource, ""),
        verbs=verbs,
        hidden=verbs == _CREATE_ONLY,
    )


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Served:
    return _kind(plural, kind, group=group, namespaced=namespaced, verbs=_CREATE_ONLY)


def _seen(served: Served, stored_as: str, view: View) -> Served:
    """Return a kind whose objects are stored as those that the store calls `stored_as`, and printed as these."""
    columns, cells = rows.ROWS[stored_as]
    return replace(
        served,
        view_of=stored_as,
        view=view,
        columns=columns,
        cells=lambda obj, now: cells(view.stored(obj), now),
    )


_ALL = ("all",)
_AUTHORIZATION = "authorization.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"
_RBAC = "rbac.authorization.k8s.io"
_NETWORKING = "networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"


def _autoscaler(version: str) -> Served:
    return _kind(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        group="autoscaling",
        version=version,
        short=("hpa",),
        status=True,
        categories=_ALL,
        generation=True,
    )


BUILTIN_KINDS: tuple[Served, ...] = (
    _kind(
        "namespaces",
        "Namespace",
        short=("ns",),
        namespaced=False,
        status=True,
        fields=("status.phase",),
        subresources=(("finalize", "Namespace", ("update",)),),
    ),
    _kind(
        "pods",
        "Pod",
        short=("po",),
        status=True,
        categories=_ALL,
        fields=_POD_FIELDS,
        generation=True,
        subresources=(
            ("log", "Pod", ("get",)),
            ("exec", "PodExecOptions", ("create", "get")),
            ("attach", "PodAttachOptions", ("create", "get")),
            ("portforward", "PodPortForwardOptions", ("create", "get")),
            ("eviction", "Eviction", ("create",)),
        ),
    ),
    _kind("services", "Service", short=("svc",), status=True, categories=_ALL, fields=("spec.type",)),
    _kind("configmaps", "ConfigMap", short=("cm",)),
    _kind("secrets", "Secret", fields=("type",)),
    _kind("serviceaccounts", "ServiceAccount", short=("sa",), subresources=(("token", "TokenRequest", _CREATE_ONLY),)),
    _kind("endpoints", "Endpoints", short=("ep",)),
    _kind("events", "Event", short=("ev",), fields=_EVENT_FIELDS),
    _kind("nodes", "Node", short=("no",), namespaced=False, status=True, fields=("spec.unschedulable",)),
    _kind("persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",), status=True),
    _kind("persistentvolumes", "PersistentVolume", short=("pv",), namespaced=False, status=True),
    _kind("resourcequotas", "ResourceQuota", short=("quota",), status=True),
    _kind("limitranges", "LimitRange", short=("limits",)),
    _kind("podtemplates", "PodTemplate"),
    _kind(
        "replicationcontrollers",
        "ReplicationController",
        short=("rc",),
        status=True,
        categories=_ALL,
        generation=True,
        scale=_WORKLOAD_SCALE,
    ),
    _kind(
        "deployments",
        "Deployment",
        group="apps",
        short=("deploy",),
        status=True,
        categories=_ALL,
        generation=True,
        scale=_WORKLOAD_SCALE,
    ),
    _kind(
        "replicasets",
        "ReplicaSet",
        group="apps",
        short=("rs",),
        status=True,
        categories=_ALL,
        generation=True,
        scale=_WORKLOAD_SCALE,
    ),
    _kind(
        "statefulsets",
        "StatefulSet",
        group="apps",
        short=("sts",),
        status=True,
        categories=_ALL,
        generation=True,
        scale=_WORKLOAD_SCALE,
    ),
    _kind("daemonsets", "DaemonSet", group="apps", short=("ds",), status=True, categories=_ALL, generation=True),
    _kind("controllerrevisions", "ControllerRevision", group="apps"),
    _kind("jobs", "Job", group="batch", status=True, categories=_ALL, generation=True, fields=("status.successful",)),
    _kind("cronjobs", "CronJob", group="batch", short=("cj",), status=True, categories=_ALL, generation=True),
    _kind(
        "certificatesigningrequests",
        "CertificateSigningRequest",
        group="certificates.k8s.io",
        short=("csr",),
        namespaced=False,
        status=True,
        fields=("spec.signerName",),
        subresources=(("approval", "CertificateSigningRequest", ("get", "patch", "update")),),
    ),
    _kind("leases", "Lease", group="coordination.k8s.io"),
    _seen(_kind("events", "Event", group="events.k8s.io", short=("ev",), fields=_EVENT_FIELDS), "events", EventView()),
    _kind("endpointslices", "EndpointSlice", group="discovery.k8s.io", generation=True),
    _kind("roles", "Role", group=_RBAC),
    _kind("rolebindings", "RoleBinding", group=_RBAC),
    _kind("clusterroles", "ClusterRole", group=_RBAC, namespaced=False),
    _kind("clusterrolebindings", "ClusterRoleBinding", group=_RBAC, namespaced=False),
    _kind("ingresses", "Ingress", group=_NETWORKING, short=("ing",), status=True, generation=True),
    _kind("ingressclasses", "IngressClass", group=_NETWORKING, namespaced=False, generation=True),
    _kind("networkpolicies", "NetworkPolicy", group=_NETWORKING, short=("netpol",), generation=True),
    _kind("poddisruptionbudgets", "PodDisruptionBudget", group="policy", short=("pdb",), status=True, generation=True),
    _autoscaler("v2"),
    _seen(_autoscaler("v1"), "horizontalpodautoscalers.autoscaling", AutoscalerView()),
    _kind("storageclasses", "StorageClass", group="storage.k8s.io", short=("sc",), namespaced=False),
    _kind("priorityclasses", "PriorityClass", group="scheduling.k8s.io", short=("pc",), namespaced=False),
    _kind(
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        group=_ADMISSION,
        namespaced=False,
        generation=True,
    ),
    _kind(
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        group=_ADMISSION,
        namespaced=False,
        generation=True,
    ),
    _kind("apiservices", "APIService", group="apiregistration.k8s.io", namespaced=False, status=True),
    _kind(
        "customresourcedefinitions",
        "CustomResourceDefinition",
        group="apiextensions.k8s.io",
        short=("crd", "crds"),
        categories=("api-extensions",),
        namespaced=False,
        status=True,
        generation=True,
    ),
    _review(_AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review(_AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review(_AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview"),
    _review(_AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    _review(_AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
    _review(_AUTHENTICATION, "tokenreviews", "TokenReview"),
)
