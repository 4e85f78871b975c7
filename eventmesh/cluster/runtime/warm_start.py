"""Which function containers a fork of a prepared interpreter can be, so that nothing differs but the time it takes.

An interpreter reads some variables once, when it starts, and has modules loaded that a function might have of its own
under the same name. A container that needs either otherwise starts as every other does.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.process import Command
from eventmesh.cluster.runtime.surroundings import surroundings
from eventmesh.cluster.runtime.zygote import MODULES
from eventmesh.kube.api import Object
from eventmesh.kube.warm_start import VALUES, WARM_START, warm_start

_READ_AT_START: Final = ("PYTHON", "LD_", "LC_", "LANG", "GLIBC_", "MALLOC_", "OPENSSL_")
"""What the names of variables begin with that interpreter, loader and libraries read once, before any code runs."""

_PRELOADED: Final = sys.stdlib_module_names | {module.partition(".")[0] for module in MODULES}
"""Top-level modules that a fork may have loaded."""


def warmed(pod: Object, command: Command, image: Image) -> tuple[Command, str]:
    """Return how to start a function container of a pod that asks for it, and why that is not warm all the same."""
    said = warm_start(pod)
    why = why_cold(command, image) if said in VALUES else f"{WARM_START}: {said!r} is neither of {', '.join(VALUES)}"
    return (command, why) if why else (replace(command, warm=True), "")


def why_cold(command: Command, image: Image) -> str:
    """Return why the container cannot be a fork; empty: it can."""
    if image.root is not None:
        return f"image {image.name} brings an interpreter of its own"
    if command.argv[0] != sys.executable:
        return f"it runs {command.argv[0]!r}, and not `python` as an image.json or a function.py means it"
    directory = _import_directory(command)
    if directory is None:
        return "an option of the interpreter stands before its script"
    if not directory.is_relative_to(image.directory):
        return f"it imports from {directory}, outside its image"
    usual = surroundings()
    names = sorted(name for name in command.env.keys() | usual.keys() if name.startswith(_READ_AT_START))
    for name in names:
        if command.env.get(name) != usual.get(name):
            return f"variable {name} is read only when an interpreter starts"
    own = sorted(_modules_in(directory) & _PRELOADED)
    return f"its own module {own[0]!r} has the name of one that is loaded already" if own else ""


def _import_directory(command: Command) -> Path | None:
    """Return where the interpreter would look first for modules; None when this is not `python FILE` or `-m MODULE`."""
    match command.argv[1:]:
        case ("-m", _, *_):
            return Path(command.workdir)
        case (script, *_) if not script.startswith("-"):
            return Path(os.path.realpath(Path(command.workdir, script))).parent
        case _:
            return None


def _modules_in(directory: Path) -> set[str]:
    try:
        return {name.partition(".")[0] for name in os.listdir(directory)}
    except OSError:
        # Its start will tell.
        return set()
