"""Container images made runnable by processes: their layers in one root directory, and what to run in it.

Needs no container engine. `images` keeps what is made here and finds it again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.runtime.archives import Archived, check_layer, opened, read
from eventmesh.cluster.runtime.layers import Unpacking
from eventmesh.cluster.runtime.mounts import STAGING

ROOT: Final = "rootfs"
MANIFEST: Final = "container.json"
"""What to run, in the words of `image.json`, with `group` beside `user`."""

MOUNT_POINTS: Final = ("dev", "proc", "sys", "tmp", STAGING)
MAX_USERS_BYTES: Final = 1024 * 1024
"""Of the passwd and group files of an image."""
MAX_USER: Final = 2**31 - 1
"""Kubernetes' bound of runAsUser, and of groups."""
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


def image_in(source: Path) -> Archived:
    """Return the image in an archive; raises ConfigError."""
    with opened(source) as files:
        return read(files, str(source))


def unpack(source: Path, content: Path) -> None:
    """Make the directory `content` of the image in `source`; raises ConfigError, and leaves what it has made."""
    where = str(source)
    root = content / ROOT
    root.mkdir(parents=True)
    unpacking = Unpacking(root, where)
    with opened(source) as files:
        image = read(files, where)
        for layer in image.layers:
            check_layer(files, layer, where)
            with files.open(layer.name) as file:
                unpacking.lay(file, layer.name, layer.diff_id)
    manifest = _manifest(image.config, root, where)
    unpacking.make_directory(manifest["workdir"])
    for name in MOUNT_POINTS:
        unpacking.make_mount_point(name)
    (content / MANIFEST).write_text(json.dumps(manifest))


def _manifest(config: Mapping[str, Any], root: Path, where: str) -> dict[str, Any]:
    """Return what to run; raises ConfigError for an image that does not say what, or as whom it does not know."""
    entrypoint, arguments = _words(config, "Entrypoint", where), _words(config, "Cmd", where)
    if not entrypoint and not arguments:
        raise ConfigError(where, "has neither Entrypoint nor Cmd: nothing to run")
    pairs = [item.partition("=") for item in _words(config, "Env", where)]
    manifest: dict[str, Any] = {
        "command": entrypoint or arguments[:1],
        "args": arguments if entrypoint else arguments[1:],
        "env": {name: value for name, _, value in pairs},
        "workdir": "/" + str(config.get("WorkingDir") or "").strip("/"),
    }
    asked = str(config.get("User") or "")
    if asked:
        user, _, group = asked.partition(":")
        manifest["user"], own_group = _user(root, user, where)
        manifest["group"] = _identity(root, "etc/group", group, where)[0] if group else own_group
    return manifest


def _words(config: Mapping[str, Any], name: str, where: str) -> list[str]:
    words = config.get(name) or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{where}: {name}", f"is {words!r}; must be a list of strings")
    return words


def _user(root: Path, name: str, where: str) -> tuple[int, int]:
    """Return the numbers of a user and of its group; those of one that has but a number are the same."""
    found, columns = _identity(root, "etc/passwd", name, where)
    own = _number(columns[3]) if len(columns) > 3 else None
    return found, found if own is None else own


def _identity(root: Path, file: str, name: str, where: str) -> tuple[int, list[str]]:
    """Return the number of a user or group, and the columns of its line, none when no line names it."""
    lines = [line.split(":") for line in _text(root, file).splitlines()]
    for columns in lines:
        if len(columns) > 2 and name in (columns[0], columns[2]) and (listed := _number(columns[2])) is not None:
            return listed, columns
    if (number := _number(name)) is not None:
        return number, []
    raise ConfigError(f"{where}: User", f"{name!r} is not in the image's /{file}")


def _number(text: str) -> int | None:
    """Return the number of a user or group, None for what is none, or beyond MAX_USER."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= MAX_USER else None


def _text(root: Path, file: str) -> str:
    """Return a file of the image's own; empty when it has none. No link is followed: it might lead to one of ours."""
    *folders, name = file.split("/")
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory), "rb") as content:
            return content.read(MAX_USERS_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(directory)
