"""Container images on disk as others write them: an OCI image layout (a directory or a tar of one), and what
`docker save` and `podman save` write.

Sources: github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md), moby's image/tarexport.
Whatever names a digest is held against it. Nothing is unpacked here, see `layers`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from eventmesh.base.errors import ConfigError

LAYOUT: Final = "oci-layout"
_INDEX: Final = "index.json"
_DOCKER_MANIFEST: Final = "manifest.json"

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""Of an index, a manifest or a configuration, held in memory: registries take no more (distribution-spec)."""
MAX_NESTED_INDEXES: Final = 4
"""An index may name indexes; `docker buildx` writes two levels."""
MAX_LAYERS: Final = 512
"""Four times what overlay file systems take."""

_CHUNK_BYTES: Final = 1024 * 1024
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""Go's word for what `uname -m` says."""


def is_archive(source: Path) -> bool:
    """Return whether `source` is to be read as a container image, and not as a directory with a function."""
    return source.is_file() or (source / LAYOUT).is_file()


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: a tar, compressed or not."""

    name: str
    """Its file in the archive."""
    digest: str
    """Of its bytes as they lie there; empty where the archive does not tell."""
    diff_id: str
    """Of the tar itself."""


@dataclass(frozen=True, slots=True)
class Archived:
    """An image in an archive."""

    id: str
    """The digest of its configuration, which is what `docker images --no-trunc` shows."""
    config: Mapping[str, Any]
    """`config` of the configuration: what to run, and as whom."""
    layers: tuple[Layer, ...]


class Files(Protocol):
    """The files of an archive."""

    def open(self, name: str) -> IO[bytes]:
        """Return the file; raises KeyError for one that is not there."""
        ...


@contextmanager
def opened(source: Path) -> Iterator[Files]:
    """Yield the files of an archive; raises ConfigError for what is neither a directory nor a tar."""
    if source.is_dir():
        yield _Directory(source)
        return
    try:
        with tarfile.open(source) as tar:
            yield _Tar(tar)
    except tarfile.TarError as error:
        raise ConfigError(str(source), f"is no tar of a container image: {error}") from error


def read(files: Files, where: str) -> Archived:
    """Return the image in `files` that this machine can run; raises ConfigError naming the file that is wrong.

    `where` is the archive, for messages.
    """
    try:
        index = _document(files, _INDEX)
    except KeyError:
        index = None
    try:
        return _of_docker(files, where) if index is None else _of_layout(files, index, where)
    except KeyError as error:
        raise ConfigError(
            where, f"has no file {error.args[0]}: neither an image layout nor from `docker save`"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(where, f"cannot be read as a container image: {error}") from error


def check_layer(files: Files, layer: Layer, where: str) -> None:
    """Raise ConfigError when the bytes of a layer are not those that its digest names."""
    if layer.digest and (found := _hash(files, layer.name)) != layer.digest:
        raise ConfigError(
            f"{where}: {layer.name}", f"has the digest {found}, not {layer.digest}: the archive is damaged"
        )


# -- the two forms


def _of_layout(files: Files, index: Any, where: str) -> Archived:
    manifest = _manifest(files, index, where, MAX_NESTED_INDEXES)
    config_name = _blob(manifest["config"]["digest"])
    layers = [(_blob(layer["digest"]), layer["digest"]) for layer in manifest["layers"]]
    return _image(files, where, config_name, layers, manifest["config"]["digest"])


def _manifest(files: Files, index: Any, where: str, depth: int) -> Any:
    """Return the manifest for this machine's architecture that an index leads to."""
    fitting, others = [], []
    for entry in index["manifests"]:
        wanted = entry.get("platform") or {}
        told = f"{wanted.get('os', 'linux')}/{wanted.get('architecture', _architecture())}"
        if told == f"linux/{_architecture()}" and "attestation" not in str(entry.get("annotations")):
            fitting.append(entry)
        else:
            others.append(told)
    if not fitting:
        there = f"it has {', '.join(sorted(set(others)))}" if others else "it is empty"
        raise ConfigError(where, f"has no image for linux/{_architecture()}: {there}")
    if len(fitting) > 1:
        raise ConfigError(where, f"holds {len(fitting)} images: save the one that is wanted alone")
    name = _blob(fitting[0]["digest"])
    document = _document(files, name, fitting[0]["digest"], where)
    if "manifests" not in document:
        return document
    if depth == 0:
        raise ConfigError(f"{where}: {name}", f"is an index below {MAX_NESTED_INDEXES} others")
    return _manifest(files, document, where, depth - 1)


def _of_docker(files: Files, where: str) -> Archived:
    images = _document(files, _DOCKER_MANIFEST)
    if len(images) != 1:
        raise ConfigError(where, f"holds {len(images)} images: save the one that is wanted alone")
    (image,) = images
    return _image(files, where, image["Config"], [(name, "") for name in image["Layers"]], "")


def _image(files: Files, where: str, config_name: str, layers: list[tuple[str, str]], digest: str) -> Archived:
    document = _document(files, config_name, digest, where)
    if document.get("os", "linux") != "linux" or document.get("architecture", _architecture()) != _architecture():
        told = f"{document.get('os')}/{document.get('architecture')}"
        raise ConfigError(where, f"is for {told}; this machine is linux/{_architecture()}")
    diff_ids = document["rootfs"]["diff_ids"]
    if len(diff_ids) != len(layers) or len(layers) > MAX_LAYERS:
        raise ConfigError(where, f"has {len(layers)} layers of {len(diff_ids)} named; at most {MAX_LAYERS} are taken")
    found = tuple(Layer(name, own, diff_id) for (name, own), diff_id in zip(layers, diff_ids, strict=True))
    return Archived(_hash(files, config_name), document.get("config") or {}, found)


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


# -- files


def _document(files: Files, name: str, digest: str = "", where: str = "") -> Any:
    with files.open(name) as file:
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ConfigError(f"{where}: {name}", f"is longer than {MAX_DOCUMENT_BYTES} bytes")
    if digest and f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ConfigError(f"{where}: {name}", f"does not have the digest {digest}: the archive is damaged")
    return json.loads(data)


def _blob(digest: str) -> str:
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise ValueError(f"{digest!r} is no sha256 digest")
    return f"blobs/sha256/{found[1]}"


def _hash(files: Files, name: str) -> str:
    total = hashlib.sha256()
    with files.open(name) as file:
        while chunk := file.read(_CHUNK_BYTES):
            total.update(chunk)
    return f"sha256:{total.hexdigest()}"


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> IO[bytes]:
        path = self._root / name
        if ".." in path.parts or os.path.isabs(name):
            raise ValueError(f"{name!r} leads out of the archive")
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise KeyError(name) from None


class _Tar:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name.removeprefix("./"): member for member in tar.getmembers()}

    def open(self, name: str) -> IO[bytes]:
        member = self._members[name]
        # `docker save` stores a layer that two images share once, and a link for the other.
        file = self._tar.extractfile(member)
        if file is None:
            raise ValueError(f"{name} is no file")
        return file
