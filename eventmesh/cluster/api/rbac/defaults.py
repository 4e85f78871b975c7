"""The roles and bindings that clients expect of every cluster, for the kinds that are served here.

As `kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy`; those of a control plane that is not there (scheduler,
kubelets, cloud controllers) are not. They are made when they are absent: what is changed in them stays.
"""

from __future__ import annotations

from typing import Final

from eventmesh.cluster.api.identity import MASTERS, UNAUTHENTICATED
from eventmesh.cluster.api.rbac.bindings import GROUP
from eventmesh.kube.account_tokens import AUTHENTICATED
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING

RBAC: Final = CLUSTER_ROLE.group
AUTHORIZATION: Final = "authorization.k8s.io"
AGGREGATED_BY: Final = f"{RBAC}/aggregate-to-"
BOOTSTRAP: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")

_WORKLOADS: Final = (
    ("apps", "daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs jobs"),
    ("networking.k8s.io", "ingresses networkpolicies"),
    ("policy", "poddisruptionbudgets"),
)
_WRITTEN: Final = (
    ("", "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale"),
    ("", "secrets serviceaccounts services services/proxy"),
    *_WORKLOADS,
)
_STATUS: Final = (
    ("apps", "daemonsets/status deployments/status replicasets/status statefulsets/status"),
    ("autoscaling", "horizontalpodautoscalers/status"),
    ("batch", "cronjobs/status jobs/status"),
    ("networking.k8s.io", "ingresses/status"),
    ("policy", "poddisruptionbudgets/status"),
)
_SHOWN: Final = (
    ("", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"),
    ("", "replicationcontrollers/scale serviceaccounts services services/status"),
    ("", "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"),
    ("", "resourcequotas resourcequotas/status namespaces"),
    ("discovery.k8s.io", "endpointslices"),
    *_WORKLOADS,
    *_STATUS,
)
_DISCOVERY: Final = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz")
_HEALTH: Final = ("/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*")
_PUBLIC: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")


def _rule(verbs: tuple[str, ...], group: str, resources: str) -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}


def _rules(verbs: tuple[str, ...], *kinds: tuple[str, str]) -> list[Object]:
    return [_rule(verbs, group, resources) for group, resources in kinds]


def _paths(*paths: str) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


def _cluster_role(name: str, rules: list[Object], *, into: str = "") -> Object:
    labels = {**BOOTSTRAP, **({f"{AGGREGATED_BY}{into}": "true"} if into else {})}
    return {**_head(CLUSTER_ROLE.kind, name, labels), "rules": rules}


def _aggregate(name: str, *, into: str = "") -> Object:
    selector = {"matchLabels": {f"{AGGREGATED_BY}{name}": "true"}}
    return {**_cluster_role(name, [], into=into), "aggregationRule": {"clusterRoleSelectors": [selector]}}


def _binding(role: str, *groups: str) -> Object:
    return {
        **_head(CLUSTER_ROLE_BINDING.kind, role, BOOTSTRAP),
        "roleRef": {"apiGroup": RBAC, "kind": CLUSTER_ROLE.kind, "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": GROUP, "name": group} for group in groups],
    }


def _head(kind: str, name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": CLUSTER_ROLE.api_version, "kind": kind, "metadata": {"name": name, "labels": dict(labels)}}


_EDITED: Final = (
    _rule(_READ, "", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _rule(("impersonate",), "", "serviceaccounts"),
    _rule(_WRITE, "", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _rule(("create",), "", "pods/eviction serviceaccounts/token"),
    *_rules(_WRITE, *_WRITTEN),
    _rule((*_WRITE, *_READ), "coordination.k8s.io", "leases"),
)

DEFAULT_ROLES: Final = (
    _cluster_role(
        "cluster-admin",
        [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ],
    ),
    _cluster_role("system:discovery", [_paths(*_DISCOVERY, "/version", "/version/")]),
    _cluster_role("system:public-info-viewer", [_paths(*_PUBLIC)]),
    _cluster_role("system:monitoring", [_paths(*_HEALTH)]),
    _cluster_role(
        "system:basic-user",
        [
            _rule(("create",), AUTHORIZATION, "selfsubjectaccessreviews selfsubjectrulesreviews"),
            _rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
        ],
    ),
    _cluster_role(
        "system:auth-delegator",
        [
            _rule(("create",), "authentication.k8s.io", "tokenreviews"),
            _rule(("create",), AUTHORIZATION, "subjectaccessreviews"),
        ],
    ),
    _cluster_role("system:aggregate-to-view", _rules(_READ, *_SHOWN), into="view"),
    _cluster_role("system:aggregated-metrics-reader", [_rule(_READ, "metrics.k8s.io", "pods nodes")], into="view"),
    _cluster_role("system:aggregate-to-edit", list(_EDITED), into="edit"),
    _cluster_role(
        "system:aggregate-to-admin",
        [
            _rule(("create",), AUTHORIZATION, "localsubjectaccessreviews"),
            _rule((*_WRITE, *_READ), RBAC, "rolebindings roles"),
        ],
        into="admin",
    ),
    _aggregate("view", into="edit"),
    _aggregate("edit", into="admin"),
    _aggregate("admin"),
)
DEFAULT_BINDINGS: Final = (
    _binding("cluster-admin", MASTERS),
    _binding("system:discovery", AUTHENTICATED),
    _binding("system:basic-user", AUTHENTICATED),
    _binding("system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED),
)
