"""What `securityContext` means for a local process; pure but for who this process is."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace

from eventmesh.cluster.runtime.environment import ContainerConfigError
from eventmesh.cluster.runtime.wire import Confinement
from eventmesh.kube.api import Object


def confined(
    confinement: Confinement,
    pod: Object,
    container: Object,
    *,
    image_user: int | None = None,
    image_group: int | None = None,
    me: int | None = None,
) -> Confinement:
    """Return `confinement` with the user and the privileges that the container's security context asks for.

    `image_user`, with `image_group`, runs it where the pod names nobody; a mesh that does not run as root leaves that
    wish. `me` is the user that eventmesh runs as, this process's own by default. Raises ContainerConfigError when it
    may not start processes as the user that is asked for, or when another than root is required and none is named.
    No program gains privileges by set-user-id files unless the context allows that in so many words.
    """
    me = os.geteuid() if me is None else me
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    asked: int | None = context.get("runAsUser")
    user = image_user if asked is None and me == 0 else asked
    if context.get("runAsNonRoot") and (me if user is None else user) == 0:
        raise ContainerConfigError(
            "securityContext.runAsNonRoot: the process would run as root; name a user with securityContext.runAsUser, "
            "or start eventmesh as another user"
        )
    group: int | None = context.get("runAsGroup")
    if user is not None and group is None:
        group = image_group if asked is None and image_group is not None else _primary_group(user)
    if me != 0:
        if user not in (None, me):
            raise ContainerConfigError(
                f"securityContext.runAsUser: {user}: eventmesh runs as user {me} and only root may start processes as "
                "another; start eventmesh as root, or leave the field out"
            )
        user = group = None
    return replace(
        confinement,
        user=user,
        group=group,
        no_new_privileges=context.get("allowPrivilegeEscalation") is not True,
        no_capabilities="ALL" in ((context.get("capabilities") or {}).get("drop") or ()),
    )


def _primary_group(user: int) -> int:
    """Return the group of that user; one of the same number for a user that this machine does not know."""
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user
