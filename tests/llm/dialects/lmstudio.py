"""LM Studio, as its docs (developer/rest) have it.

Quirks: everything on disk is listed, embedding models too; the window is that of the loaded
instance (4096 by default, whatever the model holds); errors are bare strings; a model that its
timer unloads in the middle gives "Model unloaded." and is loaded by the next request; the
overflow speaks of "tokens to keep" (lmstudio-bug-tracker issue 237).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tests.llm.dialects.playing import Played, models
from tests.llm.fake import Reply, Request, as_json


@dataclass
class LMStudio(Played):
    """LM Studio 0.4 and newer."""

    program: ClassVar[str] = "LM Studio"
    chat: ClassVar[str] = "qwen/qwen3.5-9b"
    nicknames: ClassVar[tuple[str, ...]] = ("qwen3.5-9b",)
    window: ClassVar[int | None] = 5120
    thinks_in: ClassVar[str] = "reasoning"

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/v1/models":
                return models(
                    "nomic-embed", "google/gemma-3-4b", self.chat, owner="organization_owner"
                )
            case "GET", "/api/v1/models":
                return as_json(
                    {
                        "models": [
                            self._entry("nomic-embed", "embedding", 2048),
                            self._entry("google/gemma-3-4b", "llm", None, vision=True),
                            self._entry(self.chat, "llm", self.window, trained_for_tool_use=True),
                        ]
                    }
                )
        return None

    def _entry(self, key: str, kind: str, loaded: int | None, **able: Any) -> dict[str, Any]:
        instances = [{"id": key, "config": {"context_length": loaded}}] if loaded else []
        return {
            "type": kind,
            "key": key,
            "max_context_length": 262144,
            "capabilities": {"vision": False, "trained_for_tool_use": False, **able},
            "loaded_instances": instances,
        }

    def loads(self) -> Reply:
        return as_json({"error": "Model is loading. Try again later."}, 503)

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "The number of tokens to keep from the initial prompt is greater than the"
            " context length (n_keep: 4103 >= n_ctx: 2048). Try to load the model with a larger"
            " context length, or provide a shorter input",
            "tools": "This model does not support tools",
            "schema": "'response_format.type' must be 'json_schema' or 'text'",
            "unloaded": "Model unloaded.",
        }
        return as_json({"error": words[kind]}, 400)


@dataclass
class OldLMStudio(LMStudio):
    """LM Studio 0.3: `/api/v0`, with types and states."""

    def get(self, request: Request) -> Reply | None:
        if request.path == "/api/v1/models":
            return as_json({"error": "Unexpected endpoint or method. (GET /api/v1/models)"})
        if request.path == "/api/v0/models":
            return as_json(
                {
                    "object": "list",
                    "data": [
                        {
                            "id": "nomic-embed",
                            "type": "embeddings",
                            "state": "loaded",
                            "max_context_length": 2048,
                        },
                        {
                            "id": "google/gemma-3-4b",
                            "type": "vlm",
                            "state": "not-loaded",
                            "max_context_length": 131072,
                        },
                        {
                            "id": self.chat,
                            "type": "llm",
                            "state": "loaded",
                            "max_context_length": 262144,
                            "loaded_context_length": self.window,
                            "capabilities": ["tool_use"],
                        },
                    ],
                }
            )
        return super().get(request)
