"""Servers that stream anything: fields of any kind in any order, cut anywhere, in any dialect."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from dmoa.llm import upstream
from dmoa.llm.upstream import Upstream
from tests.fuzz.hunting import assert_sound, hunt
from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.served import served_by
from tests.upstreams.behind import CHAT

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "stop", "length", "tool_calls", "error", "<think>", "</think>", "\ud83d"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def _fields(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of the fields, in any order, each as known or as anything."""
    named = {name: st.one_of(*[value] * 9, ODD) for name, value in known.items()}

    def build(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({name: named[name] for name in names})

    return st.lists(st.sampled_from(sorted(known)), unique=True).flatmap(build)


TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["Paris", "<think>hm", "</think>", "\n", "😀", '{"n": 4', "\ud83d", "\ude00"]),
)
FUNCTION = _fields({"name": st.sampled_from(["add", "mul", ""]), "arguments": TEXT})
CALL = _fields(
    {
        "index": st.integers(0, 3),
        "id": st.sampled_from(["c1", "c2", ""]),
        "type": st.just("function"),
        "function": FUNCTION,
    }
)
PART = _fields({"type": st.sampled_from(["text", "thinking"]), "text": TEXT, "thinking": TEXT})
DELTA = _fields(
    {
        "role": st.just("assistant"),
        "content": st.one_of(TEXT, TEXT, st.lists(PART, max_size=2)),
        "reasoning_content": TEXT,
        "reasoning": TEXT,
        "tool_calls": st.lists(CALL, max_size=3),
        "function_call": FUNCTION,
        "refusal": TEXT,
    }
)
FINISH = st.sampled_from([None, None, None, "stop", "length", "tool_calls", "eos", "abort"])
CHOICE = _fields({"index": st.just(0), "delta": DELTA, "message": DELTA, "finish_reason": FINISH})
USAGE = _fields({"prompt_tokens": st.integers(0, 99), "completion_tokens": st.integers(0, 99)})
CHUNK = _fields(
    {
        "id": st.just("x"),
        "object": st.just("chat.completion.chunk"),
        "choices": st.lists(CHOICE, max_size=2),
        "usage": USAGE,
        "error": st.one_of(*[st.none()] * 20, TEXT, _fields({"message": TEXT, "code": ODD})),
        "prompt_progress": _fields({"total": st.integers(0, 9), "processed": st.integers(0, 9)}),
    }
)
GOOD = st.builds(
    lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]}, st.text(max_size=12)
)


def _line(chunk: Any, prefix: str, end: str) -> bytes:
    return f"{prefix}{json.dumps(chunk)}{end}".encode()


LINE = st.one_of(
    st.builds(
        _line,
        st.one_of(GOOD, GOOD, GOOD, GOOD, CHUNK, CHUNK, ODD),
        st.sampled_from(["data: ", "data:", "data: ", "", "event: error\ndata: "]),
        st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n"]),
    ),
    st.sampled_from([b": ping\n\n", b"\n", b"data:\n\n", b"event: ping\n", b": \xff\n"]),
)
NOISE = st.one_of(LINE, LINE, LINE, LINE, st.binary(max_size=12), st.just(b"data: [DONE]\n\n"))
ENDS = st.sampled_from(
    [
        b"",
        b"data: [DONE]\n\n",
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n',
    ]
)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """A response: mostly a stream, sometimes an error, cut anywhere."""
    if draw(st.integers(0, 9)) == 0:
        status = draw(st.sampled_from([400, 401, 404, 413, 422, 429, 500, 501, 503]))
        return as_json(draw(st.one_of(ODD, _fields({"error": ODD, "message": TEXT}))), status)
    lines = st.lists(draw(st.sampled_from([LINE, LINE, NOISE])), max_size=8)
    raw = b"".join(draw(lines)) + draw(ENDS)
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return Reply(200, pieces, "text/event-stream", ends=draw(st.integers(0, 4)) > 0)


Sent = tuple[Reply, bool, dict[str, Any]]
WANTED: list[dict[str, Any]] = [
    {},
    {"response_format": {"type": "json_object"}},
    {"tools": [{"type": "function", "function": {"name": "add"}}]},
    {"max_tokens": 1},
]
SENT = st.tuples(replies(), st.booleans(), st.sampled_from(WANTED))


async def hunt_streams(*, examples: int, first_seed: int) -> None:
    """Let a device's server answer anything, and ask the device."""
    reply = Reply()

    def chat(request: Request) -> Reply | None:
        return reply if request.path == CHAT else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "BUSY_SECONDS", 0.02)
        patch.setattr(upstream, "_PAUSES", (0.01,))
        async with Fake([openai_models("tiny"), chat]) as fake:
            llm = await Upstream.connect(fake.url, None)
            try:
                async with served_by(llm) as (api, _):

                    async def check(sent: Sent) -> None:
                        nonlocal reply
                        reply, stream, wanted = sent
                        body = {
                            "model": "dmoa-m0-k0",
                            "messages": [{"role": "user", "content": "Why?"}],
                            "stream": stream,
                            **wanted,
                        }
                        assert_sound(await api.post(json.dumps(body).encode()))

                    await hunt(SENT, check, examples=examples, first_seed=first_seed)
                    reply = Reply(200, [b'data: {"choices": [{"delta": {"content": "ok"}}]}\n\n'])
                    reply.pieces.append(b"data: [DONE]\n\n")
                    last = await api.post(
                        b'{"model": "dmoa", "messages": [{"role": "user", "content": "?"}]}'
                    )
                    assert last.status == 200, "the device is well after all of it"
            finally:
                await llm.close()
