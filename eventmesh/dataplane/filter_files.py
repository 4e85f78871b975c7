"""How filters are found in files, and made of what configurations say."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.dataplane.filters import DIRECTORY_VARIABLE, Factory, Filter
from eventmesh.model.authz import PythonFilter

MAX_SHOWN: Final = 200
"""Characters of a configuration that an error shows: it goes into a condition and into a log."""

_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\.py")


class FilterFiles:
    """The filters in a directory; a file is read when a configuration first names it, and again when it has changed."""

    def __init__(self, directory: Path | None) -> None:
        """`directory` None: this process has no filters."""
        self._directory = directory
        self._read: dict[str, tuple[int, Mapping[str, Filter | Factory]]] = {}
        self._made: dict[str, tuple[Factory, Filter]] = {}
        """By the name that the core asks by."""

    def find(self, wanted: Iterable[tuple[str, PythonFilter]]) -> dict[str, Filter]:
        """Return the filters that steps of access want, given with their names, by the names that the core asks by.

        One that is made is made once for all steps that want the same, and is kept until `keep` lets it go. Raises
        ConfigError for one that there is not.
        """
        steps: dict[str, tuple[PythonFilter, set[str]]] = {}
        for step, one in wanted:
            steps.setdefault(one.asked_as, (one, set()))[1].add(step)
        return {key: self._one(key, one, names) for key, (one, names) in sorted(steps.items())}

    def keep(self, used: Iterable[str]) -> None:
        """Let go of the filters that were made and are not among those `used`."""
        self._made = {key: self._made[key] for key in used if key in self._made}

    def _one(self, key: str, wanted: PythonFilter, steps: Iterable[str]) -> Filter:
        path = f"filter {wanted.file}"
        there = self._of(wanted.file)
        found = there.get(wanted.name)
        if found is None:
            known = ", ".join(sorted(there)) or "none"
            raise ConfigError(path, f"has no filter {wanted.name!r}; it has: {known}")
        text = wanted.config.text if wanted.config is not None else "{}"
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
        # Control tells by these words whose object is meant (`xds.control.access.refusals`).
        refused = f"{wanted.name!r} in {', '.join(sorted(steps))} refuses {shown}"
        if isinstance(found, Filter):
            if wanted.config is not None:
                raise ConfigError(path, f"{refused}: it takes no config; remove it, or make it a @factory")
            return found
        factory, made = self._made.get(key, (None, None))
        # A file that was read again has other factories.
        if made is None or factory is not found:
            try:
                made = found(json.loads(text))
            except ValueError as error:
                raise ConfigError(path, f"{refused}: {error}") from error
            except (Exception, SystemExit) as error:  # whatever its author has written, as in `load_file`
                raise ConfigError(path, f"{refused}: {type(error).__name__}: {error}") from error
            self._made[key] = found, made
        return made

    def _of(self, file: str) -> Mapping[str, Filter | Factory]:
        path = f"filter {file}"
        if self._directory is None:
            raise ConfigError(path, f"this process has no filters: start it with {DIRECTORY_VARIABLE}=DIRECTORY")
        if _FILE.fullmatch(file) is None:
            raise ConfigError(path, f"is no plain name of a Python file in {self._directory}")
        try:
            changed = (self._directory / file).stat().st_mtime_ns
        except OSError as error:
            raise ConfigError(path, f"cannot be read: {error.strerror or error}") from error
        known = self._read.get(file)
        if known is None or known[0] != changed:
            known = self._read[file] = changed, load_file(self._directory / file)
        return known[1]


def load_file(path: Path) -> Mapping[str, Filter | Factory]:
    """Run a file and return its filters and factories by name. Raises ConfigError when it cannot be run."""
    spec = importlib.util.spec_from_file_location(f"eventmesh_filter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"filter {path.name}", "is no Python file")
    module = importlib.util.module_from_spec(spec)
    former = sys.modules.get(spec.name)
    sys.modules[spec.name] = module  # where dataclasses, pickle and others look up what its annotations name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever its author has written: the former configuration stays in force
        if former is None:
            del sys.modules[spec.name]
        else:
            sys.modules[spec.name] = former
        raise ConfigError(f"filter {path.name}", f"cannot be run: {type(error).__name__}: {error}") from error
    return {one.name: one for one in vars(module).values() if isinstance(one, Filter | Factory)}
