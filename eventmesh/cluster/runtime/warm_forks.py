"""Forks of a prepared interpreter (`zygote`) kept in stock by the launcher, for functions that ask to start warm.

There is none, nor their zygote, before the first function has asked: that one, and whoever finds the stock empty,
starts as every other does. No function fails because a zygote does.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eventmesh.cluster.runtime import child, wire
from eventmesh.cluster.runtime.surroundings import surroundings

STOCK: Final = 4
"""As many functions as the longest chain that is woken at once in the examples; an idle fork has 1.5 MiB of its own."""

MAX_FAILURES: Final = 3
"""A zygote that ends so often without a single fork never will have one: its own words say why."""

_STANDARD_ERROR: Final = 2
"""Of the launcher, and of a zygote: where it says why it cannot start."""


@dataclass(slots=True, eq=False)
class WarmFork:
    """A process that waits for its order, or is still to be."""

    channel: socket.socket
    pid: int = 0
    """0 until it has said that it is there."""


class WarmForks:
    """The stock, and the zygote that it comes from."""

    def __init__(
        self, selector: selectors.BaseSelector, start: Callable[[], tuple[int, socket.socket]] | None = None
    ) -> None:
        """What comes over `selector` with a `WarmFork` as its data is for `heard`; `start` is `start_zygote`."""
        self._selector = selector
        self._start = start or start_zygote
        self._wanted = False
        self._failures = 0
        self._zygote_pid = 0
        self._zygote: socket.socket | None = None
        self._forks: list[WarmFork] = []

    @property
    def lacking(self) -> bool:
        """Whether there are fewer than there should be."""
        return self._wanted and self._failures < MAX_FAILURES and len(self._forks) < STOCK

    def add(self) -> None:
        """Ask for one more, of a new zygote if there is none; raises OSError when the kernel gives no more processes.

        Called when nobody is in a hurry.
        """
        if self._zygote is None:
            self._zygote_pid, self._zygote = self._start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * wire.MAX_MESSAGE_BYTES)
        fork = WarmFork(ours)
        self._forks.append(fork)
        self._selector.register(ours, selectors.EVENT_READ, fork)
        with theirs, suppress(BrokenPipeError, ConnectionResetError):
            # One that has just ended is noticed by the end of this fork's channel, and by its own.
            socket.send_fds(self._zygote, [b"1"], [theirs.fileno()])

    def heard(self, fork: WarmFork) -> None:
        """Take what a fork says: that it is there, or that it is no more."""
        if fork not in self._forks:
            # It was given an order since.
            return
        try:
            data = fork.channel.recv(wire.MAX_ZYGOTE_BYTES)
        except ConnectionResetError:
            data = b""
        if data:
            fork.pid = int(data)
            self._failures = 0
        else:
            self._drop(fork)

    def give(self, order: bytes, descriptors: Sequence[int]) -> int:
        """Have a fork carry out the encoded `order`; return its process number, 0 when there is none now."""
        self._wanted = True
        for fork in [fork for fork in self._forks if fork.pid]:
            try:
                socket.send_fds(fork.channel, [order], list(descriptors))
            except OSError:
                # It was killed; the next one.
                continue
            finally:
                self._drop(fork)
            return fork.pid
        return 0

    def lost(self, pid: int) -> None:
        """Note that a child of the launcher has ended, which may have been the zygote."""
        if pid == self._zygote_pid:
            self._failures += 1
            self._zygote_pid = 0
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None

    def _drop(self, fork: WarmFork) -> None:
        self._forks.remove(fork)
        self._selector.unregister(fork.channel)
        fork.channel.close()


def start_zygote() -> tuple[int, socket.socket]:
    """Return the process number of a new one and the end of a socket pair that it serves; raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    module = ("-m", "eventmesh.cluster.runtime.zygote", str(theirs.fileno()), str(os.getpid()))
    order = wire.Spawn(0, (sys.executable, *module), surroundings(), "/")
    with theirs, open(os.devnull, "wb") as nowhere:
        pid = os.fork()
        if pid == 0:
            theirs.set_inheritable(True)
            child.start(order, (nowhere.fileno(), _STANDARD_ERROR, _STANDARD_ERROR))
    return pid, ours
