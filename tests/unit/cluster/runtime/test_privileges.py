"""Security contexts of local processes."""

from __future__ import annotations

import pytest

from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.privileges import confined
from eventmesh.cluster.runtime.wire import Confinement
from eventmesh.kube.api import Object

ROOT, ME = 0, 1000


def asked(container: Object, me: int, pod: Object | None = None, image_user: int | None = None) -> Confinement:
    spec = {"spec": {"securityContext": pod or {}}}
    return confined(Confinement(), spec, {"securityContext": container}, image_user=image_user, me=me)


def test_root_starts_processes_as_anyone_and_the_container_wins_over_its_pod() -> None:
    got = asked({"runAsUser": 54_321}, ROOT, {"runAsUser": 7, "runAsGroup": 8})
    assert (got.user, got.group) == (54_321, 8)
    assert asked({"runAsUser": 54_321}, ROOT).group == 54_321
    assert asked({}, ROOT) == Confinement(no_new_privileges=True)


def test_who_is_not_root_runs_processes_as_himself_alone() -> None:
    assert asked({"runAsUser": ME, "runAsNonRoot": True}, ME) == Confinement(no_new_privileges=True)
    with pytest.raises(ContainerConfigError, match=r"securityContext\.runAsUser: 54321: eventmesh runs as user 1000"):
        asked({"runAsUser": 54_321}, ME)


def test_root_is_refused_where_the_spec_forbids_it() -> None:
    with pytest.raises(ContainerConfigError, match="runAsNonRoot"):
        asked({"runAsNonRoot": True}, ROOT)
    assert asked({"runAsNonRoot": True}, ME) == Confinement(no_new_privileges=True)


def test_the_images_user_runs_it_where_the_pod_names_nobody_and_root_can_grant_it() -> None:
    got = asked({"runAsNonRoot": True}, ROOT, image_user=65_532)
    assert (got.user, got.group) == (65_532, 65_532)
    assert asked({"runAsUser": 7}, ROOT, image_user=65_532).user == 7
    assert asked({}, ROOT, {"runAsUser": 7}, image_user=65_532).user == 7
    assert asked({}, ME, image_user=65_532) == Confinement(no_new_privileges=True)
    with pytest.raises(ContainerConfigError, match="runAsNonRoot"):
        asked({"runAsNonRoot": True}, ROOT, image_user=0)


def test_privileges_are_given_up() -> None:
    got = asked({"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, ROOT)
    assert (got.no_new_privileges, got.no_capabilities) == (True, True)
