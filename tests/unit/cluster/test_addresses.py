"""Where a mesh listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster import addresses
from eventmesh.cluster.addresses import Holds


@pytest.fixture
def holds() -> Iterator[Holds]:
    holds = Holds()
    yield holds
    holds.close()


def test_any_free_port_may_be_asked_for_and_no_two_parts_share_one(holds: Holds) -> None:
    where = addresses.choose(0, 0, "127.64.0.1", holds)
    assert len(set(asdict(where).values())) == len(asdict(where))
    assert where.gateway_port == addresses.port_of(where.gateway) != 0


@pytest.mark.parametrize(("flag", "position"), [("--port", 0), ("--gateway-port", 1)])
def test_a_port_that_is_taken_is_told_with_its_flag(flag: str, position: int, holds: Holds) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        ports = [0, 0]
        ports[position] = holder.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"{flag} {ports[position]}") as refusal:
            addresses.choose(ports[0], ports[1], "127.64.0.1", holds)
    assert refusal.value.exit_code == 3


def test_meshes_on_any_ports_have_none_of_the_usual_addresses(holds: Holds) -> None:
    where = addresses.choose(0, 0, "127.64.0.1", holds)
    usual = {
        addresses.ADS_PORT,
        addresses.AUTOSCALER_PORT,
        addresses.GATEWAY_ADMIN_PORT,
        addresses.ACTIVATOR_ADMIN_PORT,
    }
    inner = (where.ads, where.autoscaler, where.gateway_admin, where.activator_admin)
    assert not usual & {addresses.port_of(address) for address in inner}
    assert where.activator == f"127.64.0.1:{addresses.ACTIVATOR_PORT}"


def test_beside_another_mesh_the_activator_takes_the_spare_address(holds: Holds) -> None:
    with socket.socket() as other, socket.create_server(("127.0.0.1", 0)) as api:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind((addresses.ACTIVATOR_HOST, addresses.ACTIVATOR_PORT))
            other.listen()
        except OSError:
            pass  # another mesh holds it already, which is the case to be tested
        free = api.getsockname()[1]
        api.close()
        assert addresses.choose(free, 0, "127.64.0.1", holds).activator == f"127.64.0.1:{addresses.ACTIVATOR_PORT}"


def test_a_port_that_was_drawn_is_its_owners_alone_before_it_listens_and_after(holds: Holds) -> None:
    where = addresses.choose(0, 0, "127.64.0.1", holds)
    port = addresses.port_of(where.gateway_admin)
    other = Holds()
    assert not other.take(port)
    with socket.create_server((addresses.LOOPBACK, port)) as owner:
        with socket.create_connection((addresses.LOOPBACK, port)):
            owner.accept()[0].close()
        assert not other.take(port)
    assert not other.take(port)
    holds.close()
    assert other.take(addresses.port_of(where.ads))
    other.close()
