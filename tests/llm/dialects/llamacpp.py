"""llama.cpp's server with one model, as tools/server/README.md has it.

Quirks: every endpoint is 503 "Loading model" until the weights are there; comments keep the
connection alive; a too long prompt is refused with `n_prompt_tokens` and `n_ctx` as fields;
answers at some of Ollama's paths too; tools without --jinja are refused with 500.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.llm.dialects.playing import Played, models, refused
from tests.llm.fake import Reply, Request, as_json, data

PROPS = {
    "default_generation_settings": {"n_ctx": 6144, "params": {}},
    "total_slots": 1,
    "model_path": "/models/qwen.gguf",
    "chat_template": "{% if enable_thinking %}<think>{% endif %}",
    "modalities": {"vision": False, "audio": False},
}


@dataclass
class LlamaCpp(Played):
    """llama.cpp's server."""

    program: ClassVar[str] = "llama.cpp"
    chat: ClassVar[str] = "/models/Qwen3-4B-Q4_K_M.gguf"
    nicknames: ClassVar[tuple[str, ...]] = ("Qwen3-4B-Q4_K_M.gguf", "qwen3-4b-q4_k_m")
    window: ClassVar[int | None] = 6144
    counts: ClassVar[int | None] = 3

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/v1/models":
                return models(self.chat, owner="llamacpp", meta={"n_ctx_train": 40960})
            case "GET", "/props":
                return as_json(PROPS)
            case "GET", "/api/tags":
                return as_json({"models": [{"name": self.chat, "model": self.chat}]})
            case "POST", "/apply-template":
                return as_json({"prompt": f"<|im_start|>{request.body['messages']}"})
            case "POST", "/tokenize":
                return as_json({"tokens": [1, 2, 3]})
        return None

    def play(self, request: Request) -> Reply:
        reply = super().play(request)
        progress: Any = {"total": 5, "cache": 0, "processed": 5, "time_ms": 9}
        first = data({"choices": [], "prompt_progress": progress}).encode()
        reply.pieces[:0] = [b": keep-alive\n\n", first]
        return reply

    def refuse(self, kind: str) -> Reply:
        match kind:
            case "overflow":
                return refused(
                    "the request exceeds the available context size, try increasing it",
                    type="exceed_context_size_error",
                    n_prompt_tokens=13392,
                    n_ctx=2048,
                )
            case "tools":
                return refused("tools param requires --jinja flag", 500, type="server_error")
            case _:
                return refused("Failed to parse grammar")
