"""What a guest hears of its task."""

import asyncio

import pytest

from dmoa.device.guests import PeerService
from dmoa.network.messages import Card, DeviceReport, Infer, Reply, decode_reply, encode
from dmoa.protocol.conversation import FunctionPart, Message, ToolCallPart, Usage
from dmoa.protocol.tasks import Answer, Piece, Say, Task
from tests.virtual import run_virtual

CALL = [ToolCallPart(0, "c1", "function", FunctionPart("now", "{}"))]
ANSWER = Answer("one two three", "tool_calls", Usage(), 0.0, 0.0, CALL)


def report() -> DeviceReport:
    return DeviceReport(0, 0, None, None, None, None, None, True)


@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_call_does_not_overtake_the_text_before_it(stream: bool) -> None:
    async def infer(task: Task, origin: str, say: Say) -> Answer:
        for piece in (Piece("one "), Piece("two "), Piece("", CALL), Piece("three")):
            say(piece)
        return ANSWER

    async def work() -> list[Reply]:
        replies: list[Reply] = []
        service = PeerService(
            lambda: Card("d0", "d0", "m", 1), report, infer, lambda card: None, lambda device: True
        )
        task = Task("t", "p", 1, [Message(role="user", content="Why?")], stream=stream)
        await service.serve(
            "d1", encode(Infer(task)), lambda reply: replies.append(decode_reply(reply))
        )
        await asyncio.sleep(1)
        return replies

    *said, answer = run_virtual(work())
    assert answer == ANSWER
    pieces = [piece for piece in said if isinstance(piece, Piece)]
    assert len(pieces) == len(said)
    call = next(i for i, piece in enumerate(pieces) if piece.tool_calls)
    assert "".join(piece.text for piece in pieces[: call + 1]) == "one two "
    assert "".join(piece.text for piece in pieces[call + 1 :]) == ("three" if stream else "")
