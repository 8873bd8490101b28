"""SGLang, as its HTTP server and tokenizer_manager.py have it.

Quirks: errors have no `error` around them (`"object": "error"`); the overflow names all numbers;
names of calls are sent whole and then again as null; finish reasons come beside null contents.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.llm.dialects.playing import Played, models
from tests.llm.fake import Reply, Request, as_json


@dataclass
class SGLang(Played):
    """SGLang's server."""

    program: ClassVar[str] = "SGLang"
    chat: ClassVar[str] = "Qwen/Qwen3-8B"
    nicknames: ClassVar[tuple[str, ...]] = ("qwen3-8b",)
    window: ClassVar[int | None] = 7000

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/v1/models":
                return models(self.chat, owner="sglang", max_model_len=self.window, root=self.chat)
            case "GET", "/get_model_info":
                return as_json(
                    {
                        "model_path": self.chat,
                        "is_generation": True,
                        "has_image_understanding": False,
                    }
                )
        return None

    def parts(self) -> list[dict[str, Any]]:
        parts = super().parts()
        for part in parts:
            part.setdefault("id", None)
            part["function"].setdefault("name", None)
        return parts

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "The input (61709 tokens) is longer than the model's context length"
            " (2048 tokens).",
            "tools": "Tool call parser is not set; this model does not support tools",
            "schema": "Failed to compile json schema",
        }
        return as_json(
            {
                "object": "error",
                "message": words[kind],
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
            400,
        )
