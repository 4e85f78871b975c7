"""What a built-in kind does beside the rules of all kinds: its defaults, its checks, how it goes away."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.cluster.api.errors import Cause
from eventmesh.cluster.api.identity import Identity
from eventmesh.kube.api import Object


class Strategy:
    """The rules of a kind without rules of its own; built-in kinds override what they need."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Fill in the defaults of a create (`old` is None) or an update, in place."""

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is wrong with the defaulted object."""
        return []

    def admit_writer(self, obj: Object, old: Object | None, user: Identity) -> None:
        """Raise ApiError Forbidden when `user`, who may write objects of the kind, may not write this one."""

    def attribute(self, obj: Object, user: Object) -> None:
        """Write into a new object, in place, who made it (`authentication.k8s.io` UserInfo)."""

    def prepare_status(self, obj: Object, old: Object, part: str) -> None:
        """Keep in `obj`, in place, what the subresource `part` may not change of the status."""

    def check_status(self, obj: Object, old: Object) -> list[Cause]:
        """Return what is wrong with the status that is to be stored."""
        return []

    def caveats(self, obj: Object) -> tuple[str, ...]:
        """Return what a writer is to be warned of: what is stored, and has no effect here."""
        return ()

    def grace_seconds(self, obj: Object, asked: int | None) -> int:
        """Return how long somebody needs to end what the object stands for, once it is deleted."""
        return 0

    def holds_deletion(self, obj: Object) -> bool:
        """Return whether the object must stay, deleting, although it has no finalizers."""
        return False

    def begin_deletion(self, obj: Object) -> None:
        """Mark in the object that it is on its way out, in place; raises ApiError when it may not go."""

    def stored(self, obj: Object) -> None:
        """Learn that `obj` has been stored."""

    def removed(self, obj: Object) -> None:
        """Learn that `obj` is gone."""


Strategies = Mapping[str, Strategy]
"""By the store's word for the kind (`pods`, `deployments.apps`)."""

PLAIN = Strategy()
