"""A pod's volumes: directories of the runtime, filled from ConfigMaps, Secrets, tokens and the pod itself.

Files of a ConfigMap or Secret change as a whole when the object does, by the kubelet's own layout: `..data` is a link
to the directory of one version, swapped in one step (`k8s.io/kubernetes/pkg/volume/util/atomic_writer.go`).
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.environment import ContainerConfigError, References, field_value
from eventmesh.cluster.runtime.tokens import Projection
from eventmesh.cluster.runtime.wire import Mount
from eventmesh.kube.api import Object

DEFAULT_MODE: Final = 0o644
"""Kubernetes' defaultMode of files."""

SUPPORTED: Final = ("configMap", "secret", "emptyDir", "projected", "downwardAPI", "hostPath")
_LIVE: Final = ("configMap", "secret", "projected", "downwardAPI")

_VERSION: Final = "..data"
_WHOLE_SYSTEM: Final = ("/", "/proc", "/sys", "/dev")


@frozen
class File:
    """One file of a volume."""

    content: bytes
    mode: int = DEFAULT_MODE


Payload = dict[str, File]
"""Relative path -> file."""


class PodVolumes:
    """The volumes of one pod below `directory`, which nobody but the runtime's user may enter."""

    def __init__(
        self,
        pod: Object,
        pod_ip: str,
        directory: Path,
        references: References,
        tokens: Mapping[Projection, str] = MappingProxyType({}),
    ) -> None:
        self._pod = pod
        self._pod_ip = pod_ip
        self._directory = directory
        self._references = references
        self._tokens = tokens
        self._volumes: dict[str, Object] = {item["name"]: item for item in pod["spec"].get("volumes") or ()}
        self._written: dict[str, Payload] = {}

    @property
    def staging(self) -> Path:
        """Return the empty directory that `Confinement.staging` wants."""
        return self._directory / ".root"

    def mounts(self, container: Object, kept: tuple[Path, ...]) -> tuple[Mount, ...]:
        """Return what the container mounts, with every volume of it made and up to date.

        `kept` are paths that no mount may hide, because the process could not be started without them. Raises
        ContainerConfigError for what does not exist yet (the caller tries again) or cannot be had here.
        """
        asked: list[Object] = container.get("volumeMounts") or []
        if asked:
            self.staging.mkdir(parents=True, exist_ok=True)
            self._directory.chmod(0o700)
        return tuple(self._mount(mount, kept) for mount in asked)

    def refresh(self) -> list[ContainerConfigError]:
        """Bring the files of all volumes that containers have mounted up to date with their objects.

        Return why volumes keep their last content, as with the kubelet: what they show has gone missing meanwhile.
        Raises OSError for files that cannot be written.
        """
        behind: list[ContainerConfigError] = []
        for name in list(self._written):
            try:
                payload = self._payload(self._volumes[name])
            except ContainerConfigError as error:
                behind.append(error)
            else:
                self._write(name, payload)
        return behind

    def _mount(self, mount: Object, kept: tuple[Path, ...]) -> Mount:
        where: str = mount["mountPath"]
        _check_target(where, kept)
        if mount.get("subPathExpr"):
            raise ContainerConfigError(f"volumeMounts {where}: subPathExpr is not supported; use subPath")
        volume = self._volumes.get(mount["name"])
        if volume is None:
            raise ContainerConfigError(f"volumeMounts {where}: the pod has no volume {mount['name']!r}")
        source = self._made(volume)
        read_only = bool(mount.get("readOnly")) or any(kind in volume for kind in _LIVE)
        if mount.get("subPath"):
            source = self._inside(source, mount, writable="emptyDir" in volume)
        return Mount(str(source), where.rstrip("/"), read_only)

    def _made(self, volume: Object) -> Path:
        """Return the directory (or, of a hostPath, the file) that holds the volume."""
        name: str = volume["name"]
        if "hostPath" in volume:
            return _host_path(volume)
        directory = self._directory / name
        if any(kind in volume for kind in _LIVE):
            self._write(name, self._payload(volume))
        elif "emptyDir" in volume or volume.keys() == {"name"}:
            if not directory.exists():
                directory.mkdir(parents=True)
                # Kubernetes' own mode: containers of one pod may run as different users.
                directory.chmod(0o777)
        else:
            kinds = ", ".join(sorted(volume.keys() - {"name"}))
            raise ContainerConfigError(
                f"volumes {name}: {kinds} is not supported for local processes; known are {', '.join(SUPPORTED)}"
            )
        return directory

    def _payload(self, volume: Object) -> Payload:
        return payload_of(volume, self._pod, self._pod_ip, self._references, self._tokens)

    def _inside(self, source: Path, mount: Object, *, writable: bool) -> Path:
        relative = _relative(mount["subPath"], f"volumeMounts {mount['mountPath']}: subPath")
        # Resolved now: a version of a ConfigMap's files stays what it was for a process that mounted one of them.
        found: Path = (source / relative).resolve()
        if not found.is_relative_to(source.resolve()):
            raise ContainerConfigError(f"volumeMounts {mount['mountPath']}: subPath {relative!r} leaves the volume")
        if not found.exists():
            if not writable:
                raise ContainerConfigError(
                    f"volumeMounts {mount['mountPath']}: volume {mount['name']!r} has no {relative!r} (subPath)"
                )
            found.mkdir(parents=True)
        return found

    def _write(self, name: str, payload: Payload) -> None:
        if self._written.get(name) == payload:
            return
        write_payload(self._directory / name, payload)
        self._written[name] = payload


def payload_of(
    volume: Object, pod: Object, pod_ip: str, references: References, tokens: Mapping[Projection, str]
) -> Payload:
    """Return the files of a ConfigMap's, Secret's, downward or projected volume; raises ContainerConfigError."""
    reader = _Reader(f"volumes {volume['name']}", pod, pod_ip, references, tokens)
    projected = volume.get("projected")
    if projected is None:
        source: Object = {kind: volume[kind] for kind in _LIVE if kind in volume}
        return reader.files(source, next(iter(source.values())).get("defaultMode") or DEFAULT_MODE)
    files: Payload = {}
    for source in projected.get("sources") or ():
        files |= reader.files(source, projected.get("defaultMode") or DEFAULT_MODE)
    return files


@frozen
class _Reader:
    """Reads the objects that one volume names."""

    where: str
    pod: Object
    pod_ip: str
    references: References
    tokens: Mapping[Projection, str]

    def files(self, source: Object, mode: int) -> Payload:
        ((kind, spec),) = source.items()
        match kind:
            case "configMap":
                return self._keyed(spec, spec.get("name", ""), "ConfigMap", mode)
            case "secret":
                return self._keyed(spec, spec.get("secretName") or spec.get("name", ""), "Secret", mode)
            case "downwardAPI":
                return dict(self._downward(spec, mode))
            case "serviceAccountToken":
                return self._token(spec, mode)
        raise ContainerConfigError(f"{self.where}: {kind} is not supported for local processes")

    def _keyed(self, spec: Object, name: str, kind: str, mode: int) -> Payload:
        namespace = self.pod["metadata"]["namespace"]
        content = self._content(kind, namespace, name)
        if content is None:
            if spec.get("optional"):
                return {}
            raise ContainerConfigError(f"{self.where}: {kind} {namespace}/{name} does not exist")
        if not spec.get("items"):
            return {key: File(value, mode) for key, value in content.items()}
        files: Payload = {}
        for item in spec["items"]:
            value = content.get(item["key"])
            if value is not None:
                files[_relative(item["path"], f"{self.where}: path")] = File(value, item.get("mode") or mode)
            elif not spec.get("optional"):
                raise ContainerConfigError(f"{self.where}: {kind} {namespace}/{name} has no key {item['key']!r}")
        return files

    def _token(self, spec: Object, mode: int) -> Payload:
        path = _relative(spec.get("path") or "", f"{self.where}: serviceAccountToken path")
        token = self.tokens.get(Projection.of(spec))
        if token is None:
            raise ContainerConfigError(f"{self.where}: serviceAccountToken: the API has issued none yet")
        return {path: File(token.encode(), mode)}

    def _content(self, kind: str, namespace: str, name: str) -> dict[str, bytes] | None:
        if kind == "ConfigMap":
            found = self.references.config_map(namespace, name)
            if found is None:
                return None
            texts = {key: text.encode() for key, text in (found.get("data") or {}).items()}
            return texts | _decoded(found.get("binaryData"))
        found = self.references.secret(namespace, name)
        return None if found is None else _decoded(found.get("data"))

    def _downward(self, spec: Object, mode: int) -> Iterator[tuple[str, File]]:
        for item in spec.get("items") or ():
            path = _relative(item["path"], f"{self.where}: path")
            if "fieldRef" not in item:
                raise ContainerConfigError(f"{self.where}: {path}: only fieldRef is supported for local processes")
            value = field_value(f"{self.where}: {path}", item["fieldRef"]["fieldPath"], self.pod, self.pod_ip)
            yield path, File(value.encode(), item.get("mode") or mode)


def write_payload(directory: Path, payload: Mapping[str, File]) -> None:
    """Make `directory` show exactly `payload`; who reads meanwhile sees the old files or the new, never a mixture."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / _VERSION
    old = os.readlink(current) if current.is_symlink() else ""
    number = int(old.rpartition(".")[2]) + 1 if old else 1
    version = directory / f"..version.{number}"
    shutil.rmtree(version, ignore_errors=True)
    version.mkdir()
    for path, file in payload.items():
        target = version / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    new = directory / "..data_tmp"
    new.unlink(missing_ok=True)
    new.symlink_to(version.name)
    new.rename(current)
    wanted = {path.partition("/")[0] for path in payload}
    shown = {entry.name for entry in directory.iterdir() if not entry.name.startswith("..")}
    for name in wanted - shown:
        (directory / name).symlink_to(f"{_VERSION}/{name}")
    for name in shown - wanted:
        (directory / name).unlink()
    if old:
        shutil.rmtree(directory / old, ignore_errors=True)


def _decoded(data: Mapping[str, str] | None) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (data or {}).items()}


def _relative(path: str, where: str) -> str:
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ContainerConfigError(f"{where} {path!r} must be relative and without '..'")
    return path


def _check_target(where: str, kept: tuple[Path, ...]) -> None:
    clean = Path(os.path.normpath(where))
    if not where.startswith("/") or str(clean) in _WHOLE_SYSTEM:
        raise ContainerConfigError(f"volumeMounts {where}: mountPath must be absolute and none of {_WHOLE_SYSTEM}")
    for path in kept:
        if path == clean or clean in path.parents:
            raise ContainerConfigError(
                f"volumeMounts {where}: a local process needs {path}, which this mount would hide; mount elsewhere"
            )


def _host_path(volume: Object) -> Path:
    path, kind = Path(volume["hostPath"].get("path") or ""), volume["hostPath"].get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    if not path.is_absolute() or not path.exists():
        raise ContainerConfigError(f"volumes {volume['name']}: hostPath {str(path)!r} does not exist")
    return path
