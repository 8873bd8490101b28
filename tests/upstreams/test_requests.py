"""What clients send, and what a server gets of it (cases 7, 8, 16, 26)."""

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.llm.fake import DONE, C, streamed
from tests.upstreams.behind import ASK, CHAT, Scripted, behind, said

HI = said("hi")
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
TOOLS = [
    {"type": "function", "function": {"name": n, "parameters": {"type": "object"}}}
    for n in ("add", "mul")
]


def sent(server: Scripted) -> dict[str, Any]:
    """What the server was asked last."""
    body: dict[str, Any] = server.bodies[-1]
    return body


# --- 7: empty contents --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assistant", "sent_on"),
    [({"content": None}, None), ({"content": ""}, ""), ({}, None), ({"content": []}, "")],
)
@pytest.mark.parametrize(
    ("result", "result_sent"),
    [
        ({"content": ""}, ""),
        ({"content": []}, ""),
        ({"content": [{"type": "text", "text": ""}]}, ""),
    ],
)
async def test_empty_contents_are_sent_on(
    assistant: dict[str, Any], sent_on: Any, result: dict[str, Any], result_sent: str
) -> None:
    messages = [
        *ASK,
        {"role": "assistant", "tool_calls": [CALL], **assistant},
        {"role": "tool", "tool_call_id": "c1", **result},
    ]
    server = Scripted(HI)
    async with behind(server) as b:
        await b.choice(messages=messages, tools=TOOLS)
        _, called, told = sent(server)["messages"]
        assert "content" in called
        assert (called["content"] or None) == (sent_on or None)
        assert called["tool_calls"] == [CALL]
        assert told == {"role": "tool", "tool_call_id": "c1", "content": result_sent}


async def test_what_goes_out_has_a_content_even_beside_calls() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{}"}}
    async with behind(streamed(C({"tool_calls": [call]}), C({}, "tool_calls"), DONE)) as b:
        message = (await b.choice(tools=TOOLS))["message"]
        assert "content" in message
        assert message["role"] == "assistant"


# --- 8: calls -----------------------------------------------------------------------------------


def part(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function: dict[str, Any] = {}
    if name is not None:
        function["name"] = name
    if arguments is not None:
        function["arguments"] = arguments
    return {"function": function, **more}


TWO = [("add", '{"a": 1}'), ("mul", '{"b": 2}')]
CALLS: dict[str, list[list[dict[str, Any]]]] = {
    "both index 0": [
        [part("add", '{"a": 1}', index=0, id="c1")],
        [part("mul", '{"b": 2}', index=0, id="c2")],
    ],
    "both index 0 in one chunk": [
        [part("add", '{"a": 1}', index=0, id="c1"), part("mul", '{"b": 2}', index=0, id="c2")]
    ],
    "no index": [[part("add", '{"a": 1}', id="c1")], [part("mul", '{"b": 2}', id="c2")]],
    "null index": [
        [part("add", '{"a": 1}', id="c1", index=None), part("mul", '{"b": 2}', id="c2", index=None)]
    ],
    "arguments as objects": [
        [part("add", {"a": 1}, index=0, id="c1"), part("mul", {"b": 2}, index=1, id="c2")]
    ],
    "cut": [
        [part("add", "", index=0, id="c1")],
        [part(None, '{"a"', index=0)],
        [part(None, ": 1}", index=0)],
        [part("mul", "", index=1, id="c2")],
        [part(None, '{"b": 2}', index=1)],
    ],
    "interleaved": [
        [part("add", "", index=0, id="c1"), part("mul", "", index=1, id="c2")],
        [part(None, '{"b"', index=1), part(None, '{"a"', index=0)],
        [part(None, ": 1}", index=0), part(None, ": 2}", index=1)],
    ],
    "name in each chunk": [
        [part("add", '{"a"', index=0, id="c1")],
        [part("add", ": 1}", index=0, id="c1")],
        [part("mul", '{"b"', index=1, id="c2")],
        [part("mul", ": 2}", index=1, id="c2")],
    ],
    "empty ids later": [
        [part("add", '{"a"', index=0, id="c1")],
        [part("", ": 1}", index=0, id="")],
        [part("mul", '{"b": 2}', index=1, id="c2")],
    ],
    "counted from 1": [
        [part("add", '{"a": 1}', index=1, id="c1")],
        [part("mul", '{"b": 2}', index=2, id="c2")],
    ],
    "the same id": [
        [part("add", '{"a": 1}', index=0, id="call"), part("mul", '{"b": 2}', index=1, id="call")]
    ],
    "no id": [[part("add", '{"a": 1}', index=0)], [part("mul", '{"b": 2}', index=1)]],
}


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call", None])
@pytest.mark.parametrize("what", CALLS)
async def test_parallel_calls_are_told_apart(what: str, finish: str | None) -> None:
    chunks = [C({"tool_calls": parts}) for parts in CALLS[what]]
    async with behind(streamed(*chunks, C({}, finish), DONE)) as b:
        choice = await b.choice(tools=TOOLS)
        calls = choice["message"]["tool_calls"]
        told = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]
        assert told == [("add", {"a": 1}), ("mul", {"b": 2})]
        assert len({c["id"] for c in calls}) == 2
        assert all(c["id"] and c["type"] == "function" for c in calls)
        assert choice["finish_reason"] == "tool_calls"
        read = await b.stream(tools=TOOLS)
        told = [(c["name"], json.loads(c["arguments"])) for c in read.calls]
        assert told == [("add", {"a": 1}), ("mul", {"b": 2})]
        assert (read.finish, read.done) == ("tool_calls", True)


async def test_the_same_tool_may_be_called_twice() -> None:
    twice = [
        [part("add", '{"a": 1}', index=0, id="c1")],
        [part("add", '{"a": 2}', index=0, id="c2")],
    ]
    async with behind(streamed(*[C({"tool_calls": p}) for p in twice], C({}, "stop"), DONE)) as b:
        calls = (await b.choice(tools=TOOLS))["message"]["tool_calls"]
        assert [c["function"]["arguments"] for c in calls] == ['{"a": 1}', '{"a": 2}']


# --- 16: parameters -----------------------------------------------------------------------------

THINKING = {
    "reasoning_effort": "low",
    "chat_template_kwargs": {"enable_thinking": False},
    "think": False,
    "reasoning": {"effort": "high"},
}
OTHERS = {
    "top_k": 40,
    "min_p": 0.05,
    "logit_bias": {"42": -100},
    "repetition_penalty": 1.1,
    "repeat_penalty": 1.1,
    "typical_p": 0.9,
    "mirostat": 2,
    "cache_prompt": True,
    "guided_choice": ["a", "b"],
    "keep_alive": "5m",
    "service_tier": "auto",
    "prediction": {"type": "content", "content": "x"},
}


@pytest.mark.parametrize("name", [*THINKING, *OTHERS])
async def test_what_we_do_not_know_goes_to_the_own_llm(name: str) -> None:
    value = {**THINKING, **OTHERS}[name]
    own, peer = Scripted(HI), Scripted(HI)
    async with behind(own, peer) as b:
        await b.choice(model="dmoa-m1-k1", **{name: value})
        assert all(body[name] == value for body in own.bodies)
        assert all((name in body) == (name in THINKING) for body in peer.bodies)
        assert peer.bodies


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("stop", ["x"]),
        ("presence_penalty", 1.0),
        ("frequency_penalty", 1.0),
        ("seed", 7),
    ],
)
async def test_what_everybody_knows_goes_to_all(name: str, value: Any) -> None:
    own, peer = Scripted(HI), Scripted(HI)
    async with behind(own, peer) as b:
        await b.choice(model="dmoa-m1-k1", **{name: value})
        assert all(name in body for body in own.bodies + peer.bodies)


# --- 26: how requests are written ---------------------------------------------------------------

BODY: dict[str, Any] = {"model": "dmoa-m1-k1", "messages": ASK}


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/v1/chat/completions",
        "/v1/chat/completions?api-version=2024-06-01",
        "/v1/chat/completions//",
    ],
)
async def test_a_path_with_a_slash_too_many_is_served(path: str) -> None:
    async with behind(HI) as b:
        response = await b.api.post(json.dumps(BODY).encode(), path)
        assert response.status == 200, response.body


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": -1},
        {"max_tokens": 100.0},
        {"max_completion_tokens": -1},
        {"max_tokens": None},
        {"max_tokens": 2**31 - 1},
        {"temperature": 0},
        {"temperature": 1},
        {"tools": []},
        {"tools": [], "response_format": {"type": "text"}},
        {"tools": None, "tool_choice": None},
        {"tool_choice": "none"},
        {"stop": None},
        {"stop": []},
        {"stop": "\n"},
        {"stop": ["a", "b", "c", "d"]},
        {"n": 1},
        {"n": None},
        {"logprobs": False},
        {"stream": None},
        {"stream": False, "stream_options": None},
        {"user": "u" * 100},
        {"metadata": {"a": "b"}},
        {"chat_template_kwargs": {"budget": 2**70}},
        {"reasoning": {"max_tokens": -(2**64)}},
        {"store": False},
        {"seed": 2**40},
        {"seed": -1},
        {"functions": [{"name": "add", "parameters": {}}], "function_call": "auto"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]},
        {"messages": [{"role": "user", "content": ["Why?"]}]},
        {"messages": [{"role": "user", "content": "Why?", "extra": {"a": 1}, "id": "m1"}]},
        {"messages": [{"role": "developer", "content": "Be terse."}, *ASK]},
        {
            "messages": [
                *ASK,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "add", "arguments": "{}"},
                },
                {"role": "function", "name": "add", "content": "3"},
            ]
        },
        {"messages": [*ASK, {"role": "assistant", "content": "So", "prefix": True}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": None}]},
    ],
)
async def test_ways_to_write_a_request_are_served_and_no_peer_calls_them_garbage(
    fields: dict[str, Any],
) -> None:
    async with behind(HI, HI) as b:
        answer = await b.answer(**{**BODY, **fields})
        assert answer["choices"][0]["message"]["content"] == "hi"
        outcomes = [p["outcome"] for p in answer["dmoa"]["layers"][0]["proposers"]]
        assert set(outcomes) == {"answered"}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0},
        {"max_tokens": -2},
        {"max_tokens": 1.5},
        {"max_tokens": "many"},
        {"temperature": 3},
        {"temperature": "hot"},
        {"top_p": 2},
        {"stop": ["x"] * 200},
        {"stop": "x" * 1500},
        {"stop": ["y", "x" * 1500]},
        {"n": 2},
        {"logprobs": True},
        {"messages": []},
        {"messages": "Why?"},
        {"messages": [{"role": "alien", "content": "Why?"}]},
        {"messages": [{"content": "Why?"}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": [7]}]},
        {"tools": "add"},
        {"tools": [7]},
        {"response_format": "json"},
        {"seed": 2**70},
        {"model": 7},
        {"stream": "yes"},
        {"dmoa": {"unknown": 1}},
        {"logit_bias": {str(i): 1 for i in range(20_000)}},
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_cause(fields: dict[str, Any]) -> None:
    server, peer = Scripted(HI), Scripted(HI)
    async with behind(server, peer) as b:
        status, words = await b.refused(**{**BODY, **fields})
        assert status == 400
        assert len(words) > 15
        assert not server.bodies
        assert not peer.bodies


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("gzip", lambda body: gzip.compress(body) + gzip.compress(b"") + bytes(512)),
        ("gzip", lambda body: gzip.compress(body + b" " * 2**20)),
        ("identity", bytes),
    ],
)
async def test_packed_bodies_are_unpacked(encoding: str, pack: Any) -> None:
    packed = pack(json.dumps(BODY).encode())
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(packed)}\r\n\r\n"
    )
    async with behind(HI) as b:
        response = await b.api.raw(head.encode() + packed)
        assert response.status == 200, response.body


PACKED = gzip.compress(json.dumps(BODY).encode(), mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", PACKED + b"no gzip"),
        ("gzip", PACKED + PACKED[:-3]),
        ("gzip", PACKED[:20]),
        ("br", b"x"),
        ("gzip", b""),
        ("identity", b""),
        ("identity", b'{"model": "\xff"}'),
        ("identity", b"[]"),
        ("identity", b"[" * 100_000),
    ],
)
async def test_bodies_that_cannot_be_read_are_refused(encoding: str, body: bytes) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with behind(HI) as b:
        response = await b.api.raw(head.encode() + body)
        assert response.status in (400, 415), response.body
        assert response.json()["error"]["message"]


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
async def test_a_byte_order_mark_does_no_harm(code: str) -> None:
    async with behind(HI) as b:
        response = await b.api.post(json.dumps(BODY).encode(code))
        assert response.status == (200 if code == "utf-8-sig" else 400), response.body


async def test_halves_of_characters_in_a_request_do_no_harm() -> None:
    raw = json.dumps(BODY).replace("Why?", "hi \\ud83d").encode()
    async with behind(HI, HI) as b:
        response = await b.api.post(raw)
        assert response.status in (200, 400), response.body
        assert response.json()


async def test_a_body_that_unpacks_without_end_is_cut_short() -> None:
    bomb = gzip.compress(bytes(2**20)) * 200
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(bomb)}\r\n\r\n"
    )
    async with behind(HI) as b:
        assert (await b.api.raw(head.encode() + bomb)).status == 413
