"""Messages with sockets over a socket pair."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from eventmesh.transport.channel import MAX_MESSAGE_BYTES, MAX_SOCKETS, Channel, ChannelClosed


def _pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one), Channel(other)


async def test_messages_arrive_whole_in_order_and_with_their_sockets() -> None:
    here, there = _pair()
    large = bytes(range(256)) * 40_000  # more than the kernel buffers
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sending = asyncio.gather(here.send(b""), here.send(large, [listening, listening]), here.send(b"last"))
        assert await there.receive() == (b"", [])
        message, sockets = await there.receive()
        assert message == large
        assert [one.getsockname() for one in sockets] == [listening.getsockname()] * 2
        for one in sockets:
            one.close()
        assert await there.receive() == (b"last", [])
        await sending
    here.close()
    there.close()


async def test_files_that_are_no_sockets_arrive_as_descriptors(tmp_path: Path) -> None:
    here, there = _pair()
    with (tmp_path / "f").open("w+") as file:
        file.write("shared")
        file.flush()
        await here.send(b"take it", [file.fileno()])
        message, (descriptor,) = await there.receive_descriptors()
    assert (message, os.pread(descriptor, 6, 0)) == (b"take it", b"shared")
    os.close(descriptor)
    here.close()
    there.close()


async def test_the_end_of_the_other_process_is_told_to_who_waits_and_who_speaks() -> None:
    here, there = _pair()
    waiting = asyncio.gather(here.receive(), return_exceptions=True)
    await asyncio.sleep(0)
    there.close()
    (gone,) = await waiting
    assert isinstance(gone, ChannelClosed)
    with pytest.raises(ChannelClosed):
        await here.send(b"x")
    here.close()


async def test_a_message_cut_short_is_no_message() -> None:
    one, other = socket.socketpair()
    one.sendall(b"\0\0\0\5abc")
    one.close()
    channel = Channel(other)
    with pytest.raises(ChannelClosed):
        await channel.receive()
    channel.close()


async def test_a_length_beyond_the_limit_is_refused_before_memory_is_spent() -> None:
    one, other = socket.socketpair()
    one.sendall((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))
    channel = Channel(other)
    with pytest.raises(ChannelClosed, match=f"the limit is {MAX_MESSAGE_BYTES}"):
        await channel.receive()
    with pytest.raises(ValueError, match=f"limits are {MAX_MESSAGE_BYTES} and {MAX_SOCKETS}"):
        await channel.send(b"", [one] * (MAX_SOCKETS + 1))
    one.close()
    channel.close()


async def test_what_is_given_up_before_it_has_begun_to_leave_is_not_sent() -> None:
    here, there = _pair()
    large = bytes(10_000_000)
    sending = asyncio.gather(here.send(large))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await here.send(b"given up")
    after = asyncio.gather(here.send(b"after"))
    assert [(await there.receive())[0] for _ in range(2)] == [large, b"after"]
    await asyncio.gather(sending, after)
    here.close()
    there.close()


async def test_a_message_given_up_in_its_midst_is_the_last_that_is_said() -> None:
    here, there = _pair()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await here.send(bytes(10_000_000))
    with pytest.raises(ChannelClosed):
        await here.send(b"after")
    with pytest.raises(ChannelClosed):
        await there.receive()
    here.close()
    there.close()
