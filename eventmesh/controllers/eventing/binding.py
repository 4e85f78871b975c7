"""What a SinkBinding does to a pod template: variables in every container, trust bundles, and a token where one is
asked for. Pure.

After knative/eventing: pkg/apis/sources/v1/sinkbinding_lifecycle.go (Do, Undo).
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from eventmesh.kube.api import Object
from eventmesh.kube.objects import controller_of, key_of, labels_of
from eventmesh.kube.resources import KSERVICE
from eventmesh.kube.selectors import LabelSelector
from eventmesh.kube.server_certificates import is_own_host

SINK: Final = "K_SINK"
OVERRIDES: Final = "K_CE_OVERRIDES"
AUTHORITIES: Final = "K_CA_CERTS"
_OURS: Final = (SINK, OVERRIDES, AUTHORITIES)

BY_SIDECAR: Final = "eventmesh.io/sink-by-sidecar"
"""Annotation in a status: what `K_SINK` says instead, where subjects have no other way out than their sidecar, with
which they speak http."""

TRUST_BUNDLES: Final = "eventmesh.io/trust-bundles"
"""Annotation in a status: the ConfigMaps beside the subject that hold trust bundles, with commas between them."""

_TOKEN, _BUNDLES = "oidc-token", "kne-bundle-volume"
_MOUNTED_AT: Final = {_TOKEN: "/oidc", _BUNDLES: "/knative-custom-certs"}
"""Volume -> where containers find it: the token in `/oidc/token`, certificates in files named as the entries are."""


def bound(obj: Object, binding: Object) -> Object:
    """Return `obj` with the binding's variables and token in its template; `obj` itself when they are there already.

    The binding must have its sink resolved (`status.sinkUri`).
    """
    status = binding["status"]
    plain = (status.get("annotations") or {}).get(BY_SIDECAR)
    variables = [{"name": SINK, "value": plain or status["sinkUri"]}]
    if (authorities := status.get("sinkCACerts")) and not plain:
        variables.append({"name": AUTHORITIES, "value": authorities})
    overrides = binding["spec"].get("ceOverrides")
    text = json.dumps(overrides, separators=(",", ":")) if overrides else ""
    variables.append({"name": OVERRIDES, "value": text})
    return _changed(obj, variables, [*_token(status.get("oidcTokenSecretName")), *_bundles(status)])


def by_sidecar(sink: str) -> str:
    """Return the http address by which a sidecar reaches an https sink of the mesh, under mTLS; empty for others."""
    parts = urlsplit(sink)
    return parts._replace(scheme="http").geturl() if parts.scheme == "https" and is_own_host(parts.netloc) else ""


def unbound(obj: Object) -> Object:
    """Return `obj` without any binding's variables and token; `obj` itself when it has none."""
    return _changed(obj, [], [])


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


def _token(secret: str | None) -> list[Object]:
    source = {"secret": {"name": secret, "items": [{"key": "token", "path": "token"}]}}
    return [_volume(_TOKEN, [source])] if secret else []


def _bundles(status: Object) -> list[Object]:
    names = (status.get("annotations") or {}).get(TRUST_BUNDLES)
    if not names:
        return []
    # A pod may start before a copy is there, and go on when it is taken away.
    return [_volume(_BUNDLES, [{"configMap": {"name": name, "optional": True}} for name in names.split(",")])]


def _volume(name: str, sources: list[Object]) -> Object:
    # With the mode that the API would fill in: else each look would find a difference.
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _changed(obj: Object, variables: list[Object], volumes: list[Object]) -> Object:
    template: Object = (obj.get("spec") or {}).get("template") or {}
    pod: Object = template.get("spec") or {}
    changed = dict(pod)
    for field in ("initContainers", "containers"):
        if pod.get(field):
            changed[field] = [_container(container, variables, volumes) for container in pod[field]]
    _put(changed, "volumes", _others(pod.get("volumes")) + volumes)
    if changed == pod:
        return obj
    return {**obj, "spec": {**obj["spec"], "template": {**template, "spec": changed}}}


def _container(container: Any, variables: list[Object], volumes: list[Object]) -> Any:
    env = container.get("env") or []
    wanted = [entry for entry in env if entry.get("name") not in _OURS] + variables
    changed = dict(container)
    _put(changed, "env", wanted)
    mounts = [{"name": name, "mountPath": _MOUNTED_AT[name], "readOnly": True} for name in map(_name, volumes)]
    _put(changed, "volumeMounts", _others(container.get("volumeMounts")) + mounts)
    return container if changed == container else changed


def _others(named: list[Object] | None) -> list[Object]:
    return [entry for entry in named or [] if entry.get("name") not in _MOUNTED_AT]


def _put(owner: Object, field: str, wanted: list[Object]) -> None:
    """Make `wanted` the list in a field, unless the same is there: whoever wrote it may have put it in any order."""
    if sorted(owner.get(field) or [], key=_name) == sorted(wanted, key=_name):
        return
    if wanted:
        owner[field] = wanted
    else:
        owner.pop(field, None)


def _name(entry: Object) -> str:
    return str(entry.get("name"))
