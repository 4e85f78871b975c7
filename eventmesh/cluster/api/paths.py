"""What a REST path and its query ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.writing import FieldValidation, WriteOptions
from eventmesh.kube.api import PatchType

MAX_MANAGER_CHARS = 128
"""The API server's own limit on the name of a field manager."""
MAX_WATCH_S = 3600
DEFAULT_WATCH_S = 1800
"""The API server ends a watch without timeoutSeconds after 30 to 60 minutes."""
NOT_OLDER_THAN = "NotOlderThan"
"""The one way to match a version in a watch that begins with what exists."""
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@frozen
class Target:
    """The collection, object or subresource that a path names."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    """Empty for cluster-scoped kinds, and for a collection over all namespaces."""
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Target | None:
    """Return what `path` names, or None when it is not the path of a resource."""
    match [part for part in path.split("/") if part]:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    match rest:
        case ["namespaces", namespace, plural, *more] if plural not in _NAMESPACE_SUBRESOURCES or group:
            pass
        case [plural, *more]:
            namespace = ""
        case _:
            return None
    if len(more) > 2:
        return None
    name, subresource = (*more, "", "")[:2]
    return Target(group, version, plural, namespace, name, subresource)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean query parameter as Go reads it; absent is false."""
    return query.get(name, "").lower() in ("true", "1", "t")


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole, non-negative query parameter, None when absent; raises 400."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise errors.bad_request(f'invalid value for query parameter {name}: "{text}" is not a non-negative integer')
    return int(text)


def check_numbers(query: Mapping[str, str]) -> None:
    """Raise 400 for a number of a list or a watch that is none, also where it has no effect."""
    for name in ("limit", "timeoutSeconds"):
        number(query, name)


def write_options(
    query: Mapping[str, str], user: str, user_agent: str = "", groups: tuple[str, ...] = ()
) -> WriteOptions:
    """Return how a write is to be done; raises 400 for values that do not exist."""
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise errors.bad_request(f'invalid value for query parameter dryRun: "{dry_run}"; the one value is "All"')
    validation = query.get("fieldValidation") or FieldValidation.WARN.value
    try:
        level = FieldValidation(validation)
    except ValueError:
        accepted = ", ".join(item.value for item in FieldValidation)
        message = f'invalid value for query parameter fieldValidation: "{validation}"; use one of {accepted}'
        raise errors.bad_request(message) from None
    manager = query.get("fieldManager", "")
    _check_manager(manager)
    name = manager or user_agent.partition("/")[0][:MAX_MANAGER_CHARS]
    return WriteOptions(user=user, groups=groups, dry_run=dry_run == "All", field_validation=level, manager=name)


def _check_manager(name: str) -> None:
    detail = ""
    if len(name) > MAX_MANAGER_CHARS:
        detail = f"may not be more than {MAX_MANAGER_CHARS} bytes"
    elif not name.isprintable():
        detail = "should only contain printable characters"
    if detail:
        raise errors.invalid_options("PatchOptions", Cause(CauseType.INVALID, "fieldManager", detail, name))


def patch_options(query: Mapping[str, str], options: WriteOptions, patch_type: PatchType) -> WriteOptions:
    """Return `options` for a patch of that type; raises 422 for what only an apply may or must say."""
    if patch_type is not PatchType.APPLY:
        if "force" in query:
            cause = Cause(CauseType.FORBIDDEN, "force", "may not be specified for non-apply patch")
            raise errors.invalid_options("PatchOptions", cause)
        return options
    # Whoever applies says under which name; what its program is called says nothing of who decides.
    return replace(options, manager=query.get("fieldManager", ""), force=flag(query, "force"))


@frozen
class WatchOptions:
    """How a watch is to be served."""

    after: int | None
    """Changes after this version; None = from now on."""
    initial_events: bool
    """What exists comes first, as added."""
    bookmarks: bool
    timeout_s: int
    ends_initial: bool = False
    """A bookmark says when all that exists has been sent."""
    not_older_than: int = 0
    """With initial events: a version that must have been given."""


def watch_options(query: Mapping[str, str]) -> WatchOptions:
    """Return the options of a watch; raises ApiError 422 for combinations the API forbids."""
    version = query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    sends_initial = query.get("sendInitialEvents") is not None
    check_numbers(query)
    causes = list(_match_violations(match, sends_initial=sends_initial))
    if causes:
        raise errors.invalid_options("ListOptions", *causes)
    known = number(query, "resourceVersion") or 0
    from_now = version in ("", "0")
    initial = flag(query, "sendInitialEvents") if sends_initial else from_now
    timeout = number(query, "timeoutSeconds") or DEFAULT_WATCH_S
    return WatchOptions(
        after=None if from_now or initial else known,
        initial_events=initial,
        bookmarks=flag(query, "allowWatchBookmarks"),
        timeout_s=min(timeout, MAX_WATCH_S),
        ends_initial=initial and sends_initial,
        not_older_than=known if initial else 0,
    )


def _match_violations(match: str, *, sends_initial: bool) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if not sends_initial:
        if match:
            why = f"{field} is forbidden for watch unless sendInitialEvents is provided"
            yield Cause(CauseType.FORBIDDEN, field, why)
        return
    if match != NOT_OLDER_THAN:
        yield Cause(CauseType.FORBIDDEN, field, f"sendInitialEvents requires setting {field} to {NOT_OLDER_THAN}")
        if match:
            yield Cause(CauseType.NOT_SUPPORTED, field, f'supported values: "{NOT_OLDER_THAN}"', match)
