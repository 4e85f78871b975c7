"""Layers of a container image, laid one over the other into a directory (image-spec, layer.md).

A layer is a tar that a stranger may have made: no entry is written, and none removed, outside the directory, whatever
links the layers before it have laid; nothing that is a device comes to be.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.runtime.archives import DAMAGED

MAX_FILES: Final = 500_000
"""Entries of all layers together; an image with a whole desktop has half as many."""
MAX_BYTES: Final = 8 * 1024 * 1024 * 1024
"""Eight gibibytes unpacked, which no archive of a few megabytes may come to: what is larger is data, not code."""
MAX_LINKS: Final = 40
"""Links on the way of one path, as the kernel counts (path_resolution(7))."""

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_CHUNK_BYTES: Final = 1024 * 1024
_MAGIC: Final = {b"\x1f\x8b": "gz", b"BZ": "bz2", b"\xfd7": "xz"}
_ZSTD: Final = b"\x28\xb5"


class Unpacking:
    """One root directory that layers are laid into, the lowest first."""

    def __init__(self, root: Path, where: str) -> None:
        """`root` is there and empty; `where` is the archive, for messages."""
        self._root = root
        self._where = where
        self._files = 0
        self._bytes = 0

    def lay(self, layer: IO[bytes], name: str, diff_id: str) -> None:
        """Lay a layer over what is there; raises ConfigError when it is not the tar that `diff_id` names, and more."""
        try:
            tar = _Hashing(_decompressed(layer, f"{self._where}: {name}"))
            with tarfile.open(fileobj=cast(IO[bytes], tar), mode="r|") as entries:
                written: set[str] = set()
                for entry in entries:
                    self._count(entry)
                    self._entry(entries, entry, written)
            tar.drain()
        except (*DAMAGED, ValueError) as error:
            raise ConfigError(f"{self._where}: {name}", f"cannot be unpacked: {error}") from error
        if tar.digest != diff_id:
            raise ConfigError(
                f"{self._where}: {name}", f"unpacks to {tar.digest}, not {diff_id}: the archive is damaged"
            )

    def make_directory(self, path: str) -> None:
        """Have a directory at `path` of the root, by whatever links of its own."""
        self._resolve([part for part in path.split("/") if part not in ("", ".")])

    def make_mount_point(self, name: str) -> None:
        """Have a directory `name` in the root, and no link."""
        path = self._root / name
        if path.is_symlink() or not path.is_dir():
            _remove(str(path))
            path.mkdir(0o755)

    def _count(self, entry: tarfile.TarInfo) -> None:
        self._files += 1
        self._bytes += entry.size
        if self._files > MAX_FILES or self._bytes > MAX_BYTES:
            raise ConfigError(self._where, f"unpacks to more than {MAX_FILES} files or {MAX_BYTES} bytes")

    def _entry(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, written: set[str]) -> None:
        parts = [part for part in entry.name.split("/") if part not in ("", ".")]
        if not parts:
            return
        if ".." in parts:
            raise ConfigError(self._where, f"has an entry {entry.name!r}, which leads out of it")
        parent = self._resolve(parts[:-1])
        name = parts[-1]
        if name == _OPAQUE:
            _keep_only(parent, written)
        elif name.startswith(_WHITEOUT):
            gone = name.removeprefix(_WHITEOUT)
            if gone in ("", ".", ".."):
                raise ConfigError(
                    self._where, f"has an entry {entry.name!r}, which takes away no file of its directory"
                )
            _remove(os.path.join(parent, gone))
        else:
            target = os.path.join(parent, name)
            self._write(tar, entry, target)
            # With all that it lies in: an opaque mark above must not take it away.
            while target != str(self._root):
                written.add(target)
                target = os.path.dirname(target)

    def _write(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: str) -> None:
        if not (entry.isdir() and os.path.isdir(target) and not os.path.islink(target)):
            _remove(target)
        if entry.isdir():
            os.makedirs(target, exist_ok=True)
        elif entry.issym():
            os.symlink(entry.linkname, target)
        elif entry.islnk():
            *above, name = [part for part in entry.linkname.split("/") if part not in ("", ".")]
            os.link(os.path.join(self._resolve(above), name), target, follow_symlinks=False)
            return
        elif entry.isreg():
            content = tar.extractfile(entry)
            assert content is not None  # noqa: S101 - it is a file
            with open(target, "xb") as file:
                shutil.copyfileobj(content, file, _CHUNK_BYTES)
        else:
            # Devices and pipes: what a program needs of them is in every container's /dev.
            return
        if os.geteuid() == 0:
            os.lchown(target, entry.uid, entry.gid)
        if not entry.issym():
            # Without set-user-id: nobody gains anything by a program of an image.
            # A directory stays one that its owner can fill: layers above may bring more of it.
            mode = stat.S_IMODE(entry.mode) & 0o1777
            os.chmod(target, mode | 0o700 if entry.isdir() else mode)

    def _resolve(self, parts: list[str]) -> str:
        """Return the directory at `parts` inside the root, made where it is missing; links never lead out of it."""
        path, links = str(self._root), 0
        waiting = list(reversed(parts))
        while waiting:
            part = waiting.pop()
            if part == "..":
                path = path if path == str(self._root) else os.path.dirname(path)
                continue
            below = os.path.join(path, part)
            if os.path.islink(below):
                links += 1
                if links > MAX_LINKS:
                    raise ConfigError(self._where, f"has more than {MAX_LINKS} links on the way to {'/'.join(parts)!r}")
                linked = os.readlink(below)
                path = str(self._root) if linked.startswith("/") else path
                waiting += [part for part in reversed(linked.split("/")) if part not in ("", ".")]
                continue
            if not os.path.isdir(below):
                _remove(below)
                os.mkdir(below, 0o755)
            path = below
        return path


def _keep_only(directory: str, written: set[str]) -> None:
    """Remove what is below `directory` but for what this very layer has put there (layer.md, "Opaque Whiteout")."""
    for folder, folders, names in os.walk(directory):
        for path in [os.path.join(folder, name) for name in (*folders, *names)]:
            if path not in written:
                _remove(path)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def _decompressed(layer: IO[bytes], where: str) -> IO[bytes]:
    magic = layer.read(2)
    layer.seek(0)
    if magic == _ZSTD:
        raise ConfigError(where, "is compressed by zstd, which is not read here: save the image with gzip layers")
    match _MAGIC.get(magic):
        case "gz":
            return cast(IO[bytes], gzip.GzipFile(fileobj=layer))
        case "bz2":
            return cast(IO[bytes], bz2.BZ2File(layer))
        case "xz":
            return cast(IO[bytes], lzma.LZMAFile(layer))
        case _:
            return layer


class _Hashing:
    """A tar on its way to being unpacked, of which every byte is counted into a digest."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._total = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._total.update(data)
        return data

    def drain(self) -> None:
        """Read what lies behind the end of the tar, which the digest covers too."""
        while self.read(_CHUNK_BYTES):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._total.hexdigest()}"
