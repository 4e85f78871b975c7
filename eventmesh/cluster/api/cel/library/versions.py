"""Versions of software (`apiserver/pkg/cel/library/semverlib.go`, SemVer 2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from eventmesh.cluster.api.cel.library.overload import Overload, function, member
from eventmesh.cluster.api.cel.types import BOOL, INT, SEMVER, STRING
from eventmesh.cluster.api.cel.values import EvaluationError, Version

_NUMBER: Final = r"0|[1-9]\d{0,18}"
_IDENTIFIER: Final = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SHAPE: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z.-]+)?\Z", re.ASCII
)
_ZEROS: Final = re.compile(r"0+(?=\d)", re.ASCII)


def _version(text: str, is_lenient: bool = False) -> Version:
    """Return the version; a lenient reader takes `v1.2`, too, and zeros before a number."""
    found = _SHAPE.match(_normal(text) if is_lenient else text)
    if found is None:
        is_short = text.count(".") < 2  # noqa: PLR2004 - major, minor, patch
        problem = "No Major.Minor.Patch elements found" if is_short else f'"{text}" is no version such as 1.2.3'
        raise EvaluationError(problem)
    major, minor, patch, early = found.groups()
    return Version(int(major), int(minor), int(patch), tuple(early.split(".")) if early else ())


def _normal(text: str) -> str:
    parts = [
        _ZEROS.sub("", part, count=1) if part[:1] == "0" else part for part in text.removeprefix("v").split(".", 2)
    ]
    if len(parts) < 3 and ("-" in parts[-1] or "+" in parts[-1]):  # noqa: PLR2004 - major, minor, patch
        return text
    return ".".join((*parts, *["0"] * (3 - len(parts))))


def _is_version(text: str, is_lenient: bool = False) -> bool:
    try:
        _version(text, is_lenient)
    except EvaluationError:
        return False
    return True


def _compared(one: Version, other: Version) -> int:
    return int(one.order > other.order) - int(one.order < other.order)


FUNCTIONS: Mapping[str, tuple[Overload, ...]] = {
    "semver": (function((STRING,), SEMVER, _version), function((STRING, BOOL), SEMVER, _version)),
    "isSemver": (function((STRING,), BOOL, _is_version), function((STRING, BOOL), BOOL, _is_version)),
    "major": (member((SEMVER,), INT, lambda version: version.major),),
    "minor": (member((SEMVER,), INT, lambda version: version.minor),),
    "patch": (member((SEMVER,), INT, lambda version: version.patch),),
    "isGreaterThan": (member((SEMVER, SEMVER), BOOL, lambda one, other: _compared(one, other) > 0),),
    "isLessThan": (member((SEMVER, SEMVER), BOOL, lambda one, other: _compared(one, other) < 0),),
    "compareTo": (member((SEMVER, SEMVER), INT, _compared),),
}
