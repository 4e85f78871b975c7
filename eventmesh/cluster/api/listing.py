"""Lists in chunks: as of which version, from where, how much (`apimachinery/pkg/apis/meta/internalversion`).

A continue token names the version of the first chunk and the last object sent, so that all chunks together are one
list as of one version, whatever is written in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.paths import NOT_OLDER_THAN, check_numbers, number
from eventmesh.kube.api import ApiError, Object

_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105  # a word of the format, no secret
_MATCHES = ("Exact", NOT_OLDER_THAN)
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@frozen
class Position:
    """Behind which object a chunk begins."""

    namespace: str = ""
    name: str = ""


@frozen
class ListOptions:
    """What part of which list is wanted."""

    limit: int = 0
    """At most so many objects; 0 = all."""
    revision: int | None = None
    """As of this revision of the store; None = now."""
    not_older_than: int = 0
    """A revision that must have been given; the list may be newer."""
    start: Position | None = None
    """Behind which object a continued list goes on."""


def list_options(query: Mapping[str, str]) -> ListOptions:
    """Return the options of a list; raises ApiError 400 for a token that is none, 422 for forbidden combinations."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    check_numbers(query)
    token, limit = query.get("continue", ""), number(query, "limit") or 0
    _check_combination(query, version, match, token)
    known = number(query, "resourceVersion") or 0
    if token:
        revision, start = _decode(token)
        return ListOptions(limit, revision, start=start)
    if match == "Exact" or (limit and known and not match):
        return ListOptions(limit, known)
    return ListOptions(limit, not_older_than=known)


def _check_combination(query: Mapping[str, str], version: str, match: str, token: str) -> None:
    if query.get("sendInitialEvents") is not None:
        cause = Cause(CauseType.FORBIDDEN, "sendInitialEvents", "sendInitialEvents is forbidden for list")
        raise errors.invalid_options("ListOptions", cause)
    causes = list(_match_violations(version, match, token)) if match else []
    if causes:
        raise errors.invalid_options("ListOptions", *causes)
    if token and version not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")


def _match_violations(version: str, match: str, token: str) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if not version:
        yield Cause(CauseType.FORBIDDEN, field, f"{field} is forbidden unless resourceVersion is provided")
    if token:
        yield Cause(CauseType.FORBIDDEN, field, f"{field} is forbidden when continue is provided")
    if match not in _MATCHES:
        accepted = ", ".join(map(json.dumps, (*_MATCHES, "")))
        yield Cause(CauseType.NOT_SUPPORTED, field, f"supported values: {accepted}", match)
    if match == "Exact" and version == "0":
        yield Cause(CauseType.FORBIDDEN, field, f'{field} "exact" is forbidden for resourceVersion "0"')


@frozen
class Chunk:
    """Some objects of a list, and the metadata that goes with them."""

    items: list[Object]
    metadata: Object


def chunk(items: list[Object], options: ListOptions, revision: int, *, counts: bool) -> Chunk:
    """Return the part of `items`, sorted by namespace and name, as of `revision`, that `options` ask for.

    `counts` is whether the client is told how many remain; with selectors it is not, as in Kubernetes.
    """
    if options.start is not None:
        after = (options.start.namespace, options.start.name)
        items = [item for item in items if _place(item) > after]
    metadata: Object = {"resourceVersion": str(revision)}
    if not options.limit or len(items) <= options.limit:
        return Chunk(items, metadata)
    part = items[: options.limit]
    metadata["continue"] = _encode(revision, Position(*_place(part[-1])))
    if counts:
        metadata["remainingItemCount"] = len(items) - len(part)
    return Chunk(part, metadata)


def expired_token(options: ListOptions) -> ApiError:
    """Return the 410 for a continued list whose version is forgotten, with a token to go on as of now."""
    return errors.ExpiredTokenError(_EXPIRED, _encode(-1, options.start or Position()))


def _place(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _encode(revision: int, start: Position) -> str:
    token = {"v": _TOKEN_VERSION, "rv": revision, "start": f"{start.namespace}/{start.name}"}
    return base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(token: str) -> tuple[int | None, Position]:
    """Return the revision (None = now) and the start of a token; raises 400."""
    try:
        value = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if value["v"] != _TOKEN_VERSION:
            raise errors.bad_request(f"continue key is not valid: server does not recognize version {value['v']}")
        revision, (namespace, _, name) = int(value["rv"]), str(value["start"]).partition("/")
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
    return (None if revision < 0 else revision), Position(namespace, name)
