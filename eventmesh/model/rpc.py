"""A method that a trigger calls with its events, in place of posting them. Values, no I/O."""

from __future__ import annotations

from enum import Enum
from typing import Final

from eventmesh.base.frozen import frozen

BOLT_VERSION: Final = "1.0"
"""What SOFARPC takes a version for that nobody says (ConfigUniqueNameGenerator)."""


class RpcProtocol(Enum):
    """What a method is called over."""

    GRPC = "grpc"
    BOLT = "bolt"
    DUBBO = "dubbo"


@frozen
class Signature:
    """What a method takes and gives, in names of Java types."""

    arguments: tuple[str, ...] = ()
    result: str = "void"
    throws: tuple[str, ...] = ()
    """Classes of exceptions that the same call would only meet again."""


@frozen
class RpcMethod:
    """What is called, and what becomes of its result."""

    protocol: RpcProtocol
    service: str
    """`package.Service`, or an interface."""
    name: str
    version: str = ""
    group: str = ""
    """Of an interface: Dubbo's group, SOFARPC's uniqueId."""
    reply_type: str = ""
    """Type of the events that its results are; empty: that of the cause with `.reply` added."""
    signature: Signature | None = None
    """As declared; None: data goes as it is, in a codec that its media type names."""

    @property
    def unique_name(self) -> str:
        """Return what SOFARPC calls the service: `interface:version[:uniqueId]`."""
        return ":".join(filter(None, (self.service, self.version or BOLT_VERSION, self.group)))

    def __str__(self) -> str:
        """Return it as its author wrote it, but for what need not be said."""
        said = ":".join((self.service, self.version, self.group)).rstrip(":")
        return f"{said}/{self.name}"
