"""What a SinkBinding does to a pod template: two environment variables in every container. Pure.

After knative/eventing: pkg/apis/sources/v1/sinkbinding_lifecycle.go (Do, Undo).
"""

from __future__ import annotations

import json
from typing import Any, Final

from eventmesh.kube.api import Object
from eventmesh.kube.objects import controller_of, key_of, labels_of
from eventmesh.kube.resources import KSERVICE
from eventmesh.kube.selectors import LabelSelector

SINK: Final = "K_SINK"
OVERRIDES: Final = "K_CE_OVERRIDES"
_OURS: Final = (SINK, OVERRIDES, "K_CA_CERTS")


def bound(obj: Object, binding: Object) -> Object:
    """Return `obj` with the binding's variables in its template; `obj` itself when they are there already.

    The binding must have its sink resolved (`status.sinkUri`).
    """
    uri = binding["status"]["sinkUri"]
    overrides = binding["spec"].get("ceOverrides")
    text = json.dumps(overrides, separators=(",", ":")) if overrides else ""
    return _with_variables(obj, [{"name": SINK, "value": uri}, {"name": OVERRIDES, "value": text}])


def unbound(obj: Object) -> Object:
    """Return `obj` without any binding's variables; `obj` itself when it has none."""
    return _with_variables(obj, [])


def is_subject(obj: Object, api_version: str, kind: str, binding: Object) -> bool:
    """Return whether a binding is about `obj`, which is of that kind: by name, or by its labels.

    What Serving makes (the Deployment of a Revision) is nobody's subject: it follows its Service.
    """
    subject = binding["spec"]["subject"]
    if (subject.get("apiVersion"), subject.get("kind")) != (api_version, kind):
        return False
    if str((controller_of(obj) or {}).get("apiVersion")).startswith(f"{KSERVICE.group}/"):
        return False
    key = key_of(obj)
    if (subject.get("namespace") or binding["metadata"].get("namespace")) != key.namespace:
        return False
    if name := subject.get("name"):
        return bool(name == key.name)
    return LabelSelector.of(subject.get("selector")).matches(labels_of(obj))


def _with_variables(obj: Object, variables: list[Object]) -> Object:
    template: Object = (obj.get("spec") or {}).get("template") or {}
    pod: Object = template.get("spec") or {}
    changed = dict(pod)
    for field in ("initContainers", "containers"):
        if pod.get(field):
            changed[field] = [_container(container, variables) for container in pod[field]]
    if changed == pod:
        return obj
    return {**obj, "spec": {**obj["spec"], "template": {**template, "spec": changed}}}


def _container(container: Any, variables: list[Object]) -> Any:
    env = container.get("env") or []
    wanted = [entry for entry in env if entry.get("name") not in _OURS] + variables
    # The same variables in another place are the same: whoever wrote them may have put them anywhere.
    if sorted(env, key=_name) == sorted(wanted, key=_name):
        return container
    without = {key: value for key, value in container.items() if key != "env"}
    return {**without, "env": wanted} if wanted else without


def _name(entry: Object) -> str:
    return str(entry.get("name"))
