"""Forked processes kept in stock by the launcher, so that a cold start does not wait for a fork.

A fork copies the page tables of everything that is preloaded, and its child then copies page after page as it first
touches them: some 3 ms for each of a pod's processes, done here while nobody waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime import child, wire

STOCK: Final = 4
"""Two pods, each a sidecar and a function; an idle spare has 1.5 MiB of its own, measured."""

RESTOCK_AFTER_S: Final = 0.25
"""Later than a cold start takes, so that forking the next ones does not compete with the pod that took these."""


@frozen
class _Spare:
    pid: int
    channel: socket.socket
    groups: Sequence[str]
    """Control groups that it belongs to already."""


class Spares:
    """Children that wait for their order."""

    def __init__(self) -> None:
        self._ready: list[_Spare] = []
        self._prepared: dict[str, _Spare] = {}
        self._exhausted = False

    @property
    def lacking(self) -> bool:
        """Whether there are fewer than there should be; when the kernel refused one, the next order must come first."""
        return len(self._ready) < STOCK and not self._exhausted

    def add(self) -> None:
        """Fork one; raises OSError when the kernel gives no more processes."""
        self._exhausted = True
        self._ready.append(_fork())
        self._exhausted = False

    def prepare(self, word: str, modules: Sequence[str], groups: Sequence[str] = ()) -> None:
        """Fork one for orders that go by `word`, which need `modules` and belong to `groups`; raises OSError as `add`
        does."""
        self._prepared[word] = _fork(modules, groups)

    def let_go(self) -> None:
        """End those that wait in control groups: whoever has made these is gone."""
        for word in [word for word, spare in self._prepared.items() if spare.groups]:
            # It reads the end of its channel.
            self._prepared.pop(word).channel.close()

    def give(self, order: bytes, descriptors: Sequence[int], words: Sequence[str] = ()) -> int:
        """Have a spare carry out the encoded `order`, one prepared for any of `words` if there is one.

        Return its process number, 0 when there is none.
        """
        self._exhausted = False
        for word in words:
            prepared = self._prepared.pop(word, None)
            if prepared is None:
                continue
            self._ready.insert(0, prepared)
            break
        while self._ready:
            spare = self._ready.pop(0)
            with spare.channel, suppress(OSError):
                socket.send_fds(spare.channel, [order], list(descriptors))
                return spare.pid
        return 0

    def lost(self, pid: int) -> None:
        """Forget a spare that somebody has killed."""
        for spare in [spare for spare in self._ready if spare.pid == pid]:
            self._ready.remove(spare)
            spare.channel.close()
        for word in [word for word, spare in self._prepared.items() if spare.pid == pid]:
            self._prepared.pop(word).channel.close()


def _fork(modules: Sequence[str] = (), groups: Sequence[str] = ()) -> _Spare:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * wire.MAX_MESSAGE_BYTES)
        pid = os.fork()
        if pid == 0:
            child.wait(theirs, modules, groups)
    return _Spare(pid, ours, groups)
