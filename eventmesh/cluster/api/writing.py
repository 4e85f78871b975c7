"""How a write is to be done, by whom, and what came of it."""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.identity import Identity
from eventmesh.kube.api import Object


class FieldValidation(Enum):
    """What becomes of fields that a kind does not have."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@frozen
class WriteOptions:
    """How a write is to be done, and by whom."""

    user: str
    groups: tuple[str, ...] = ()
    dry_run: bool = False
    field_validation: FieldValidation = FieldValidation.WARN
    manager: str = ""
    """Under which name the writer owns fields; empty = by the last part of `user`."""
    force: bool = False
    """Whether a server-side apply takes fields over from others."""

    @property
    def writer(self) -> Identity:
        """Return who writes."""
        return Identity(self.user, self.groups)

    @property
    def field_manager(self) -> str:
        """Return the name under which the writer owns what it writes."""
        return self.manager or self.user.rpartition(":")[2]


@frozen
class Written:
    """The object as stored (or, in a dry run, as it would be)."""

    object: Object
    warnings: tuple[str, ...] = ()
