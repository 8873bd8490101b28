"""Requests of every API, broken in random places: an answer or a clear refusal, never a fault."""

import copy
import json
import random
from typing import Any

import pytest

from tests.api.asking import OWN, SCHEMA
from tests.served import served

CALL = {"name": "weather", "arguments": "{}"}
ASK: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": CALL}]},
    {"role": "tool", "tool_call_id": "a", "content": "cold"},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
WHOLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": ASK,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        "stop": ["x"],
        "max_tokens": 10,
        "top_k": 3,
    },
    "/v1/completions": {"prompt": ["Why?"], "max_tokens": 10, "stop": "x", "top_k": 3},
    "/v1/responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "x"}]},
            {"type": "function_call", "call_id": "a", **CALL},
            {"type": "function_call_output", "call_id": "a", "output": "cold"},
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "weather"}],
        },
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
    },
    "/v1/embeddings": {"input": ["a"], "dimensions": 2},
    "/v1/messages": {
        "max_tokens": 10,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "text", "text": "cold"}],
                    },
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                    },
                ],
            },
        ],
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather"},
        "stop_sequences": ["x"],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "Why?"}]},
    "/api/chat": {
        "messages": [
            {"role": "user", "content": "Why?", "images": ["AAAA"]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "cold", "tool_name": "f"},
        ],
        "tools": [TOOL],
        "format": SCHEMA,
        "options": {"temperature": 0.5, "num_predict": 3, "stop": ["x"], "num_ctx": 9},
        "think": True,
        "stream": False,
    },
    "/api/generate": {"prompt": "Why?", "images": ["AAAA"], "format": "json", "stream": False},
    "/api/show": {"verbose": True},
}
# As JSON, for what Python's has no value for.
NONSENSE = [
    *("null", "true", "-1", "0", "1e400", "-0.5", str(10**40), str(2**63), '""', '"\\u0000"'),
    *('"\\ud800"', '"auto"', "[]", "{}", "[null]", "[[1]]", '[{"type": 3}]', '{"type": []}'),
    *('{"a": {"b": ["c"]}}', '{"": ""}', '"data:;base64,"', "[[[[[[[[]]]]]]]]"),
]


def broken(whole: dict[str, Any], generator: random.Random) -> bytes:
    """A body with one to three places replaced, or taken out."""
    body = copy.deepcopy(whole)
    marks = {}
    for i in range(generator.randint(1, 3)):
        if not (places := list(_places(body))):
            break
        container, key = generator.choice(places)
        if generator.random() < 0.15:
            del container[key]
        else:
            container[key] = mark = f"@{i}@"
            marks[json.dumps(mark)] = generator.choice(NONSENSE)
    text = json.dumps(body)
    for mark, nonsense in marks.items():
        text = text.replace(mark, nonsense)
    return text.encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@pytest.mark.parametrize("path", WHOLE)
async def test_nonsense_is_answered_or_refused(path: str) -> None:
    generator = random.Random(path)
    whole = {"model": OWN, **WHOLE[path]}
    statuses: set[int] = set()
    async with served(1, seconds=0.0) as s:
        for _ in range(150):
            body = broken(whole, generator)
            answer = await s.post(body, path)
            assert answer.status in (200, 400, 404, 408, 422), (answer.status, answer.body, body)
            statuses.add(answer.status)
        assert 400 in statuses
        assert statuses & {200, 400}
        s.cluster.assert_idle()
