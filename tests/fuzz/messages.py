"""Messages between devices: good ones, spoilt ones, and bytes that are none."""

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from dmoa.device import guests
from dmoa.errors import (
    ContextExceeded,
    DmoaError,
    LLMError,
    PeerError,
    QueueFull,
    RequestRefused,
)
from dmoa.network.interface import Send
from dmoa.network.messages import (
    AskReport,
    Cancel,
    Card,
    DeviceReport,
    Done,
    Failed,
    Hello,
    Infer,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_reply,
    decode_request,
    encode,
)
from dmoa.protocol.conversation import Constraints, Message, Sampling, Usage
from dmoa.protocol.tasks import Answer, Piece, Task, Waiting, Working
from tests.cluster import Cluster
from tests.fuzz.hunting import hunt

HOSTILE = "mallory"
CARD = Card(HOSTILE, "Mallory", "evil", 4096, ["tcp/127.0.0.1:7447"])
REPORT = DeviceReport(1, 1, 1.0, 0.1, 0.5, 1.0, 10.0, healthy=True)
USER = Message(role="user", content="Why?")
PARTS = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
TASK = Task(
    "task", "prompt", 2, [Message(role="system", content="Be brief."), USER], ["a draft"], "Do."
)
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
RICH = msgspec.structs.replace(
    TASK,
    messages=[USER, Message(role="user", content="x", parts=PARTS)],
    sampling=Sampling(0.7, 0.9, 5, ["."], 3, thinking={"think": True}, extra={"top_k": 3}),
    constraints=Constraints(tools=[{"type": "function", "function": {"name": "add"}}]),
    stream=True,
)
REQUESTS: list[Request] = [
    Hello(CARD),
    AskReport(),
    Cancel("task"),
    Infer(TASK, REPORT),
    Infer(RICH),
]
ANSWER = Answer("x", "stop", Usage(1, 2), 0.5, 1.5, notes=["a note"])
REPLIES: list[Reply] = [
    Waiting(3),
    Working(),
    Piece("a word", reasoning="hm"),
    Piece("", recants=True),
    ANSWER,
    ANSWER,
    Welcome(CARD),
    Done(),
    REPORT,
    Refused("busy", "full", 3.0),
    Refused("context", "long", window=10),
    Refused("request", "no", status=400),
    Failed("broken"),
]
ALLOWED = (PeerError, QueueFull, ContextExceeded, LLMError, RequestRefused)
"""What `Peers.infer` says that it raises."""
HEADS = (b"dmoa\x01\x00", b"dmoa\x01\x00", b"dmoa\x01\x00", b"dmoa\x01\x09", b"dmoa\x02\x00", b"")

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 10**18]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["", "user", "tool", "stop", "infer", "answer", "\x1b[2J", "x" * 5000]),
    st.binary(max_size=8),
)
ODD = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=6), st.integers(-9, 9), st.binary(max_size=4)), inner
        ),
    ),
    max_leaves=8,
)

LOOSE: list[tuple[tuple[Any, ...], bool]] = [
    (("task", "messages", 0, "parts"), True),
    (("task", "messages", 0, "tool_calls"), True),
    (("task", "sampling", "extra"), False),
    (("task", "sampling", "thinking"), False),
    (("task", "constraints", "tools"), True),
    (("task", "constraints", "response_format"), False),
    (("tool_calls",), True),
]
"""Fields of messages whose values are any objects, with whether they are lists of them."""
_NAMES = st.sampled_from(["type", "text", "image_url", "url", "function", "name", "arguments"])


def _deep(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = {"url": value}
    return value


LOOSELY = st.dictionaries(
    st.one_of(_NAMES, st.text(max_size=4)),
    st.one_of(ODD, ODD, st.builds(_deep, st.integers(1, 900))),
    max_size=4,
)


def _reaches(value: Any, path: tuple[Any, ...]) -> bool:
    """Whether the object that a path's last step belongs to is there."""
    for step in path[:-1]:
        value = value.get(step) if isinstance(value, dict) else value[step]
        if not isinstance(value, dict | list):
            return False
    return True


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a message something else can be put."""
    found = [path]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(items):
            found += _places(inner, (*path, key))
    return found


def _put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    if isinstance(value, dict):
        return {**value, path[0]: _put(value.get(path[0]), path[1:], odd)}
    inner = _put(value[path[0]], path[1:], odd)
    return [inner if i == path[0] else kept for i, kept in enumerate(value)]


def _nested(depth: int, mapped: bool) -> bytes:
    """Something packed that is nested deeper than a stack."""
    return (b"\x81\xa1a" if mapped else b"\x91") * depth + b"\xc0"


@st.composite
def payloads(draw: st.DrawFn, messages: list[Any]) -> bytes:
    """A message, spoilt more or less."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=64))
    message = draw(st.sampled_from(messages))
    if kind == 1:
        return encode(message)
    if kind == 2:
        depth, mapped = draw(st.integers(1, 20_000)), draw(st.booleans())
        field = draw(st.sampled_from(["zzz", "task", "card", "tool_calls", "text"]))
        body = msgspec.msgpack.encode(msgspec.to_builtins(message))
        key = msgspec.msgpack.encode(field)
        return HEADS[0] + bytes((body[0] + 1,)) + body[1:] + key + _nested(depth, mapped)
    built = msgspec.to_builtins(message)
    if kind <= 5:  # what may hold anything, does
        for path, several in LOOSE:
            if draw(st.booleans()) and _reaches(built, path):
                odd = draw(LOOSELY)
                built = _put(built, path, [odd] if several else odd)
        return HEADS[0] + msgspec.msgpack.encode(built)
    for _ in range(draw(st.integers(1, 3))):
        built = _put(built, draw(st.sampled_from(_places(built))), draw(ODD))
    raw = draw(st.sampled_from(HEADS)) + msgspec.msgpack.encode(built)
    if kind >= 8 and raw:
        spoilt = bytearray(raw)
        for _ in range(draw(st.integers(1, 4))):
            spoilt[draw(st.integers(0, len(spoilt) - 1))] = draw(st.integers(0, 255))
        raw = bytes(spoilt[: draw(st.integers(0, len(spoilt)))])
    return raw


async def hunt_messages(*, examples: int, first_seed: int) -> None:
    """Half requests to a device from a hostile peer, half its replies to the device's requests.

    A request gets a reply or a refusal that can be read; of replies come an answer or an error
    that is documented; afterwards the device is well, and nothing is left running.
    """
    replies: list[bytes] = []

    async def serve(sender: str, payload: bytes, send: Send) -> None:
        if isinstance(decode_request(payload), Infer):
            for reply in replies:
                send(reply)
        else:
            send(encode(Welcome(CARD)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guests, "ACQUAINTANCE_SECONDS", 0.0)
        async with Cluster(1, seconds=0.0) as cluster:
            network = cluster.hub.network()
            await network.open(HOSTILE, serve, lambda: None)
            await cluster.settle()
            device = cluster.devices[0]
            assert device.peers() == [HOSTILE]

            async def ask(payload: bytes) -> None:
                heard: list[bytes] = []
                await network.ask(device.own_id, payload, lambda r: heard.append(r), 10.0)
                assert heard, "no reply"
                for reply in map(decode_reply, heard):
                    fault = isinstance(reply, Failed) and reply.detail.startswith("internal error")
                    assert not fault, reply

            async def asked(stream: bool) -> Answer | DmoaError:
                try:
                    task = msgspec.structs.replace(TASK, stream=stream)
                    return await device.peer_links.infer(HOSTILE, task, lambda step: None)
                except DmoaError as error:
                    return error

            async def answer(sent: list[bytes]) -> None:
                replies[:] = sent
                got = await asked(stream=len(sent) % 2 == 0)
                assert isinstance(got, (Answer, *ALLOWED)), repr(got)
                finished = await cluster.ask(0, 1, 1)
                assert finished.text.startswith("answer of d0")

            half = examples // 2
            await hunt(payloads(REQUESTS), ask, examples=half, first_seed=first_seed)
            sent = st.lists(payloads(REPLIES), max_size=4)
            await hunt(sent, answer, examples=half, first_seed=first_seed)
            await cluster.settle()
            cluster.assert_idle()
            assert device.peers() == [HOSTILE]
            await network.close()
