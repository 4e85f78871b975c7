"""Listening sockets that a process was started with."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from eventmesh.transport.address import InetAddress, UnixAddress
from eventmesh.transport.inherited import Inherited


def test_a_socket_is_found_by_its_address_as_often_as_it_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        inherited = Inherited([listening])
        for _ in range(2):
            (found,) = inherited.at(InetAddress("127.0.0.1", port))
            with found:
                assert found.getsockname() == listening.getsockname()
        assert inherited.at(InetAddress("127.0.0.1", port + 1)) == ()
        assert inherited.at(UnixAddress("/run/x.sock")) == ()
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            pass


def test_sockets_that_share_an_address_are_all_found() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as one:
        port = one.getsockname()[1]
        with socket.create_server(("127.0.0.1", port), reuse_port=True) as other:
            found = Inherited([one, other]).at(InetAddress("127.0.0.1", port))
            assert len(found) == 2
            for each in found:
                each.close()


def test_replaced_sockets_are_closed_and_who_serves_one_has_his_own(tmp_path: Path) -> None:
    first, second = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    second.bind(str(tmp_path / "s"))
    address = InetAddress("127.0.0.1", first.getsockname()[1])
    inherited = Inherited([first])
    (served,) = inherited.at(address)
    inherited.replace([second])
    assert served.getsockname()[1] == address.port
    assert (first.fileno(), inherited.at(address)) == (-1, ())
    (found,) = inherited.at(UnixAddress(str(tmp_path / "s")))
    for one in (served, found, second):
        one.close()


def test_what_is_meant_for_another_process_is_left_alone_and_not_passed_on() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDNAMES": "web", "HOME": "/"}
    assert Inherited.of_process(environ).at(InetAddress("127.0.0.1", 80)) == ()
    assert environ == {"HOME": "/"}


def test_a_count_that_is_none_is_no_socket() -> None:
    environ = {"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid())}
    assert Inherited.of_process(environ).at(InetAddress("127.0.0.1", 80)) == ()
