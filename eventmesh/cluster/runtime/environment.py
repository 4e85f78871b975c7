"""The environment of a container: literals, references to ConfigMaps, Secrets and the pod itself, and `$(NAME)`.

By the rules of `k8s.io/kubernetes/pkg/kubelet` (`makeEnvironmentVariables`) and of its `$(NAME)` expansion.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Final, Protocol

from eventmesh.base.errors import MeshError
from eventmesh.kube.api import Object

_KEYED_FIELD: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_EXPANSION: Final = re.compile(r"\$(?:\$|\(([^()]*)\))")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class ContainerConfigError(MeshError):
    """The container cannot be configured yet; the message names the variable and what it lacks."""


class References(Protocol):
    """Where the objects that an environment refers to are found."""

    def config_map(self, namespace: str, name: str) -> Object | None:
        """Return the ConfigMap, or None."""
        ...

    def secret(self, namespace: str, name: str) -> Object | None:
        """Return the Secret, or None."""
        ...


def container_env(container: Object, pod: Object, pod_ip: str, references: References) -> dict[str, str]:
    """Return the variables that the container's author asked for.

    Raises ContainerConfigError when one refers to what does not exist (the caller tries again later).
    """
    namespace = pod["metadata"]["namespace"]
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        env.update(_all_of(source, namespace, references))
    for variable in container.get("env") or ():
        name = variable["name"]
        if "valueFrom" in variable:
            value = _referred(name, variable["valueFrom"], pod, pod_ip, references)
            if value is not None:
                env[name] = value
        else:
            env[name] = expand(variable.get("value") or "", env)
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Return `text` with `$(NAME)` replaced where NAME is known, and `$$` by a dollar."""

    def replacement(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else env.get(name, found[0])

    return _EXPANSION.sub(replacement, text)


def _all_of(source: Object, namespace: str, references: References) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field in ("configMapRef", "secretRef"):
        if field in source:
            reference = source[field]
            data = _data(field, namespace, reference["name"], references)
            if data is None:
                if reference.get("optional"):
                    return {}
                raise ContainerConfigError(f"envFrom: {_named(field)} {namespace}/{reference['name']} does not exist")
            # Keys that are no variable names are left out, as the kubelet does.
            return {prefix + key: value for key, value in data.items() if _VARIABLE.fullmatch(prefix + key)}
    return {}


def _referred(name: str, source: Object, pod: Object, pod_ip: str, references: References) -> str | None:
    namespace = pod["metadata"]["namespace"]
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in source:
            reference = source[field]
            data = _data(field, namespace, reference["name"], references)
            value = (data or {}).get(reference["key"])
            if value is None and not reference.get("optional"):
                where = f"{_named(field)} {namespace}/{reference['name']}"
                problem = "does not exist" if data is None else f"has no key {reference['key']!r}"
                raise ContainerConfigError(f"env {name}: {where} {problem}")
            return value
    if "fieldRef" in source:
        return field_value(f"env {name}", source["fieldRef"]["fieldPath"], pod, pod_ip)
    raise ContainerConfigError(f"env {name}: valueFrom {', '.join(source)} is not supported for local processes")


def _data(field: str, namespace: str, name: str, references: References) -> dict[str, str] | None:
    if field.startswith("configMap"):
        found = references.config_map(namespace, name)
        return None if found is None else dict(found.get("data") or {})
    found = references.secret(namespace, name)
    if found is None:
        return None
    data = found.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}


def _named(field: str) -> str:
    return "ConfigMap" if field.startswith("configMap") else "Secret"


def field_value(where: str, path: str, pod: Object, pod_ip: str) -> str:
    """Return a field of the pod by its `fieldPath`; raises ContainerConfigError, which begins with `where`."""
    metadata, spec = pod["metadata"], pod["spec"]
    keyed = _KEYED_FIELD.fullmatch(path)
    if keyed:
        return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs: dict[str, str] = metadata.get(path.rpartition(".")[2]) or {}
        return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(pairs.items()))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
    }
    if path not in fields:
        raise ContainerConfigError(f"{where}: fieldRef {path!r} is not supported; known are {', '.join(fields)}")
    return str(fields[path])
