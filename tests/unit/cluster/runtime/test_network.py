"""Addresses of pods."""

from __future__ import annotations

import socket

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime import network
from eventmesh.cluster.runtime.commands import QUEUE_SERVING_PORT
from eventmesh.cluster.runtime.network import POD_NETWORK, PodAddresses


@pytest.fixture
def addresses() -> PodAddresses:
    return PodAddresses.reserve()


def test_two_meshes_of_a_machine_have_blocks_of_their_own(addresses: PodAddresses) -> None:
    other = PodAddresses.reserve()
    assert not addresses.block.overlaps(other.block)
    assert addresses.block.subnet_of(POD_NETWORK)
    assert other.block.subnet_of(POD_NETWORK)
    other.close()
    addresses.close()


def test_a_block_is_free_again_when_its_mesh_is_gone(addresses: PodAddresses) -> None:
    block = addresses.block
    addresses.close()
    again = PodAddresses.reserve()
    assert again.block == block
    again.close()


def test_an_address_rests_before_it_is_given_out_again(addresses: PodAddresses) -> None:
    first = addresses.take()
    addresses.give_back(first)
    assert addresses.take() != first
    addresses.close()


def test_addresses_of_pods_are_not_those_of_the_mesh(addresses: PodAddresses) -> None:
    assert addresses.own(1) not in {addresses.take() for _ in range(100)}
    addresses.close()


def test_when_all_are_in_use_the_error_names_the_block(addresses: PodAddresses) -> None:
    with pytest.raises(UnavailableError, match=str(addresses.block)):
        for _ in range(network.ADDRESSES_PER_BLOCK):
            addresses.take()
    addresses.close()


def test_a_block_that_was_left_is_taken_over_with_the_addresses_in_use(addresses: PodAddresses) -> None:
    used = addresses.take()
    left = addresses.lease.dup()
    addresses.close()
    again = PodAddresses.reserve([left])
    assert again.block == addresses.block
    again.claim(used)
    taken = {again.take() for _ in range(100)}
    assert used not in taken
    again.give_back(used)
    again.close()


def test_a_block_whose_last_mesh_is_still_ending_is_passed_over() -> None:
    """Its lease is gone, and its activator not yet."""
    ending = PodAddresses.reserve()
    with socket.create_server((ending.own(1), QUEUE_SERVING_PORT)):
        ending.close()
        following = PodAddresses.reserve()
        assert following.block != ending.block
        following.close()
