"""Container images on disk as others write them: an OCI image layout (a directory or a tar of one), and what
`docker save` and `podman save` write.

Sources: github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md), moby's image/tarexport.
Whatever names a digest is held against it. Nothing is unpacked here, see `layers`.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import platform
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

LAYOUT: Final = "oci-layout"
_INDEX: Final = "index.json"
_DOCKER_MANIFEST: Final = "manifest.json"

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""Of an index, a manifest or a configuration, held in memory: registries take no more (distribution-spec)."""
MAX_NESTED_INDEXES: Final = 4
"""An index may name indexes; `docker buildx` writes two levels."""
MAX_LAYERS: Final = 512
"""Four times what overlay file systems take."""

MAX_FILES: Final = 100_000
"""In the tar of an archive: documents and layers, of which an image has hundreds at most."""

DAMAGED: Final = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
"""What reading a tar raises, compressed or not, whose bytes are not those that were written."""

_CHUNK_BYTES: Final = 1024 * 1024
_ATTESTATION: Final = ("vnd.docker.reference.type", "attestation-manifest")
"""The annotation of what `docker buildx` puts beside an image: how it was built, and nothing to run."""
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""Go's word for what `uname -m` says."""


def is_archive(source: Path) -> bool:
    """Return whether `source` is to be read as a container image, and not as a directory with a function."""
    return source.is_file() or (source / LAYOUT).is_file()


@frozen
class Layer:
    """One layer: a tar, compressed or not."""

    name: str
    """Its file in the archive."""
    digest: str
    """Of its bytes as they lie there; empty where the archive does not tell."""
    diff_id: str
    """Of the tar itself."""


@frozen
class Archived:
    """An image in an archive."""

    id: str
    """The digest of its configuration, which is what `docker images --no-trunc` shows."""
    config: Mapping[str, Any]
    """`config` of the configuration: what to run, and as whom."""
    layers: tuple[Layer, ...]


class Files(Protocol):
    """The files of an archive."""

    def __contains__(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Return the file; raises ConfigError for one that is not there."""
        ...


@contextmanager
def opened(source: Path) -> Iterator[Files]:
    """Yield the files of an archive; raises ConfigError for what is neither a directory nor a tar."""
    if source.is_dir():
        yield _Directory(source)
        return
    with ExitStack() as stack:
        try:
            files = _Tar(source, stack.enter_context(tarfile.open(source)))
        except DAMAGED as error:
            raise ConfigError(str(source), f"is no tar of a container image: {error}") from error
        yield files


def read(files: Files, where: str) -> Archived:
    """Return the image in `files` that this machine can run; raises ConfigError naming the file that is wrong.

    `where` is the archive, for messages.
    """
    try:
        if _INDEX in files:
            return _of_layout(files, where)
        if _DOCKER_MANIFEST in files:
            return _of_docker(files, where)
    except KeyError as error:
        raise ConfigError(where, f"cannot be read as a container image: it does not say {error}") from None
    except (ValueError, TypeError, AttributeError, RecursionError, *DAMAGED) as error:
        raise ConfigError(where, f"cannot be read as a container image: {error}") from error
    raise ConfigError(
        where, f"has neither {_INDEX} nor {_DOCKER_MANIFEST}: neither an image layout nor from `docker save`"
    )


def check_layer(files: Files, layer: Layer, where: str) -> None:
    """Raise ConfigError when the bytes of a layer are not those that its digest names."""
    if not layer.digest:
        return
    try:
        found = _hash(files, layer.name)
    except DAMAGED as error:
        raise ConfigError(f"{where}: {layer.name}", f"cannot be read: {error}") from error
    if found != layer.digest:
        raise ConfigError(
            f"{where}: {layer.name}", f"has the digest {found}, not {layer.digest}: the archive is damaged"
        )


# -- the two forms


def _of_layout(files: Files, where: str) -> Archived:
    manifest = _manifest(files, _document(files, _INDEX, where), where, MAX_NESTED_INDEXES)
    config_name = _blob(manifest["config"]["digest"])
    layers = [(_blob(layer["digest"]), layer["digest"]) for layer in manifest["layers"]]
    return _image(files, where, config_name, layers, manifest["config"]["digest"])


def _manifest(files: Files, index: Any, where: str, depth: int) -> Any:
    """Return the manifest for this machine's architecture that an index leads to."""
    fitting, others = [], []
    for entry in index["manifests"]:
        wanted = entry.get("platform") or {}
        told = f"{wanted.get('os', 'linux')}/{wanted.get('architecture', _architecture())}"
        is_image = _ATTESTATION not in (entry.get("annotations") or {}).items()
        if told == f"linux/{_architecture()}" and is_image:
            fitting.append(entry)
        else:
            others.append(told)
    if not fitting:
        there = f"it has {', '.join(sorted(set(others)))}" if others else "it is empty"
        raise ConfigError(where, f"has no image for linux/{_architecture()}: {there}")
    if len(fitting) > 1:
        raise ConfigError(where, f"holds {len(fitting)} images: save the one that is wanted alone")
    name = _blob(fitting[0]["digest"])
    document = _document(files, name, where, fitting[0]["digest"])
    if "manifests" not in document:
        return document
    if depth == 0:
        raise ConfigError(f"{where}: {name}", f"is an index below {MAX_NESTED_INDEXES} others")
    return _manifest(files, document, where, depth - 1)


def _of_docker(files: Files, where: str) -> Archived:
    images = _document(files, _DOCKER_MANIFEST, where)
    if len(images) != 1:
        raise ConfigError(where, f"holds {len(images)} images: save the one that is wanted alone")
    (image,) = images
    return _image(files, where, image["Config"], [(name, "") for name in image["Layers"]], "")


def _image(files: Files, where: str, config_name: str, layers: list[tuple[str, str]], digest: str) -> Archived:
    document = _document(files, config_name, where, digest)
    if document.get("os", "linux") != "linux" or document.get("architecture", _architecture()) != _architecture():
        told = f"{document.get('os')}/{document.get('architecture')}"
        raise ConfigError(where, f"is for {told}; this machine is linux/{_architecture()}")
    diff_ids = document["rootfs"]["diff_ids"]
    if len(diff_ids) != len(layers) or len(layers) > MAX_LAYERS:
        raise ConfigError(where, f"has {len(layers)} layers of {len(diff_ids)} named; at most {MAX_LAYERS} are taken")
    config = document.get("config") or {}
    if not isinstance(config, dict) or not all(isinstance(word, str) for words in layers for word in words):
        raise TypeError("its config is no object, or a layer is not named by a string")
    found = tuple(Layer(name, own, diff_id) for (name, own), diff_id in zip(layers, diff_ids, strict=True))
    return Archived(_hash(files, config_name), config, found)


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


# -- files


def _document(files: Files, name: str, where: str, digest: str = "") -> Any:
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

    def __contains__(self, name: str) -> bool:
        return (self._root / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        path = self._root / name
        if ".." in path.parts or os.path.isabs(name):
            raise ConfigError(f"{self._root}: {name}", "leads out of the archive")
        try:
            return path.open("rb")
        except OSError as error:
            raise ConfigError(f"{self._root}: {name}", f"cannot be read: {error.strerror}") from error


class _Tar:
    def __init__(self, source: Path, tar: tarfile.TarFile) -> None:
        self._source = source
        self._tar = tar
        self._members: dict[str, tarfile.TarInfo] = {}
        for number, member in enumerate(tar):
            if number == MAX_FILES:
                raise ConfigError(str(source), f"has more than {MAX_FILES} files: no archive of one image has")
            self._members[member.name.removeprefix("./")] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        try:
            # `docker save` stores a layer that two images share once, and a link for the other.
            file = self._tar.extractfile(self._members[name])
        except KeyError:
            file = None
        if file is None:
            raise ConfigError(f"{self._source}: {name}", "is no file of the archive: is it whole?")
        return file
