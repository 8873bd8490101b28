"""Ollama, as its docs/api.md and server/routes.go have it.

Quirks: lists embedding models beside the others and only `/api/show` tells them apart; streams a
JSON object a line; sends each call whole with its arguments as an object and without an id
(ollama issue 7881: all had index 0); `done_reason: "load"` tells of the model; `think` is refused
by models that do not think; errors are a bare string, in the stream too.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.llm.dialects.playing import Played, halves, models
from tests.llm.fake import Reply, Request, as_json, streamed


@dataclass
class Ollama(Played):
    """Ollama's server."""

    program: ClassVar[str] = "Ollama"
    chat: ClassVar[str] = "qwen3:latest"
    nicknames: ClassVar[tuple[str, ...]] = ("qwen3", "Qwen3:latest")
    window: ClassVar[int | None] = 8192
    chat_path: ClassVar[str] = "/api/chat"

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/api/version":
                return as_json({"version": "0.15.2"})
            case "GET", "/v1/models":
                return models(
                    "bge-m3:latest", "all-minilm:latest", "paths:v1", self.chat, owner="library"
                )
            case "GET", "/api/tags":
                names = ("bge-m3:latest", "all-minilm:latest", "paths:v1", self.chat)
                return as_json({"models": [{"name": n, "model": n, "size": 1} for n in names]})
            case "GET", "/api/ps":
                running = {"name": self.chat, "model": self.chat, "context_length": self.window}
                return as_json({"models": [running]})
            case "POST", "/api/show":
                return self._show(request.body["model"])
        return None

    def _show(self, name: str) -> Reply:
        if name != self.chat:
            return as_json({"capabilities": ["embedding"], "model_info": {}, "details": {}})
        return as_json(
            {
                "capabilities": ["completion", "tools", "thinking"],
                "parameters": 'num_ctx 4096\nstop "<|im_end|>"',
                "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
            }
        )

    def loads(self) -> Reply:
        return as_json(
            {"error": "server busy, please try again. maximum pending requests exceeded"}, 503
        )

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "the request exceeds the context window: n_ctx: 2048",
            "tools": "registry.ollama.ai/library/qwen3:latest does not support tools",
            "schema": "invalid JSON schema in format",
        }
        return as_json({"error": words[kind]}, 400)

    def play(self, request: Request) -> Reply:
        def line(message: dict[str, Any], **more: Any) -> str:
            whole = {
                "model": self.chat,
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": "", **message},
                "done": False,
            }
            return json.dumps({**whole, **more}) + "\n"

        lines = [line({}, done=True, done_reason="load")]
        lines += [line({"thinking": piece}) for piece in halves(self.reasoning)]
        lines += [line({"content": piece}) for piece in halves(self.text)]
        lines += [
            line({"tool_calls": [{"function": {"index": 0, "name": n, "arguments": a}}]})
            for n, a in self.calls_made
        ]
        if not self.cut:
            lines.append(
                line(
                    {},
                    done=True,
                    done_reason="stop",
                    prompt_eval_count=5,
                    eval_count=4,
                    total_duration=1,
                )
            )
        return streamed(*lines, kind="application/x-ndjson", ends=not self.cut)
