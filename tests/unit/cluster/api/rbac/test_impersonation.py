"""Whom the headers of a request name."""

from __future__ import annotations

from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from eventmesh.cluster.api.identity import MASTERS, Identity
from eventmesh.cluster.api.rbac.authorizer import Authorizer
from eventmesh.cluster.api.rbac.bindings import Bindings
from eventmesh.cluster.api.rbac.impersonation import acting_for
from eventmesh.cluster.store.store import Store
from eventmesh.kube.api import ApiError
from tests.manual_clock import ManualClock

EVERYBODY = "system:authenticated"
NOBODY = "system:unauthenticated"
ACCOUNTS = ("system:serviceaccounts", "system:serviceaccounts:shop", EVERYBODY)


@pytest.fixture
def authorizer(tmp_path: Path) -> Authorizer:
    return Authorizer(Bindings(Store(tmp_path, ManualClock())))


def headers(user: str, *groups: str) -> CIMultiDictProxy[str]:
    named = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]
    return CIMultiDictProxy(CIMultiDict(named))


@pytest.mark.parametrize(
    ("user", "given", "groups"),
    [
        ("ann", (), (EVERYBODY,)),
        ("ann", ("devs",), ("devs", EVERYBODY)),
        ("ann", (EVERYBODY, "devs"), (EVERYBODY, "devs")),
        ("ann", (NOBODY,), (NOBODY,)),
        ("system:anonymous", (), (NOBODY,)),
        ("system:anonymous", ("devs",), ("devs", NOBODY)),
        ("system:serviceaccount:shop:cart", (), ACCOUNTS),
        ("system:serviceaccount:shop:cart", ("devs",), ("devs", EVERYBODY)),
    ],
)
def test_somebody_acted_for_is_in_the_groups_that_kubernetes_says(
    authorizer: Authorizer, user: str, given: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    master = Identity("root", (MASTERS,))
    assert acting_for(master, headers(user, *given), authorizer) == Identity(user, groups)


@pytest.mark.parametrize(
    ("user", "asked"),
    [
        ("ann", 'users "ann"'),
        ("system:serviceaccount:shop:cart", 'serviceaccounts "cart"'),
        ("system:serviceaccount:shop:cart:x", 'users "system:serviceaccount:shop:cart:x"'),
        ("system:serviceaccount:shop:", 'users "system:serviceaccount:shop:"'),
    ],
)
def test_who_has_no_right_to_act_for_others_is_told_of_whom(authorizer: Authorizer, user: str, asked: str) -> None:
    with pytest.raises(ApiError) as refused:
        acting_for(Identity("bob", ()), headers(user), authorizer)
    assert refused.value.code == 403 and refused.value.message.startswith(f"{asked} is forbidden: ")
