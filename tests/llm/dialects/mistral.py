"""Mistral's API, as its reference has it.

Quirks: what it does not know is refused with 422, `stream_options` and `seed` too (ECA issue
231); ids of calls have nine letters or digits (gptel issue 1203); calls come whole in one chunk
and with `index: 0` each; thoughts are parts of the content; the usage comes with the last chunk.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.llm.dialects.playing import Played, halves
from tests.llm.fake import DONE, C, Reply, Request, as_json, streamed

KNOWN = {
    "model",
    "messages",
    "stream",
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "random_seed",
    "tools",
    "tool_choice",
    "response_format",
    "parallel_tool_calls",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "prompt_mode",
    "safe_prompt",
    "prediction",
}


@dataclass
class Mistral(Played):
    """Mistral's API."""

    program: ClassVar[str] = "Mistral"
    chat: ClassVar[str] = "mistral-small-latest"
    window: ClassVar[int | None] = 131072

    def get(self, request: Request) -> Reply | None:
        if request.path != "/v1/models":
            return None
        able = {"completion_chat": True, "function_calling": True, "vision": True}
        none = dict.fromkeys(able, False)
        return as_json(
            {
                "object": "list",
                "data": [
                    {
                        "id": name,
                        "object": "model",
                        "owned_by": "mistralai",
                        "capabilities": told,
                        "max_context_length": self.window,
                    }
                    for name, told in (("codestral-vectors", none), (self.chat, able))
                ],
            }
        )

    def loads(self) -> Reply:
        return as_json({"message": "Requests rate limit exceeded"}, 429)

    def play(self, request: Request) -> Reply:
        for name in request.body.keys() - KNOWN:
            return as_json(
                {
                    "object": "error",
                    "message": {
                        "detail": [
                            {
                                "type": "extra_forbidden",
                                "loc": ["body", name],
                                "msg": "Extra inputs are not permitted",
                            }
                        ]
                    },
                    "type": "invalid_request_error",
                },
                422,
            )
        for message in request.body["messages"]:
            told = [call["id"] for call in message.get("tool_calls") or []]
            for call in [*told, *([message["tool_call_id"]] if "tool_call_id" in message else [])]:
                if not re.fullmatch("[a-zA-Z0-9]{9}", call):
                    return as_json(
                        {
                            "object": "error",
                            "message": f"Tool call id was {call} but must"
                            " be a-z, A-Z, 0-9, with a length of 9.",
                        },
                        400,
                    )
        pieces = [
            C({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": p}]}]})
            for p in halves(self.reasoning)
        ]
        pieces += [C({"content": piece}) for piece in halves(self.text)]
        parts: list[dict[str, Any]] = [
            {"index": 0, "id": f"abcdefgh{i}", "function": {"name": n, "arguments": json.dumps(a)}}
            for i, (n, a) in enumerate(self.calls_made)
        ]
        if self.cut:
            return streamed(*pieces, ends=False)
        usage = {"prompt_tokens": 5, "completion_tokens": 4}
        delta = {"content": "", "tool_calls": parts or None}
        last = C(delta, "tool_calls" if parts else "stop", usage=usage)
        return streamed(*pieces, last, DONE)

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with"
            " 2048 maximum context length",
            "tools": "Function calling is not enabled for this model",
            "schema": "Invalid json schema in response_format",
        }
        return as_json(
            {
                "object": "error",
                "message": words[kind],
                "type": "invalid_request_error",
                "code": "3051",
            },
            400,
        )
