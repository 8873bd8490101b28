"""Anything that a server may send is read, refused or broken: nothing else ever comes out."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa.errors import LLMBroken
from dmoa.llm.choosing import candidates
from dmoa.llm.dialects import dialects
from dmoa.llm.faults import ServerRefused, read_fault
from dmoa.llm.interface import End, Token
from dmoa.llm.reading import Reading
from tests.llm.fake import DONE, Fake, Reply, Request
from tests.llm.talking import HI, connected

KEYS = [
    *("choices", "delta", "message", "content", "reasoning_content", "reasoning", "thinking"),
    *("tool_calls", "function", "function_call", "name", "arguments", "index", "id", "type"),
    *("finish_reason", "usage", "prompt_tokens", "completion_tokens", "error", "code", "text"),
    *("completion_tokens_details", "reasoning_tokens", "prompt_progress", "total", "processed"),
    *("done", "done_reason", "eval_count", "reasoning_details", "object", "status", "loc", "msg"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["stop", "<think>", "</think>", "\ud83d", "\ude00", "{", "}", "0", "error"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
DELTA = st.dictionaries(
    st.sampled_from(["content", "reasoning", "tool_calls", "function_call", "refusal"]), JSON
)
CHUNK = st.one_of(
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5),
    st.builds(
        lambda delta, finish: {"choices": [{"delta": delta, "finish_reason": finish}]}, DELTA, JSON
    ),
    st.builds(lambda message, done: {"message": message, "done": done}, DELTA, st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(dialects()), st.lists(CHUNK, max_size=5), st.booleans(), st.booleans())
def test_any_chunks_are_read_or_refused(
    dialect: Any, chunks: list[dict[str, Any]], thinking: bool, done: bool
) -> None:
    reading = Reading(dialect, thinking=thinking)
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + (DONE if done else "")
    items: list[Token | End] = []
    try:
        items += reading.feed(stream.encode())
        items += reading.end(3)
    except (ServerRefused, LLMBroken):
        return
    msgspec.json.encode(items)  # it can be sent on
    assert isinstance(items[-1], End)
    for part in [p for item in items if isinstance(item, Token) for p in item.tool_calls or []]:
        assert part.function is not None


@settings(max_examples=300)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20))
def test_any_bytes_are_read_or_refused(raw: bytes, sizes: list[int]) -> None:
    reading = Reading(dialects()[-1])
    try:
        for size in sizes:
            list(reading.feed(raw[:size]))
            raw = raw[size:]
        list(reading.feed(raw))
        list(reading.end(3))
    except (ServerRefused, LLMBroken):
        pass


@settings(max_examples=300)
@given(st.integers(400, 599), st.one_of(JSON, st.text()), st.one_of(st.none(), st.text()))
def test_any_error_has_a_kind(status: int, body: Any, retry_after: str | None) -> None:
    fault = read_fault(status, body, retry_after)
    assert fault.words
    assert len(fault.words) <= 600
    msgspec.json.encode(fault.words)


NONSENSE: list[Any] = [
    None, True, 7, "x", [], {}, [1], [[]], {"data": None}, {"data": 7}, {"data": ["x", None, {}]},
    {"models": None}, {"models": [7, {}]}, {"id": 3}, {"object": "list", "data": [{"id": None}]},
]  # fmt: skip


@pytest.mark.parametrize("which", range(len(NONSENSE)))
@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.program)
async def test_nonsense_at_any_path_describes_nothing(dialect: Any, which: int) -> None:
    """Every endpoint but the list of models answers nonsense."""

    def anything(request: Request) -> Reply | None:
        if request.path == "/v1/models":
            return Reply(pieces=[b'{"data": [{"id": "tiny"}]}'])
        return Reply(pieces=[json.dumps(NONSENSE[which]).encode()])

    async with Fake([anything]) as fake, connected(fake) as llm:
        server, [model] = llm.server, candidates(await llm.dialect.models(llm.server))
        await dialect.recognises(server)
        await dialect.models(server)
        description = await dialect.describe(server, model)
        assert (description.window or 4096) >= 1
        assert await dialect.count_tokens(server, "tiny", HI, None) in (None, 1)
        await dialect.wake(server, "tiny")
