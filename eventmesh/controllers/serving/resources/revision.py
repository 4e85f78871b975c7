"""Configuration → Revision."""

from __future__ import annotations

import copy

from eventmesh.controllers.serving.names import (
    CONFIGURATION as CONFIGURATION_LABEL,
)
from eventmesh.controllers.serving.names import (
    CONFIGURATION_GENERATION,
    CONFIGURATION_UID,
    CREATOR,
    LAST_APPLIED,
    LAST_MODIFIER,
    ROUTING_STATE,
    ROUTING_STATE_MODIFIED,
    SERVICE,
    SERVICE_UID,
    revision_name,
)
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import CONFIGURATION, REVISION


def name_of_revision(configuration: Object) -> str:
    """Return the name of the revision of the present generation: the author's own, or one made of the number."""
    metadata = configuration["metadata"]
    own: str = (configuration["spec"]["template"].get("metadata") or {}).get("name") or ""
    return own or revision_name(metadata["name"], metadata["generation"])


def revision(configuration: Object, now: str) -> Object:
    """Return the revision that the present generation of a Configuration stamps out, at the RFC 3339 time `now`."""
    metadata = configuration["metadata"]
    template: Object = configuration["spec"]["template"]
    template_metadata: Object = template.get("metadata") or {}
    labels = {
        **(template_metadata.get("labels") or {}),
        CONFIGURATION_LABEL: metadata["name"],
        CONFIGURATION_UID: metadata["uid"],
        CONFIGURATION_GENERATION: str(metadata["generation"]),
        SERVICE: labels_of(configuration).get(SERVICE, ""),
        SERVICE_UID: labels_of(configuration).get(SERVICE_UID, ""),
        # No route leads to it yet, and one may at any moment: it must not be scaled down as unreachable.
        ROUTING_STATE: "pending",
    }
    annotations = {k: v for k, v in (template_metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    creator = annotations_of(configuration).get(LAST_MODIFIER, annotations_of(configuration).get(CREATOR))
    if creator is not None:
        annotations[CREATOR] = creator
    annotations[ROUTING_STATE_MODIFIED] = now
    return {
        "apiVersion": REVISION.api_version,
        "kind": REVISION.kind,
        "metadata": {
            "name": name_of_revision(configuration),
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(CONFIGURATION, configuration)],
        },
        "spec": copy.deepcopy(template["spec"]),
    }
