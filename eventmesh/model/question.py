"""Questions about a request that are answered yes or no, protocol-neutral, in Envoy's terms."""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.model.match import HeaderMatch, TextMatch
from eventmesh.model.tagged import Tagged


class Caller(Enum):
    """Which address of a caller is meant."""

    DIRECT = "direct"
    """That of its connection."""
    TOLD = "told"
    """The last one in X-Forwarded-For where callers are proxies (`Listener.use_remote_address` is false)."""


@frozen
class Anything(Tagged):
    """Always holds."""


@frozen
class All(Tagged):
    """All hold."""

    of: tuple[Test, ...]


@frozen
class AnyOf(Tagged):
    """One holds."""

    of: tuple[Test, ...]


@frozen
class Not(Tagged):
    """The other does not hold."""

    of: Test


@frozen
class Header(Tagged):
    """A header is like this; of a header that is there several times one line is enough."""

    wanted: HeaderMatch


@frozen
class UrlPath(Tagged):
    """The path, without query and fragment, is like this."""

    text: TextMatch


@frozen
class DestinationPort(Tagged):
    """The listener's port lies between these, both included."""

    first: int
    last: int


@frozen
class DestinationIp(Tagged):
    """The listener's address, as configured, lies in this network."""

    network: str
    """`10.0.0.0/8` or `::1`."""


@frozen
class SourceIp(Tagged):
    """The caller's address lies in this network."""

    of: Caller
    network: str


@frozen
class ServerName(Tagged):
    """The host that the caller named in its TLS handshake is like this; without any it is empty."""

    text: TextMatch


@frozen
class Principal(Tagged):
    """The caller has shown a certificate that is believed, one of whose URIs and host names is like this."""

    text: TextMatch | None = None
    """None: any certificate."""


@frozen
class IsNull(Tagged):
    """It is null."""


@frozen
class IsNumber(Tagged):
    """It is a number from `start` up to, and without, `end`; equal ones mean that number alone."""

    start: float
    end: float


@frozen
class IsText(Tagged):
    """It is a text like this."""

    text: TextMatch


@frozen
class IsFlag(Tagged):
    """It is this truth."""

    flag: bool


@frozen
class IsThere(Tagged):
    """There is something; without `flag` it never holds, as in Envoy."""

    flag: bool


@frozen
class HasMember(Tagged):
    """It is a list with a member like this."""

    of: ValueTest


@frozen
class IsOne(Tagged):
    """It is like one of these."""

    of: tuple[ValueTest, ...]


ValueTest = IsNull | IsNumber | IsText | IsFlag | IsThere | HasMember | IsOne


@frozen
class Metadata(Tagged):
    """What an earlier step has noted of the request is like this."""

    namespace: str
    """Which step's: Envoy's name of the filter."""
    path: tuple[str, ...]
    """Keys, from outside in."""
    value: ValueTest
    invert: bool = False


Test = (
    Anything
    | All
    | AnyOf
    | Not
    | Header
    | UrlPath
    | DestinationPort
    | DestinationIp
    | SourceIp
    | ServerName
    | Principal
    | Metadata
)
"""One question about a request."""
