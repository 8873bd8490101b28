"""llama.cpp's server as a router of several models (tools/server/README.md, "router mode").

Quirks: no window of its own; each model has a status, and its properties come by
`/props?model=NAME`; without autoload a model must be loaded by `/models/load`, and while it
loads requests for it are refused.
"""

from dataclasses import dataclass
from typing import ClassVar

from tests.llm.dialects.llamacpp import PROPS, LlamaCpp
from tests.llm.dialects.playing import refused
from tests.llm.fake import Reply, Request, as_json


@dataclass
class Router(LlamaCpp):
    """A router; the chat model is the loaded one."""

    chat: ClassVar[str] = "ggml-org/qwen3-4b:Q4_K_M"
    nicknames: ClassVar[tuple[str, ...]] = ("qwen3-4b:Q4_K_M", "ggml-org/qwen3-4b")
    swapped_out: int = 0
    loaded_by_us: bool = False

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path.partition("?")[0]:
            case "GET", "/v1/models":
                states = {
                    "ggml-org/embeddinggemma:Q8_0": "loaded",
                    "other/gemma-3:Q4_0": "unloaded",
                    self.chat: "unloaded" if self.swapped_out else "loaded",
                }
                return as_json(
                    {
                        "object": "list",
                        "data": [
                            {
                                "id": name,
                                "object": "model",
                                "owned_by": "llamacpp",
                                "in_cache": True,
                                "status": {"value": value, "args": []},
                            }
                            for name, value in states.items()
                        ],
                    }
                )
            case "GET", "/props" if "?" not in request.path:
                return as_json({"role": "router", "models_autoload": False, "build_info": "b9957"})
            case "GET", "/props":
                assert "model=ggml-org%2Fqwen3-4b%3AQ4_K_M" in request.path
                assert "autoload=false" in request.path
                return as_json(PROPS)
            case "POST", "/models/load":
                self.loaded_by_us = request.body == {"model": self.chat}
                return as_json({"success": True})
        return super().get(request)

    def play(self, request: Request) -> Reply:
        if self.swapped_out:
            self.swapped_out -= 1
            return refused("model is loading, please retry", 503, type="unavailable_error")
        return super().play(request)
