"""Process images: what pods can run, kept by content under `<data-dir>/images`: directories, and container images.

`eventmesh images add NAME DIR` copies DIR; `dev.local/NAME` then means the newest copy and `dev.local/NAME@sha256:...`
one certain copy, which stays for as long as something refers to it. What is run inside is told by `image.json`:

    {"command": ["./server"], "args": [], "env": {"MODE": "demo"}, "workdir": ".", "user": 65532}

`command` is a program of the directory (`./...`), a name looked up on PATH, or `python` for the interpreter that
eventmesh itself runs under. `user` is who runs it where the pod names nobody, as the user of a container's image; only
root can grant it. A directory without that file but with `function.py` or `main.py` runs it with that interpreter; a
`function.py` that imports `eventmesh.functions` has its functions served. Nothing here starts a process.

`eventmesh images add NAME FILE` takes a container image from an archive (`archives`); what is run is then what the
image says, in a root directory of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any, Final

from eventmesh.base.errors import ConfigError, MeshError, UnavailableError, UsageError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.archives import is_archive
from eventmesh.cluster.runtime.container_images import MANIFEST as CONTAINER_MANIFEST
from eventmesh.cluster.runtime.container_images import MAX_USER, image_in, unpack
from eventmesh.cluster.runtime.container_images import ROOT as CONTAINER_ROOT
from eventmesh.cluster.runtime.launcher_process import product_pythonpath
from eventmesh.functions.loading import SCRIPT, is_served

REGISTRY: Final = "dev.local"
"""Knative resolves no tags of this registry (config-deployment, registries-skipping-tag-resolving)."""

MAX_FILES: Final = 20_000
"""A function with its vendored packages has a few thousand files; more is a wrong directory, such as a home."""

MAX_BYTES: Final = 1024 * 1024 * 1024
"""One gibibyte: a process image carries code, not data; each version is a full copy."""

MAX_MANIFEST_BYTES: Final = 64 * 1024
"""A manifest names a command and some variables."""

_NAME: Final = re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".venv", "node_modules/.cache"})
_MANIFEST: Final = "image.json"
_SCRIPTS: Final = (SCRIPT, "main.py")
_CHUNK_BYTES: Final = 1024 * 1024


class UnknownImageError(MeshError):
    """No such image or version; the message names those that exist."""


@frozen
class Image:
    """One runnable version."""

    name: str
    digest: str
    """`sha256:` and the hash of every file's path, mode and bytes."""
    directory: Path
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "."
    user: int | None = None
    """Who runs it where the pod names nobody; None: whoever runs the mesh."""
    group: int | None = None
    root: Path | None = None
    """The root directory that it is to be run in: of a container image. None: it sees the machine's own files."""

    @property
    def reference(self) -> str:
        """Return the name that means this version for ever: `dev.local/NAME@sha256:...`."""
        return f"{REGISTRY}/{self.name}@{self.digest}"


class ImageStore:
    """The images of one data directory; several processes may use it at once."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "images"

    def add(self, name: str, source: Path) -> Image:
        """Make a directory with a function, or the container image in an archive, the newest version of `name`.

        Raises UsageError for a wrong name or path, ConfigError for a wrong manifest or an archive that cannot be read.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"image name {name!r}: use lower-case letters, digits and single . _ - / between them")
        if is_archive(source):
            digest = image_in(source).id
            self._keep(name, digest, partial(unpack, source))
            return self.find(f"{REGISTRY}/{name}")
        if not source.is_dir():
            raise UsageError(f"image {str(source)!r} is neither a directory nor the archive of a container image")
        if (source / CONTAINER_MANIFEST).exists():
            raise ConfigError(
                str(source / CONTAINER_MANIFEST), "is a name that images of containers have: choose another"
            )
        manifest = _manifest(source)
        digest = _digest(source)
        left_out = shutil.ignore_patterns(*_LEFT_OUT)
        target = self._keep(
            name, digest, lambda content: shutil.copytree(source, content, symlinks=True, ignore=left_out)
        )
        _compile(target)
        return _image(name, digest, target, manifest)

    def _keep(self, name: str, digest: str, fill: Callable[[Path], object]) -> Path:
        """Have the version `digest`, made by `fill` if it is not there, and make it the newest; return where it is.

        Raises UnavailableError when it cannot be kept; what there was of the name is still there then.
        """
        versions = self._root / _folder(name)
        try:
            return self._kept(versions, digest, fill)
        except OSError as error:
            # Of many files that cannot be copied the first says why.
            why = error.args[0][0][2] if isinstance(error, shutil.Error) else str(error)
            raise UnavailableError(f"image {name!r} cannot be kept in {versions}: {why}") from error

    def _kept(self, versions: Path, digest: str, fill: Callable[[Path], object]) -> Path:
        versions.mkdir(parents=True, exist_ok=True)
        target = versions / digest.removeprefix("sha256:")
        if not target.exists():
            # Made beside and renamed: a reader never sees half an image.
            with tempfile.TemporaryDirectory(dir=versions, prefix=".copy-") as workspace:
                content = Path(workspace) / "content"
                fill(content)
                os.rename(content, target)
        newest = versions / ".newest.tmp"
        newest.write_text(digest, encoding="ascii")
        os.replace(newest, versions / "newest")
        return target

    def find(self, reference: str) -> Image:
        """Return the image a pod names; raises UnknownImageError (naming what there is) or ConfigError."""
        name, digest = _parse(reference)
        versions = self._root / _folder(name)
        try:
            digest = digest or (versions / "newest").read_text(encoding="ascii")
        except FileNotFoundError:
            raise UnknownImageError(self._unknown(f"unknown image {reference!r}")) from None
        directory = versions / digest.removeprefix("sha256:")
        if not directory.is_dir():
            raise UnknownImageError(self._unknown(f"unknown version of image {name!r}: {digest}"))
        return _image(name, digest, directory, _manifest(directory))

    async def resolve(self, reference: str) -> str:
        """Return `reference` by digest; raises what `find` raises. This is what Serving asks of an image resolver."""
        return self.find(reference).reference

    def names(self) -> list[str]:
        """Return the name of every image, sorted."""
        return sorted(_name(folder.name) for folder in self._folders())

    def versions(self, name: str) -> list[str]:
        """Return the digests of `name` that are kept, the newest first."""
        folder = self._root / _folder(name)
        newest = self.find(f"{REGISTRY}/{name}").digest
        others = (f"sha256:{path.name}" for path in folder.iterdir() if re.fullmatch(r"[0-9a-f]{64}", path.name))
        return [newest, *sorted(digest for digest in others if digest != newest)]

    def remove(self, reference: str, in_use: frozenset[str]) -> list[str]:
        """Remove an image, or one version of it (`NAME@sha256:...`); return the digests that went.

        Raises UnknownImageError for what is not there, UsageError for a version that is among the digests `in_use`, or
        that is the newest while there are others: the name must go on to mean something.
        """
        path = reference if reference.startswith(f"{REGISTRY}/") else f"{REGISTRY}/{reference}"
        image = self.find(path)
        versions = self.versions(image.name)
        gone = [image.digest] if "@" in path else versions
        if used := [digest for digest in gone if digest in in_use]:
            raise UsageError(f"{REGISTRY}/{image.name}@{used[0]} is in use by a revision or a pod: delete that first")
        if gone == versions[:1] and len(versions) > 1:
            raise UsageError(
                f"{path} is the newest version of {image.name}: remove the whole image, or add another first"
            )
        folder = self._root / _folder(image.name)
        if gone == versions:
            shutil.rmtree(folder)
        for digest in gone:
            shutil.rmtree(folder / digest.removeprefix("sha256:"), ignore_errors=True)
        return gone

    def prune(self, in_use: frozenset[str]) -> list[str]:
        """Remove versions that are neither the newest nor among the digests `in_use`; return their references."""
        removed = []
        for name in self.names():
            for digest in self.versions(name)[1:]:
                if digest not in in_use:
                    shutil.rmtree(self._root / _folder(name) / digest.removeprefix("sha256:"), ignore_errors=True)
                    removed.append(f"{REGISTRY}/{name}@{digest}")
        return removed

    def _folders(self) -> Iterator[Path]:
        if self._root.is_dir():
            yield from (folder for folder in self._root.iterdir() if (folder / "newest").is_file())

    def _unknown(self, problem: str) -> str:
        known = ", ".join(f"{REGISTRY}/{name}" for name in self.names())
        there = f"known are {known}" if known else "none has been added yet"
        return f"{problem}: {there}; `eventmesh images add NAME DIR` makes {REGISTRY}/NAME from a directory"


def digests_in(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the digest of every image that revisions or pods refer to."""
    for obj in objects:
        statuses = (obj.get("status") or {}).get("containerStatuses") or ()
        references = [status.get("imageDigest") or status.get("imageID") or "" for status in statuses]
        references += [container.get("image", "") for container in obj["spec"].get("containers") or ()]
        yield from (reference.partition("@")[2] for reference in references if "@" in reference)


def _parse(reference: str) -> tuple[str, str]:
    """Return (name, digest or empty) of an image reference."""
    path, _, digest = reference.partition("@")
    registry, _, name = path.partition("/")
    if registry != REGISTRY or not name:
        raise UnknownImageError(
            f"unknown image {reference!r}: nothing is pulled from a registry here; save the image "
            "(`docker save -o FILE`, `skopeo copy docker://... oci-archive:FILE`) and `eventmesh images add NAME FILE` "
            f"makes it {REGISTRY}/NAME, as it does with the directory of a function"
        )
    name, _, tag = name.partition(":")
    if tag not in ("", "latest"):
        raise UnknownImageError(f"unknown image {reference!r}: process images have no tags, only digests (@sha256:...)")
    if digest and not _DIGEST.fullmatch(digest):
        raise UnknownImageError(f"unknown image {reference!r}: a digest is sha256: and 64 hexadecimal digits")
    if not _NAME.fullmatch(name):
        raise UnknownImageError(f"unknown image {reference!r}: {name!r} is no image name")
    return name, digest


def _folder(name: str) -> str:
    # A name may contain slashes, a folder may not; `+` cannot occur in a name.
    return name.replace("/", "+")


def _name(folder: str) -> str:
    return folder.replace("+", "/")


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        yield from (Path(folder) / name for name in sorted(names))
        yield from (Path(folder) / name for name in folders if (Path(folder) / name).is_symlink())


def _digest(directory: Path) -> str:
    total = hashlib.sha256()
    files = size = 0
    for file in sorted(_files(directory)):
        status = file.lstat()
        files, size = files + 1, size + status.st_size
        if files > MAX_FILES or size > MAX_BYTES:
            raise UsageError(
                f"image directory {str(directory)!r} has more than {MAX_FILES} files or {MAX_BYTES} bytes: "
                "name the directory of the function alone"
            )
        total.update(f"{file.relative_to(directory)}\0{status.st_mode:o}\0{status.st_size}\0".encode())
        if file.is_symlink():
            total.update(os.readlink(file).encode())
        elif file.is_file():
            with open(file, "rb") as content:
                while chunk := content.read(_CHUNK_BYTES):
                    total.update(chunk)
    return f"sha256:{total.hexdigest()}"


def _manifest(directory: Path) -> dict[str, Any]:
    """Return the checked manifest of a directory, written or implied."""
    container = directory / CONTAINER_MANIFEST
    if container.is_file():
        return dict(json.loads(container.read_bytes()))
    path = directory / _MANIFEST
    if not path.is_file():
        if _is_served(directory / SCRIPT):
            # Whatever the pod's working directory holds, this very eventmesh is what serves it.
            environment = {"PYTHONPATH": product_pythonpath({})}
            return {"command": ["python", "-m", "eventmesh.functions", SCRIPT], "env": environment}
        for script in _SCRIPTS:
            if (directory / script).is_file():
                return {"command": ["python", script]}
        raise ConfigError(str(directory), f"holds neither {_MANIFEST} nor {' nor '.join(_SCRIPTS)}: nothing to run")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ConfigError(str(path), f"is longer than {MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(str(path), f"is not JSON: {error}") from None
    _check_manifest(path, manifest)
    return dict(manifest)


def _is_served(script: Path) -> bool:
    try:
        return is_served(script.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        return False
    except UnicodeDecodeError as error:
        raise ConfigError(str(script), f"is not UTF-8: {error.reason} at byte {error.start}") from None


def _check_manifest(path: Path, manifest: object) -> None:
    if not isinstance(manifest, dict):
        raise ConfigError(str(path), "must be an object")
    unknown = sorted(set(manifest) - {"command", "args", "env", "workdir", "user"})
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]}", "is not a field; known are command, args, env, workdir, user")
    for key in ("command", "args"):
        value = manifest.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ConfigError(f"{path}: {key}", f"is {value!r}; must be a list of strings")
    if not manifest.get("command"):
        raise ConfigError(f"{path}: command", "is missing; must name a program and its arguments")
    env = manifest.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise ConfigError(f"{path}: env", f"is {env!r}; must be an object of strings")
    user = manifest.get("user")
    if user is not None and (type(user) is not int or not 0 <= user <= MAX_USER):
        raise ConfigError(f"{path}: user", f"is {user!r}; must be the number of a user, 0 to {MAX_USER}")
    workdir = manifest.get("workdir", ".")
    if not isinstance(workdir, str) or not (path.parent / workdir).is_dir():
        raise ConfigError(f"{path}: workdir", f"is {workdir!r}; must be a directory of the image")


def _image(name: str, digest: str, directory: Path, manifest: dict[str, Any]) -> Image:
    command = tuple(manifest["command"])
    root = directory / CONTAINER_ROOT
    is_container = (directory / CONTAINER_MANIFEST).is_file()
    if command[0] == "python" and not is_container:
        command = (sys.executable, *command[1:])
    return Image(
        name,
        digest,
        directory,
        command,
        tuple(manifest.get("args", ())),
        dict(manifest.get("env", {})),
        str(manifest.get("workdir", ".")),
        manifest.get("user"),
        manifest.get("group"),
        root if is_container else None,
    )


def _compile(directory: Path) -> None:
    """Compile what is Python, because a function finds its code read-only: it could not do it once and for all."""
    # Here and not above: an interpreter that compiles nothing need not load what does.
    from compileall import compile_dir

    compile_dir(directory, quiet=2)
