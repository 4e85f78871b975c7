"""A process's own view of the files: volumes shown at paths that need not exist on this machine.

A missing path gets its mount point in a copy of the nearest directory that exists: an empty file system in memory,
mounted over that directory in this process's view alone, with every entry of the original shown in it. So nothing is
ever written to the machine's own directories. Runs in the forked child, before its program; nothing here decides.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Final

from eventmesh.base import linux
from eventmesh.cluster.runtime.wire import Confinement

MAX_ENTRIES: Final = 4096
"""Entries of a directory that is copied for a mount point: each costs a mount of the kernel's (100,000 by default) and
some 20 microseconds of the start. `/usr/bin` of a large desktop has half as many."""

STAGING: Final = ".eventmesh"
"""An empty directory in the root of every container image, for `_View` to put a new root together in."""

_PATH_ONLY: Final = os.O_PATH | os.O_CLOEXEC


DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
"""What the runtime specification has in every container's /dev."""
NAMES: Final = ("/etc/resolv.conf", "/etc/hosts")
"""How names are found here: the machine's own, in place of what the image may have, as with every engine."""
_LINKS: Final = (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2"))


def arrange(confinement: Confinement) -> None:
    """Give the calling process the view of the files that it is to have. Raises OSError with the path it is about."""
    if confinement.beside:
        _join(confinement.beside)
    elif confinement.root or confinement.mounts:
        _show(confinement)


def _join(pid: int) -> None:
    """See what the process `pid` sees."""
    root = os.open(f"/proc/{pid}/root", _PATH_ONLY)
    view = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    linux.enter_namespace(view, linux.CLONE_NEWNS)
    os.fchdir(root)
    os.chroot(".")
    os.close(view)
    os.close(root)


def _show(confinement: Confinement) -> None:
    """Show each mount's source at its target, in the calling process and its children alone.

    `staging` is an empty directory, used when the root directory itself needs a new entry, or is another one.
    """
    linux.own_mounts()
    # By descriptor, because a mount may hide the source of a later one.
    opened = [(os.open(mount.source, _PATH_ONLY), mount) for mount in confinement.mounts]
    staging = confinement.staging
    if confinement.root:
        _enter(confinement.root, confinement.layer, staging)
        staging = f"/{STAGING}"
    view = _View(staging)
    for source, mount in sorted(opened, key=lambda pair: (_has_root_entry(pair[1].target), pair[1].target)):
        is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
        linux.bind(f"/proc/self/fd/{source}", view.point(mount.target, is_directory), read_only=mount.read_only)
        os.close(source)


def _has_root_entry(target: str) -> bool:
    """Return whether the root directory has what `target` lies in; what needs a new root comes before all else, which
    might hide `staging`."""
    return os.path.exists("/" + os.path.realpath(target).split("/")[1])


def _enter(root: str, layer: str, at: str) -> None:
    """Make `root`, shown at the empty directory `at`, the root directory, with what every container finds there."""
    if not (layer and _overlay(root, layer, at)):
        linux.bind(root, at, read_only=True)
    linux.bind("/proc", f"{at}/proc")
    # Root in a container is root: what it set there, it would set for the machine.
    linux.bind("/proc/sys", f"{at}/proc/sys", read_only=True)
    linux.mount_memory(os.path.join(at, "tmp"), 0o1777)
    devices = os.path.join(at, "dev")
    linux.mount_memory(devices, 0o755)
    for name in DEVICES:
        _touch(f"{devices}/{name}")
        linux.bind(f"/dev/{name}", f"{devices}/{name}")
    for name, number in _LINKS:
        os.symlink(f"/proc/self/fd{number}", f"{devices}/{name}")
    os.mkdir(f"{devices}/shm")
    linux.mount_memory(f"{devices}/shm", 0o1777)
    os.mkdir(f"{devices}/pts")
    linux.mount_terminals(f"{devices}/pts")
    os.symlink("pts/ptmx", f"{devices}/ptmx")
    # Not every user may see it, and an image that was unpacked by an earlier version has no place for it.
    with suppress(OSError):
        linux.mount_system(f"{at}/sys")
    names = {path: os.open(path, _PATH_ONLY) for path in NAMES if os.path.exists(path)}
    os.chroot(at)
    os.chdir("/")
    # From inside: a link in the image must not lead to a file of the machine's.
    for path, source in names.items():
        # A root that takes nothing, and has no such file, is left as it is.
        with suppress(OSError):
            _touch(path)
            linux.bind(f"/proc/self/fd/{source}", path, read_only=True)
        os.close(source)


def _overlay(root: str, layer: str, at: str) -> bool:
    """Show `root` at `at` with `layer` taking what is written; False where kernel or disk have no such thing."""
    upper, work = f"{layer}/upper", f"{layer}/work"
    if any(mark in path for path in (root, layer) for mark in ",:\\"):
        # Marks of the mount options.
        return False
    for path in (upper, work):
        os.makedirs(path, exist_ok=True)
    # Whoever runs the program sees the image's own root directory, not that of the layer.
    os.chmod(upper, stat.S_IMODE(os.stat(root).st_mode))
    with suppress(OSError):
        linux.mount_overlay(root, upper, work, at)
        return True
    return False


class _View:
    """The directories that were copied so far."""

    def __init__(self, staging: str) -> None:
        self._staging = staging
        self._copied: set[str] = set()

    def point(self, target: str, is_directory: bool) -> str:
        """Return the path to mount at for `target`, made if it is missing."""
        path = os.path.realpath(target)
        if os.path.exists(path):
            return path
        parent = os.path.dirname(path)
        while not os.path.isdir(parent):
            if os.path.exists(parent):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), parent)
            parent = os.path.dirname(parent)
        if parent not in self._copied:
            self._copy(parent)
        # What is below a copy, and is none itself, did not exist before: it lies in the copy's memory.
        os.makedirs(path if is_directory else os.path.dirname(path), exist_ok=True)
        if not is_directory:
            _touch(path)
        return path

    def _copy(self, directory: str) -> None:
        """Cover `directory` by one in memory that shows the same entries and takes new ones."""
        names = os.listdir(directory)
        if len(names) > MAX_ENTRIES:
            raise OSError(errno.E2BIG, f"more than {MAX_ENTRIES} entries: mount below another directory", directory)
        original = os.open(directory, _PATH_ONLY)
        mode = stat.S_IMODE(os.fstat(original).st_mode)
        is_root = directory == "/"
        cover = self._staging if is_root else directory
        linux.mount_memory(cover, mode, unbindable=is_root)
        for name in names:
            if is_root and os.path.join(directory, name) == cover:
                continue
            # An entry may go while its neighbours are shown.
            with suppress(FileNotFoundError):
                _show_entry(f"/proc/self/fd/{original}/{name}", os.path.join(cover, name))
        os.close(original)
        if is_root:
            os.chroot(cover)
            os.chdir("/")
        self._copied.add(directory)


def _show_entry(source: str, target: str) -> None:
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
        return
    if stat.S_ISDIR(mode):
        os.mkdir(target)
    else:
        _touch(target)
    linux.bind(source, target)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
