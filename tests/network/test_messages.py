"""Wire messages: garbage and other versions get clear refusals."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.errors import MessageError
from dmoa.network.messages import (
    MAJOR,
    MINOR,
    Card,
    Hello,
    Infer,
    Refused,
    Welcome,
    decode_reply,
    decode_request,
    encode,
)
from dmoa.protocol.conversation import Message, Usage
from dmoa.protocol.tasks import Answer, Task, Waiting

CARD = Card("id", "ada", "model", 4096, ["tcp/127.0.0.1:7447"])


def test_messages_survive_the_wire() -> None:
    task = Task("t", "p", 2, [Message(role="user", content="ü")], drafts=["a"], instruction="i")
    assert decode_request(encode(Infer(task))) == Infer(task)
    answer = Answer("x", "stop", Usage(1, 2), 0.5, 1.5)
    for reply in (Waiting(3), answer, Welcome(CARD), Refused("busy", "full", 3.0)):
        assert decode_reply(encode(reply)) == reply


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_raises(payload: bytes) -> None:
    refusal = decode_request(payload)
    assert isinstance(refusal, Refused)
    assert refusal.detail
    with pytest.raises(MessageError):
        decode_reply(payload)


@given(st.binary(max_size=100), st.integers(0, 255))
def test_garbage_in_a_good_envelope_is_refused_too(body: bytes, minor: int) -> None:
    assert isinstance(decode_request(b"dmoa" + bytes((MAJOR, minor)) + body), Refused)


def test_another_major_version_is_refused_with_both_versions() -> None:
    refusal = decode_request(b"dmoa" + bytes((MAJOR + 1, 4)) + b"\x80")
    assert isinstance(refusal, Refused)
    assert refusal.reason == "version"
    assert f"{MAJOR + 1}.4" in refusal.detail
    assert f"{MAJOR}.{MINOR}" in refusal.detail


def test_a_newer_minor_version_may_add_fields() -> None:
    body = msgspec.msgpack.encode(
        {"type": "hello", "card": {**msgspec.to_builtins(CARD), "colour": "red"}, "mood": 1}
    )
    assert decode_request(b"dmoa" + bytes((MAJOR, MINOR + 1)) + body) == Hello(CARD)


def test_a_newer_minor_version_may_add_types_which_are_refused_as_unknown() -> None:
    body = msgspec.msgpack.encode({"type": "dance"})
    refusal = decode_request(b"dmoa" + bytes((MAJOR, MINOR + 1)) + body)
    assert isinstance(refusal, Refused)
    assert refusal.reason == "unknown"
    same = decode_request(b"dmoa" + bytes((MAJOR, MINOR)) + body)
    assert isinstance(same, Refused)
    assert same.reason == "garbage"
