"""What travels, byte for byte: devices of one major version have to understand each other."""

import msgspec
import pytest

from dmoa.network.messages import (
    Cancel,
    Infer,
    Refused,
    Welcome,
    decode_reply,
    decode_request,
    encode,
)
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import (
    FunctionPart,
    Message,
    Sampling,
    ToolCallPart,
    Usage,
)
from dmoa.protocol.tasks import Answer, Piece, Task
from tests.cluster import Cluster
from tests.device.test_hostile import hostile
from tests.virtual import run_virtual

HEADER = 6
CALLS = [ToolCallPart(0, "c1", "function", FunctionPart("now", "x" * 100))]


def test_a_message_is_a_header_and_a_map_with_a_type() -> None:
    payload = encode(Cancel("t"), minor=7)
    assert payload[:HEADER] == b"dmoa\x01\x07"
    assert msgspec.msgpack.decode(payload[HEADER:]) == {"type": "cancel", "task": "t"}


def test_what_an_older_device_leaves_out_has_its_old_meaning() -> None:
    head = encode(Cancel("t"))[:HEADER]

    def sent(**fields: object) -> bytes:
        return head + msgspec.msgpack.encode(fields)

    seconds = {"queue_seconds": 0.5, "service_seconds": 1.5}
    answer = decode_reply(sent(type="answer", text="x", finish_reason="stop", usage={}, **seconds))
    assert answer == Answer("x", "stop", Usage(0, 0), 0.5, 1.5, None, 0)
    assert decode_reply(sent(type="refused", reason="busy")) == Refused("busy", "", 0.0, 0)
    assert decode_reply(sent(type="piece", text="x")) == Piece("x", None)
    card = {"device": "d", "name": "n", "model": "m", "context_length": 1}
    welcome = decode_reply(sent(type="welcome", card=card))
    assert isinstance(welcome, Welcome)
    assert welcome.card.addresses == []
    task = {"id": "t", "prompt": "p", "layer": 1, "messages": [{"role": "user", "content": "?"}]}
    asked = decode_request(sent(type="infer", origin="o", task=task))
    plain = Task("t", "p", 1, [Message(role="user", content="?")], [], "", Sampling(), None, False)
    assert asked == Infer(plain)


def test_tool_calls_count_as_text_does() -> None:
    assert CALLS[0].size() > 100
    assert Piece("abc", CALLS).size() == 3 + CALLS[0].size()
    assert Answer("abc", "stop", Usage(), 0, 0, CALLS).size() == 3 + CALLS[0].size()


@pytest.mark.parametrize("kind", ["answer", "pieces"])
def test_tool_calls_without_end_are_refused(kind: str) -> None:
    long = [ToolCallPart(0, "c1", "function", FunctionPart("now", "x" * 2**20))] * 2
    answer = Answer("x", "tool_calls", Usage(), 0, 0, long)
    reply = encode(answer if kind == "answer" else Piece("", long))
    assert len(reply) > LIMITS.answer_characters

    async def work() -> None:
        async with Cluster(1) as cluster:
            network = await hostile(cluster, "mallory", reply)
            proposers = (await cluster.ask(0, 1, 1)).record.layers[0].proposers
            assert [p.outcome for p in proposers] == ["answered", "refused"]
            await network.close()

    run_virtual(work())
