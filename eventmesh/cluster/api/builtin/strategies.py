"""Defaults and checks of built-in kinds, as far as Knative, kn, kubectl and our own controllers rely on them.

A real cluster does more (`kubernetes/pkg/apis/*/v1/defaults.go`); what is here behaves the same.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from eventmesh.cluster.api.builtin.autoscaling import AutoscalerStrategy
from eventmesh.cluster.api.builtin.batch import CronJobStrategy, JobStrategy
from eventmesh.cluster.api.builtin.podspec import NODE_NAME, check_pod_spec, default_pod_spec, qos_class
from eventmesh.cluster.api.builtin.signing import SigningRequestStrategy
from eventmesh.cluster.api.errors import Cause, CauseType, forbidden
from eventmesh.cluster.api.label_selectors import selector_violations
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.cluster.api.structural import clone
from eventmesh.kube.api import Object
from eventmesh.kube.resources import NAMESPACE, POD
from eventmesh.kube.selectors import LabelSelector

NAMESPACE_FINALIZER = "kubernetes"
UNDELETABLE_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})
"""Those that a real cluster does not let go either (admission plug-in NamespaceLifecycle, with kube-public)."""


DEFAULT_ACCOUNT = "default"
"""The service account of pods that name none."""

FindAccount = Callable[[str, str], Object | None]
"""(namespace, name) -> the ServiceAccount, or None."""


class NamespaceStrategy(Strategy):
    """A namespace is held by a finalizer of its spec until its contents are gone."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Give a new namespace its finalizer, phase and name label."""
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
        if old is None:
            obj["spec"] = {"finalizers": [NAMESPACE_FINALIZER]}
            obj["status"] = {"phase": "Active"}
        else:
            obj["spec"] = old.get("spec", {})

    def holds_deletion(self, obj: Object) -> bool:
        """Return whether contents may still exist."""
        return bool((obj.get("spec") or {}).get("finalizers"))

    def begin_deletion(self, obj: Object) -> None:
        """Refuse new contents from now on; raises ApiError Forbidden for a namespace that every cluster needs."""
        name = obj["metadata"]["name"]
        if name in UNDELETABLE_NAMESPACES:
            raise forbidden(NAMESPACE, name, "this namespace may not be deleted")
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}


class PodStrategy(Strategy):
    """A pod starts Pending, under a service account that exists, and a placed pod gets time to end."""

    def __init__(self, account: FindAccount) -> None:
        self._account = account

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in the pod's spec and first status; raises ApiError Forbidden for an unknown service account."""
        default_pod_spec(obj.setdefault("spec", {}))
        obj["spec"].setdefault("serviceAccountName", DEFAULT_ACCOUNT)
        # There is one node, so every pod is placed from the start.
        obj["spec"].setdefault("nodeName", NODE_NAME)
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}
            self._admit_account(obj)

    def _admit_account(self, pod: Object) -> None:
        """Take over what the service account says (admission plug-in ServiceAccount)."""
        metadata, name = pod["metadata"], pod["spec"]["serviceAccountName"]
        account = self._account(metadata.get("namespace") or "", name)
        if account is None:
            # A namespace gets its default account in the moment after it was made: nobody needs to wait for that.
            if name == DEFAULT_ACCOUNT:
                return
            where = f"{metadata.get('namespace')}/{name}"
            why = f'error looking up service account {where}: serviceaccount "{name}" not found'
            raise forbidden(POD, metadata.get("name") or metadata.get("generateName") or "", why)
        if account.get("imagePullSecrets") and not pod["spec"].get("imagePullSecrets"):
            pod["spec"]["imagePullSecrets"] = clone(account["imagePullSecrets"])

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require runnable containers."""
        return check_pod_spec(obj["spec"], "spec")

    def grace_seconds(self, obj: Object, asked: int | None) -> int:
        """Return the grace asked for or specified; none for a pod that runs nowhere or has ended."""
        ended = (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if ended or not obj["spec"].get("nodeName"):
            return 0
        specified: int = obj["spec"].get("terminationGracePeriodSeconds", 30)
        return max(0, specified if asked is None else asked)


class ServiceStrategy(Strategy):
    """Services name endpoints; the mesh routes by name, so there is no virtual address behind them."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in type, ports and the absent cluster address."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            if spec["type"] != "ExternalName":
                port.setdefault("targetPort", port.get("port"))
        if spec["type"] == "ExternalName":
            return
        # No packet is ever rewritten here, so an address would lie: every Service is headless.
        spec.setdefault("clusterIP", "None")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if old is None:
            obj["status"] = {"loadBalancer": {}}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require ports in range, and a name for an external service."""
        spec = obj["spec"]
        causes: list[Cause] = []
        if spec["type"] == "ExternalName" and not spec.get("externalName"):
            causes.append(Cause(CauseType.REQUIRED, "spec.externalName"))
        for number, port in enumerate(spec.get("ports") or []):
            value = port.get("port")
            if not isinstance(value, int) or not 0 < value < 65536:
                detail = "must be between 1 and 65535, inclusive"
                causes.append(Cause(CauseType.INVALID, f"spec.ports[{number}].port", detail, value))
        return causes


class SecretStrategy(Strategy):
    """`stringData` is written, `data` is read; typed secrets carry their keys."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Move stringData into data, and default the type."""
        obj.setdefault("type", "Opaque")
        text = obj.pop("stringData", None)
        if text:
            data = obj["data"] = dict(obj.get("data") or {})
            data.update({key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require base64, and the keys of a TLS secret."""
        data: dict[str, Any] = obj.get("data") or {}
        causes = [
            Cause(CauseType.INVALID, f"data[{key}]", "illegal base64 data", value)
            for key, value in data.items()
            if not _is_base64(value)
        ]
        if obj["type"] == "kubernetes.io/tls":
            causes += [Cause(CauseType.REQUIRED, f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
        if old is not None and old.get("type") != obj["type"]:
            causes.append(Cause(CauseType.INVALID, "type", "field is immutable", obj["type"]))
        return causes


def _is_base64(value: Any) -> bool:
    try:
        return value is None or (isinstance(value, str) and base64.b64decode(value, validate=True) is not None)
    except (binascii.Error, ValueError):
        return False


class ConfigMapStrategy(Strategy):
    """Values are text."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require string values."""
        return [
            Cause(CauseType.TYPE_INVALID, f"data[{key}]", "must be a string", value)
            for key, value in (obj.get("data") or {}).items()
            if not isinstance(value, str)
        ]


class WorkloadStrategy(Strategy):
    """Deployment, ReplicaSet, StatefulSet: a template, a selector that matches it, a number of replicas."""

    def __init__(self, **defaults: Any) -> None:
        self._defaults = defaults

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in replicas and the pod template."""
        spec = obj.setdefault("spec", {})
        if spec.get("replicas") is None:
            spec["replicas"] = 1
        for name, value in self._defaults.items():
            spec.setdefault(name, clone(value))
        template = spec.setdefault("template", {})
        template.setdefault("metadata", {})
        default_pod_spec(template.setdefault("spec", {}))

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require a selector that selects the template and never changes, and runnable containers."""
        spec = obj["spec"]
        causes: list[Cause] = []
        selector = spec.get("selector")
        labels = (spec["template"]["metadata"] or {}).get("labels") or {}
        if not selector:
            causes.append(Cause(CauseType.REQUIRED, "spec.selector"))
        elif unreadable := list(selector_violations("spec.selector", selector)):
            causes += unreadable
        elif not LabelSelector.of(selector).matches(labels):
            detail = "`selector` does not match template `labels`"
            causes.append(Cause(CauseType.INVALID, "spec.template.metadata.labels", detail, labels))
        if old is not None and old["spec"].get("selector") != selector:
            causes.append(Cause(CauseType.INVALID, "spec.selector", "field is immutable", selector))
        if not isinstance(spec["replicas"], int) or spec["replicas"] < 0:
            detail = "must be greater than or equal to 0"
            causes.append(Cause(CauseType.INVALID, "spec.replicas", detail, spec["replicas"]))
        return causes + check_pod_spec(spec["template"]["spec"], "spec.template.spec")


def strategies(account: FindAccount) -> dict[str, Strategy]:
    """Return the strategies of the built-in kinds but for CRDs, whose strategy needs the catalog."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    return {
        "namespaces": NamespaceStrategy(),
        "pods": PodStrategy(account),
        "services": ServiceStrategy(),
        "secrets": SecretStrategy(),
        "configmaps": ConfigMapStrategy(),
        "deployments.apps": WorkloadStrategy(strategy=rolling, revisionHistoryLimit=10, progressDeadlineSeconds=600),
        "replicasets.apps": WorkloadStrategy(),
        "statefulsets.apps": WorkloadStrategy(),
        "jobs.batch": JobStrategy(),
        "cronjobs.batch": CronJobStrategy(),
        "horizontalpodautoscalers.autoscaling": AutoscalerStrategy(),
        "certificatesigningrequests.certificates.k8s.io": SigningRequestStrategy(),
    }
