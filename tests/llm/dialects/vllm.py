"""vLLM, as its OpenAI server has it (vllm/entrypoints/openai).

Quirks: the window stands in the list as `max_model_len`; a `max_tokens` that does not fit is
refused with "at least" the prompt's tokens (issue 42474); thoughts are called `reasoning`, once
`reasoning_content`; adapters are listed as models; the usage comes in a chunk without choices.
"""

from dataclasses import dataclass
from typing import ClassVar

from tests.llm.dialects.playing import Played, models, refused
from tests.llm.fake import Reply, Request, as_json


@dataclass
class VLLM(Played):
    """vLLM's server."""

    program: ClassVar[str] = "vLLM"
    chat: ClassVar[str] = "Qwen/Qwen3-8B"
    nicknames: ClassVar[tuple[str, ...]] = ("qwen3-8b",)
    window: ClassVar[int | None] = 4096
    counts: ClassVar[int | None] = 11
    thinks_in: ClassVar[str] = "reasoning"
    limits: int = 0

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/v1/models":
                return models(self.chat, owner="vllm", max_model_len=self.window, root=self.chat)
            case "POST", "/tokenize":
                assert request.body["model"] == self.chat
                tools = len(request.body.get("tools", []))
                return as_json({"count": 11 + 100 * tools, "max_model_len": self.window})
        return None

    def play(self, request: Request) -> Reply:
        limit = request.body.get("max_tokens") or 1
        if limit + 11 > 4096:
            return refused(
                "This model's maximum context length is 4096 tokens. However, you requested"
                f" {limit} output tokens and your prompt contains at least {4096 - limit + 1} input"
                f" tokens, for a total of at least {4097} tokens. Please reduce the length of the"
                " input prompt or the number of requested output tokens."
            )
        return super().play(request)

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "This model's maximum context length is 2048 tokens. However, your request"
            " has 9000 input tokens. Please reduce the length of the input messages.",
            "tools": '"auto" tool choice requires --enable-auto-tool-choice and'
            " --tool-call-parser to be set",
            "schema": "Invalid schema for response_format 'x': In context=('properties', 'a'),"
            " 'type' is a required property",
        }
        return refused(words[kind])
