"""How lists and maps of built-in kinds are merged: the markers on the Go types of Kubernetes.

Server-side apply reads one kind of markers, strategic merge (which kubectl computes from OpenAPI) another. What is not
named here is as Kubernetes has it by default: a list is replaced as a whole, of a map and a message each field is
merged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "apps.DaemonSetStatus.conditions": ("type",),
    "apps.DeploymentStatus.conditions": ("type",),
    "apps.ReplicaSetStatus.conditions": ("type",),
    "apps.StatefulSetStatus.conditions": ("type",),
    "autoscaling/v2.HorizontalPodAutoscalerStatus.conditions": ("type",),
    "core.Container.env": ("name",),
    "core.Container.ports": ("containerPort", "protocol"),
    "core.Container.volumeDevices": ("devicePath",),
    "core.Container.volumeMounts": ("mountPath",),
    "core.ContainerStatus.volumeMounts": ("mountPath",),
    "core.EphemeralContainerCommon.env": ("name",),
    "core.EphemeralContainerCommon.ports": ("containerPort", "protocol"),
    "core.EphemeralContainerCommon.volumeDevices": ("devicePath",),
    "core.EphemeralContainerCommon.volumeMounts": ("mountPath",),
    "certificates.CertificateSigningRequestStatus.conditions": ("type",),
    "core.NamespaceStatus.conditions": ("type",),
    "core.NodeStatus.addresses": ("type",),
    "core.NodeStatus.conditions": ("type",),
    "core.PersistentVolumeClaimStatus.conditions": ("type",),
    "core.PodSpec.containers": ("name",),
    "core.PodSpec.ephemeralContainers": ("name",),
    "core.PodSpec.hostAliases": ("ip",),
    "core.PodSpec.imagePullSecrets": ("name",),
    "core.PodSpec.initContainers": ("name",),
    "core.PodSpec.resourceClaims": ("name",),
    "core.PodSpec.schedulingGates": ("name",),
    "core.PodSpec.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "core.PodSpec.volumes": ("name",),
    "core.PodStatus.conditions": ("type",),
    "core.PodStatus.podIPs": ("ip",),
    "core.PodStatus.resourceClaimStatuses": ("name",),
    "core.ReplicationControllerStatus.conditions": ("type",),
    "core.ResourceRequirements.claims": ("name",),
    "core.ServiceAccount.secrets": ("name",),
    "core.ServiceSpec.ports": ("port", "protocol"),
    "core.ServiceStatus.conditions": ("type",),
    "meta.ObjectMeta.ownerReferences": ("uid",),
    "policy.PodDisruptionBudgetStatus.conditions": ("type",),
}
"""Lists whose items are told apart by these of their fields: `x-kubernetes-list-type: map`."""

SET_LISTS = frozenset({"core.NodeSpec.podCIDRs", "meta.ObjectMeta.finalizers"})
"""Lists of values that each have their own owner: `x-kubernetes-list-type: set`."""

ATOMIC_MAPS = frozenset(
    {
        "core.PodSpec.nodeSelector",
        "core.ReplicationControllerSpec.selector",
        "core.ServiceSpec.selector",
    }
)
"""Maps that are replaced as a whole: `x-kubernetes-map-type: atomic` on the field."""

ATOMIC_MESSAGES = frozenset(
    {
        "autoscaling.CrossVersionObjectReference",
        "core.ConfigMapKeySelector",
        "core.FileKeySelector",
        "core.LocalObjectReference",
        "core.NodeSelector",
        "core.NodeSelectorTerm",
        "core.ObjectFieldSelector",
        "core.ObjectReference",
        "core.ResourceFieldSelector",
        "core.ScopeSelector",
        "core.SecretKeySelector",
        "core.SecretReference",
        "core.TopologySelectorTerm",
        "core.TypedLocalObjectReference",
        "meta.LabelSelector",
        "meta.OwnerReference",
        "rbac.RoleRef",
        "rbac.Subject",
    }
)
"""Messages that are replaced as a whole: `+structType=atomic`."""

KEY_DEFAULTS: Mapping[str, str] = {
    "core.ContainerPort.protocol": "TCP",
    "core.ServicePort.protocol": "TCP",
}
"""What a field that tells list items apart is when it is left out."""

PATCH_KEYS: Mapping[str, tuple[str, str]] = {
    "apps.DaemonSetStatus.conditions": ("merge", "type"),
    "apps.DeploymentSpec.strategy": ("retainKeys", ""),
    "apps.DeploymentStatus.conditions": ("merge", "type"),
    "apps.ReplicaSetStatus.conditions": ("merge", "type"),
    "apps.StatefulSetStatus.conditions": ("merge", "type"),
    "autoscaling/v2.HorizontalPodAutoscalerStatus.conditions": ("merge", "type"),
    "batch.JobStatus.conditions": ("merge", "type"),
    "core.Container.env": ("merge", "name"),
    "core.Container.ports": ("merge", "containerPort"),
    "core.Container.volumeDevices": ("merge", "devicePath"),
    "core.Container.volumeMounts": ("merge", "mountPath"),
    "core.EphemeralContainerCommon.env": ("merge", "name"),
    "core.EphemeralContainerCommon.ports": ("merge", "containerPort"),
    "core.EphemeralContainerCommon.volumeDevices": ("merge", "devicePath"),
    "core.EphemeralContainerCommon.volumeMounts": ("merge", "mountPath"),
    "core.NamespaceStatus.conditions": ("merge", "type"),
    "core.NodeSpec.podCIDRs": ("merge", ""),
    "core.NodeStatus.addresses": ("merge", "type"),
    "core.NodeStatus.conditions": ("merge", "type"),
    "core.PersistentVolumeClaimStatus.conditions": ("merge", "type"),
    "core.PodSpec.containers": ("merge", "name"),
    "core.PodSpec.ephemeralContainers": ("merge", "name"),
    "core.PodSpec.hostAliases": ("merge", "ip"),
    "core.PodSpec.imagePullSecrets": ("merge", "name"),
    "core.PodSpec.initContainers": ("merge", "name"),
    "core.PodSpec.resourceClaims": ("merge,retainKeys", "name"),
    "core.PodSpec.schedulingGates": ("merge", "name"),
    "core.PodSpec.topologySpreadConstraints": ("merge", "topologyKey"),
    "core.PodSpec.volumes": ("merge,retainKeys", "name"),
    "core.PodStatus.conditions": ("merge", "type"),
    "core.PodStatus.hostIPs": ("merge", "ip"),
    "core.PodStatus.podIPs": ("merge", "ip"),
    "core.PodStatus.resourceClaimStatuses": ("merge,retainKeys", "name"),
    "core.ReplicationControllerStatus.conditions": ("merge", "type"),
    "core.ServiceAccount.secrets": ("merge", "name"),
    "core.ServiceSpec.ports": ("merge", "port"),
    "core.ServiceStatus.conditions": ("merge", "type"),
    "meta.ObjectMeta.finalizers": ("merge", ""),
    "meta.ObjectMeta.ownerReferences": ("merge", "uid"),
    "policy.PodDisruptionBudgetStatus.conditions": ("merge", "type"),
}
"""Strategy and key (if any) of a strategic merge: `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`."""
