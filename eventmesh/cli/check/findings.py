"""What a check finds: how it stands, in words, and how to mend it."""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen


class Standing(Enum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Something does less than it could."""
    FAILURE = "failure"
    """A mesh will not start, or will not work."""


@frozen
class Finding:
    """One line of the report."""

    subject: str
    standing: Standing
    found: str
    mend: str = ""
    """What to do about it; empty when there is nothing to be done."""


def ok(subject: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(subject, Standing.OK, found)


def warning(subject: str, found: str, mend: str) -> Finding:
    """Return that something does less than it could."""
    return Finding(subject, Standing.WARNING, found, mend)


def failure(subject: str, found: str, mend: str) -> Finding:
    """Return that a mesh will not start, or will not work."""
    return Finding(subject, Standing.FAILURE, found, mend)
