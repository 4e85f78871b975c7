"""Listening sockets."""

from __future__ import annotations

import socket

from eventmesh.transport.acceptor import MAX_UNSENT, listen_on
from eventmesh.transport.address import InetAddress
from eventmesh.transport.netns import HostNetwork


def test_what_an_accepted_connection_is_given_leaves_at_once_whichever_loop_serves_it() -> None:
    with listen_on(InetAddress("127.0.0.1", 0), HostNetwork()) as listening, socket.socket() as client:
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_the_kernel_holds_for_a_client_that_does_not_read_is_bounded() -> None:
    with listen_on(InetAddress("127.0.0.1", 0), HostNetwork()) as listening, socket.socket() as client:
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == MAX_UNSENT
