"""LiteLLM's proxy, as its docs (proxy/model_management) have it.

Quirks: one list for the models of all providers, the mode of each in `/model/info`; errors carry
the whole story ("litellm.ContextWindowExceededError: ..."); thoughts as `reasoning_content` and
in `thinking_blocks` at once; codes are strings.
"""

from dataclasses import dataclass
from typing import ClassVar

from tests.llm.dialects.playing import Played, models
from tests.llm.fake import Reply, Request, as_json


@dataclass
class LiteLLM(Played):
    """LiteLLM's proxy."""

    program: ClassVar[str] = "LiteLLM"
    chat: ClassVar[str] = "cloud-chat"
    window: ClassVar[int | None] = 32000
    counts: ClassVar[int | None] = 9

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/v1/models":
                return models("cloud-vectors", "cloud-ears", self.chat, owner="openai")
            case "GET", "/model/info":
                modes = {
                    "cloud-vectors": "embedding",
                    "cloud-ears": "audio_transcription",
                    self.chat: "chat",
                }
                return as_json(
                    {
                        "data": [
                            {
                                "model_name": name,
                                "litellm_params": {"model": f"openai/{name}"},
                                "model_info": {
                                    "mode": mode,
                                    "max_input_tokens": self.window,
                                    "supports_function_calling": True,
                                    "supports_vision": None,
                                },
                            }
                            for name, mode in modes.items()
                        ]
                    }
                )
            case "POST", "/utils/token_counter":
                return as_json({"total_tokens": 9, "request_model": self.chat})
        return None

    def loads(self) -> Reply:
        return as_json(
            {
                "error": {
                    "message": "No deployments available for selected model, Try"
                    " again in 1 seconds",
                    "code": "429",
                }
            },
            429,
            **{"Retry-After": "0.2"},
        )

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "litellm.ContextWindowExceededError: litellm.BadRequestError:"
            " OpenAIException - This model's maximum context length is 2048 tokens. However, your"
            " messages resulted in 9000 tokens. Please reduce the length of the messages.",
            "tools": "litellm.UnsupportedParamsError: does not support parameters: ['tools']",
            "schema": "litellm.BadRequestError: Invalid schema for response_format 'x'",
        }
        return as_json(
            {"error": {"message": words[kind], "type": None, "param": None, "code": "400"}}, 400
        )
