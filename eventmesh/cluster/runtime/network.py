"""Addresses of pods. Each mesh of a machine has a block of its own, each pod an address of that block.

Every address of 127.0.0.0/8 is local on Linux, so a pod's address needs no interface: its sidecar just binds it.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime.commands import QUEUE_SERVING_PORT

POD_NETWORK: Final = IPv4Network("127.64.0.0/10")
BLOCK_BITS: Final = 12
"""4,096 addresses a mesh: far above what processes one machine carries; leaves room for 1,024 meshes side by side."""

ADDRESSES_PER_BLOCK: Final = 2**BLOCK_BITS
BLOCKS: Final = POD_NETWORK.num_addresses // ADDRESSES_PER_BLOCK

_RESERVED: Final = 16
"""The first addresses of a block are the mesh's own: .1 its activator when the usual address is taken."""


class PodAddresses:
    """The block of one mesh, held until `close` or the end of the process."""

    def __init__(self, block: IPv4Network, lease: socket.socket) -> None:
        self.block = block
        self.lease = lease
        """Whoever has it open, the block is taken."""
        # First in, first out: an address rests as long as possible before a new pod gets it, so that a data plane
        # that has not heard of the old pod's end cannot reach a stranger.
        first = int(block.network_address)
        # Not by `block[host]`, which takes ten milliseconds of every start for them all.
        hosts = range(_RESERVED, block.num_addresses - 1)
        self._free = deque(socket.inet_ntoa((first + host).to_bytes(4, "big")) for host in hosts)

    @classmethod
    def reserve(cls, left: Sequence[socket.socket] | None = None) -> PodAddresses:
        """Take the first block that no other mesh of this machine holds, or the one of a lease that was `left` to this
        mesh; raises UnavailableError when all are taken.

        The lease of a mesh that was killed ends a moment before the last of its processes does: such a block is passed
        over.
        """
        for lease in left or ():
            return cls._block(int(lease.getsockname().rpartition(b"/")[2]), lease)
        for number in range(BLOCKS):
            lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                # An abstract name: it belongs to the network namespace and vanishes with its holder, kill -9 included.
                lease.bind(f"\0eventmesh/pods/{number}")
            except OSError as error:
                lease.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            found = cls._block(number, lease)
            if found._is_free():
                return found
            found.close()
        raise UnavailableError(f"all {BLOCKS} blocks of pod addresses in {POD_NETWORK} are held by running meshes")

    @classmethod
    def _block(cls, number: int, lease: socket.socket) -> PodAddresses:
        first = POD_NETWORK.network_address + number * ADDRESSES_PER_BLOCK
        return cls(IPv4Network((first, POD_NETWORK.max_prefixlen - BLOCK_BITS)), lease)

    def _is_free(self) -> bool:
        """Return whether nobody listens any more where an activator would."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.own(1), QUEUE_SERVING_PORT))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return False
        return True

    def own(self, host: int) -> str:
        """Return the address `host` of those that are kept for the mesh itself (1 to 15)."""
        return str(self.block[host])

    def take(self) -> str:
        """Return an address for a new pod; raises UnavailableError when every one is in use."""
        if not self._free:
            raise UnavailableError(f"all {ADDRESSES_PER_BLOCK} pod addresses of {self.block} are in use")
        return self._free.popleft()

    def claim(self, address: str) -> None:
        """Take this very address: its pod was there before."""
        self._free.remove(address)

    def give_back(self, address: str) -> None:
        """Return the address of a pod that is gone."""
        self._free.append(address)

    def close(self) -> None:
        """Let another mesh have the block."""
        self.lease.close()


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port of `address` that is free at this moment, for a pod that shares the host's network."""
    with socket.create_server((address, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
