"""Acting for somebody else (`kubectl --as`): whom the headers name, and that the asker may."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.identity import ANONYMOUS, UNAUTHENTICATED, Identity
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.kube.account_tokens import AUTHENTICATED, SUBJECT_PREFIX, account_groups

PREFIX: Final = "impersonate-"
USER: Final = "Impersonate-User"
GROUP: Final = "Impersonate-Group"
UID: Final = "Impersonate-Uid"
EXTRA: Final = "impersonate-extra-"

_AUTHENTICATION: Final = "authentication.k8s.io"


def acting_for(asker: Identity, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> Identity:
    """Return whom a request of `asker` is to be judged as: them, or whom its headers name.

    Raises ApiError: 403 for each user, group, uid and extra that the asker may not `impersonate`, 400 for those
    without a user.
    """
    named = sorted(name for name in headers if name.lower().startswith(PREFIX))
    if not named:
        return asker
    user, groups, uid = headers.get(USER) or "", tuple(headers.getall(GROUP, [])), headers.get(UID) or ""
    if not user:
        raise errors.bad_request(f"requested {', '.join(named)} without impersonating a user: name one in {USER}")
    extra: dict[str, tuple[str, ...]] = {}
    for name in headers:
        if name.lower().startswith(EXTRA):
            extra[unquote(name[len(EXTRA) :].lower())] = tuple(headers.getall(name))
    wanted = [_as_user(user), *(_as("groups", group) for group in groups)]
    if uid:
        wanted.append(_as("uids", uid, group=_AUTHENTICATION))
    for key, values in extra.items():
        wanted += [_as("userextras", value, group=_AUTHENTICATION, part=key) for value in values]
    for each in wanted:
        authorizer.require(asker, each)
    return Identity(user, _groups(user, groups), uid, extra)


def _as(resource: str, name: str, *, group: str = "", part: str = "") -> OnResource:
    return OnResource("impersonate", group, resource, subresource=part, name=name)


def _account(user: str) -> tuple[str, str] | None:
    """Return namespace and name of the service account that `user` is, if it is one."""
    match user.removeprefix(SUBJECT_PREFIX).split(":"):
        case [namespace, name] if user.startswith(SUBJECT_PREFIX) and namespace and name:
            return namespace, name
    return None


def _as_user(user: str) -> OnResource:
    account = _account(user)
    if account is None:
        return _as("users", user)
    namespace, name = account
    return OnResource("impersonate", "", "serviceaccounts", namespace=namespace, name=name)


def _groups(user: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups that `user` is in: those given, or else a service account's own, and everybody's.

    Who asks to be one of the unknown is not made one of the known beside (as upstream).
    """
    account = _account(user)
    if not given and account is not None:
        return account_groups(account[0])
    general = UNAUTHENTICATED if user == ANONYMOUS else AUTHENTICATED
    return given if general in given or UNAUTHENTICATED in given else (*given, general)
