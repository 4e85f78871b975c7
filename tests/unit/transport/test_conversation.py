"""Conversations as their handlers see them, over the engine in virtual time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from eventmesh.core.actions import Action
from eventmesh.transport.conversation import Conversation, ConversationOver
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.test_conversations import STREAM_WINDOW, talking


async def test_a_client_that_goes_while_it_is_written_to_has_not_been_told_all() -> None:
    mesh = talking()
    client = Http2Peer(mesh.connect(), is_client=True, settings={STREAM_WINDOW: 0})
    client.request("/s/m", method="POST")
    ((number, (_, request)),) = mesh.conversing.items()
    mesh.begin_answer(number)
    left: list[int] = []

    def perform(actions: Iterable[Action]) -> None:
        mesh.do(list(actions))
        conversation.gone()

    conversation = Conversation(number, request, mesh.engine, lambda: mesh.now, perform)
    with pytest.raises(ConversationOver):
        await conversation.write(b"does not fit", left.append)
    assert left == []
