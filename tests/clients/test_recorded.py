"""Requests that Open WebUI and opencode send, replayed.

Open WebUI: `routers/tasks.py` and `routers/openai.py` (titles, tags, follow-ups, queries and
autocompletion are one user message, not streamed; what it calls metadata stays at home; by aiohttp,
with the user's name in headers). As a client of Ollama: `routers/ollama.py`.
opencode: `session/llm.ts` and `session/llm/request.ts` by the AI SDK's openai-compatible provider
(several system messages, tools, streamed with usage; titles with a system prompt and no tools).
"""

import json
from typing import Any

import pytest

from tests.clients.place import DESCRIBED, MODEL, node

HISTORY = "<chat_history>\nUSER: Hi\nASSISTANT: Hello\n</chat_history>"


def task(what: str, form: str) -> dict[str, Any]:
    """A background request of Open WebUI."""
    content = f"### Task:\n{what}\n### Output:\nJSON format: {form}\n### Chat History:\n{HISTORY}"
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "stream": False}


KEY = "secret"
HEADERS = {
    "Open WebUI": (
        "Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n"
        "User-Agent: Python/3.11 aiohttp/3.12\r\n"
        "X-OpenWebUI-User-Name: Ada%20L\r\nX-OpenWebUI-User-Id: u1\r\n"
        "X-OpenWebUI-User-Email: ada@example.org\r\nX-OpenWebUI-User-Role: admin\r\n"
        f"X-OpenWebUI-Chat-Id: c1\r\nAuthorization: Bearer {KEY}\r\n"
    ),
    "opencode": (
        "Connection: keep-alive\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        "User-Agent: opencode/1.0 ai-sdk/openai-compatible/2.0\r\nX-Session-Id: ses_1\r\n"
        "x-session-affinity: ses_1\r\nx-parent-session-id: ses_0\r\n"
        f"Authorization: Bearer {KEY}\r\n"
    ),
}
SYSTEM = {"role": "system", "content": "You are a coding agent."}
RECORDED: dict[str, dict[str, Any]] = {
    "Open WebUI, chat": {
        "stream": True,
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream_options": {"include_usage": True},
    },
    "Open WebUI, chat with an image": {
        "stream": True,
        "model": MODEL,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="},
                    },
                ],
            }
        ],
    },
    "Open WebUI, chat with every parameter": {
        "stream": True,
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.8,
        "top_p": 0.9,
        "min_p": 0.05,
        "top_k": 40,
        "max_tokens": 128,
        "seed": 0,
        "stop": ["###"],
        "frequency_penalty": 1.1,
        "presence_penalty": 0.1,
        "logit_bias": {"5432": -100},
        "reasoning_effort": "low",
        "user": {"name": "Ada", "id": "u1", "email": "ada@example.org", "role": "admin"},
    },
    "Open WebUI, title": task("Generate a concise, 3-5 word title with an emoji.", '{"title": ""}'),
    "Open WebUI, tags": task("Generate 1-3 broad tags.", '{"tags": ["a"]}'),
    "Open WebUI, follow-ups": task(
        "Suggest 3-5 relevant follow-up questions.", '{"follow_ups": []}'
    ),
    "Open WebUI, queries": {
        **task("Determine whether to generate search queries.", '{"queries": []}'),
        "max_completion_tokens": 1000,
    },
    "Open WebUI, autocompletion": task("You are an autocompletion system.", '{"text": ""}'),
    "Open WebUI, emoji": task("Reflect the speaker's likely facial expression.", "an emoji"),
    "opencode, title": {
        "model": MODEL,
        "max_tokens": 32000,
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "You are a title generator. You output ONLY a title."},
            {"role": "user", "content": "Generate a title for this conversation:\n"},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "opencode, turn": {
        "model": MODEL,
        "max_tokens": 32000,
        "messages": [
            SYSTEM,
            {"role": "system", "content": "<env>\nWorking directory: /tmp\n</env>"},
            {"role": "user", "content": [{"type": "text", "text": "Add, multiply, report."}]},
        ],
        "tools": DESCRIBED,
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "opencode, after tools": {
        "model": MODEL,
        "max_tokens": 32000,
        "messages": [
            SYSTEM,
            {"role": "user", "content": "Add, multiply, report."},
            *(
                message
                for turn in range(2)
                for message in (
                    {
                        "role": "assistant",
                        "content": "",
                        "reasoning_content": "I add.",
                        "tool_calls": [
                            {
                                "id": f"call_{turn}",
                                "type": "function",
                                "function": {"name": "add", "arguments": '{"a":2,"b":3}'},
                            }
                        ],
                    },
                    {"role": "tool", "tool_call_id": f"call_{turn}", "content": "5"},
                )
            ),
        ],
        "tools": DESCRIBED,
        "stream": True,
        "stream_options": {"include_usage": True},
    },
}


@pytest.mark.parametrize("what", RECORDED)
async def test_recorded_requests_are_answered(what: str) -> None:
    body = RECORDED[what]
    sent = json.dumps(body).encode()
    program = what.partition(",")[0]
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{HEADERS[program]}"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    async with node() as b:
        response = await b.api.raw(head.encode() + sent)
        assert response.status == 200, response.body
        if not body["stream"]:
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "stop"
            assert choice["message"]["content"]
            return
        lines = [line for line in response.body.decode().split("\n") if line.startswith("data: ")]
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line[6:]) for line in lines[:-1]]
        deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
        assert any(delta.get("content") or delta.get("tool_calls") for delta in deltas)
        wanted = body.get("stream_options")
        assert bool(wanted) == any(chunk.get("usage") for chunk in chunks)


async def test_what_only_the_own_llm_knows_reaches_it_and_no_other() -> None:
    async with node() as b:
        await b.api.post(json.dumps(RECORDED["Open WebUI, chat with every parameter"]).encode())
        own, *others = b.fakes
        last = own.calls("/v1/chat/completions")[-1].body
        assert (last["top_k"], last["logit_bias"]) == (40, {"5432": -100})
        assert all("top_k" not in r.body for o in others for r in o.calls("/v1/chat/completions"))


async def test_open_webui_finds_a_node_that_it_takes_for_ollama() -> None:
    """`routers/ollama.py`: versions and tags of each, what is loaded, then chats by /api/chat."""
    async with node() as b:
        for path in ("/api/version", "/api/tags", "/api/ps"):
            found = await b.api.get(path, HEADERS["Open WebUI"])
            assert found.status == 200
        names = [model["model"] for model in (await b.api.get("/api/tags")).json()["models"]]
        assert "dmoa" in names
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Hi", "images": []}],
            "options": {"num_ctx": 8192, "temperature": 0.8, "mirostat": 0},
            "format": None,
            "keep_alive": "5m",
            "tools": None,
            "stream": True,
        }
        response = await b.api.post(json.dumps(body).encode(), "/api/chat")
        lines = [json.loads(line) for line in response.body.splitlines()]
        assert "".join(line["message"]["content"] for line in lines)
        assert lines[-1]["done"] is True
