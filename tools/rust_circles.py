"""Hold the files of each room of the Rust core to a direction: none may know another that, by whatever way, knows it.

A room is `crates/core/src` or a folder below it; it consists of its files and of the folders in it. To name the room
itself (`mod.rs` or `lib.rs`, which all its files stand on) is no edge; a name that the room passes on counts for the
file it comes from.
Prints each circle; the exit status is 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

CRATE = Path("crates/core/src")
_TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod \w+\s*\{")
_COMMENT = re.compile(r"//[^\n]*")
_USE = re.compile(r"\buse\s+([^;]+);")
_PASSED_ON = re.compile(r"\bpub use\s+([^;]+);")
_PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")
_GROUP = re.compile(r"(?P<stem>[\w:]*?)(?:::)?\{(?P<inner>.*)\}$", re.DOTALL)


def code(path: Path) -> str:
    """Return a file without its comments and unit tests."""
    return _COMMENT.sub("", _TESTS.split(path.read_text(encoding="utf-8"))[0])


def leaves(tree: str, stem: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the paths that one `use` names, groups spelled out."""
    tree = tree.strip()
    group = _GROUP.match(tree)
    if group is None:
        yield (*stem, *re.sub(r"\s+as\s+\w+$", "", tree).split("::"))
        return
    stem = (*stem, *filter(None, group["stem"].split("::")))
    depth, start, inner = 0, 0, group["inner"] + ","
    for at, letter in enumerate(inner):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            if inner[start:at].strip():
                yield from leaves(inner[start:at], stem)
            start = at + 1


def passed_on(room: Path, parts: set[str]) -> dict[str, str]:
    """Return the names that a room passes on, each with the part of the room that has it."""
    root = "lib.rs" if room == CRATE else "mod.rs"
    found = (path for tree in _PASSED_ON.findall(code(room / root)) for path in leaves(tree))
    plain = (path[1:] if path[0] == "self" else path for path in found)
    return {path[-1]: path[0] for path in plain if path[0] in parts}


def known(file: Path, room: Path, parts: set[str], names: Mapping[str, str]) -> Iterator[str]:
    """Return the parts of `room` that a file in it, or in a folder of it, names."""
    text = code(file)
    paths = [path for tree in _USE.findall(text) for path in leaves(tree)]
    paths += [tuple(path.split("::")) for path in _PATH.findall(_USE.sub("", text))]
    inside = room.relative_to(CRATE).parts
    own = file.relative_to(CRATE).with_suffix("").parts
    here = own[:-1] if own[-1] == "mod" else own
    for path in paths:
        base = here
        while path and path[0] == "super":
            base, path = base[:-1], path[1:]  # noqa: PLW2901
        whole = path[1:] if path[0] == "crate" else (*base, *(path[1:] if path[0] == "self" else path))
        if whole[: len(inside)] == inside and len(whole) > len(inside):
            part = whole[len(inside)]
            if (part := names.get(part, part)) in parts:
                yield part


def circle(room: Path) -> list[str]:
    """Return the parts of one circle in a room, empty if there is none."""
    parts = {path.stem for path in room.iterdir() if path.suffix == ".rs" or path.is_dir()} - {"lib", "mod", "tests"}
    names = passed_on(room, parts)
    graph: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for file in [room / f"{part}.rs", *(room / part).rglob("*.rs")]:
            if file.exists() and "tests" not in file.relative_to(room).with_suffix("").parts:
                graph[part] |= set(known(file, room, parts, names)) - {part}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def main() -> int:
    """Look at every room."""
    status = 0
    for room in [CRATE, *sorted(path.parent for path in CRATE.rglob("mod.rs"))]:
        if parts := circle(room):
            status = 1
            sys.stdout.write(f"{room}: know each other in a circle: {' <- '.join(parts)}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
