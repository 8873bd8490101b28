"""Text Generation Inference, as router/src has it.

Quirks: `data:` without a space; no list of models in older versions; errors are strings with an
`error_type` and status 422; errors in the stream are events; the finish reason is `eos_token`;
`top_p` must be below 1; overload is 429 "Model is overloaded".
"""

from dataclasses import dataclass
from typing import ClassVar

from tests.llm.dialects.playing import Played
from tests.llm.fake import Reply, Request, as_json


@dataclass
class TGI(Played):
    """TGI's server."""

    program: ClassVar[str] = "TGI"
    chat: ClassVar[str] = "HuggingFaceTB/SmolLM2-1.7B-Instruct"
    window: ClassVar[int | None] = 3072
    counts: ClassVar[int | None] = 4

    def get(self, request: Request) -> Reply | None:
        match request.method, request.path:
            case "GET", "/info":
                return as_json(
                    {
                        "model_id": self.chat,
                        "max_input_tokens": 2048,
                        "max_total_tokens": self.window,
                        "version": "3.3.5",
                    }
                )
            case "POST", "/chat_tokenize":
                return as_json(
                    {"tokenize_response": [{"id": i} for i in range(4)], "templated_text": ""}
                )
        return None

    def loads(self) -> Reply:
        return as_json({"error": "Model is overloaded", "error_type": "overloaded"}, 429)

    def play(self, request: Request) -> Reply:
        if not 0 < request.body.get("top_p", 0.5) < 1:
            return as_json(
                {
                    "error": "Input validation error: `top_p` must be > 0.0 and < 1.0",
                    "error_type": "validation",
                },
                422,
            )
        assert request.body["max_tokens"], "the default is 100"
        reply = super().play(request)
        reply.pieces = [
            p.replace(b"data: ", b"data:").replace(b'"stop"', b'"eos_token"') for p in reply.pieces
        ]
        return reply

    def refuse(self, kind: str) -> Reply:
        words = {
            "overflow": "Input validation error: `inputs` must have less than 2048 tokens."
            " Given: 9000",
            "tools": "Tool error: this model does not support tools",
            "schema": "Input validation error: grammar is not valid",
        }
        return as_json({"error": words[kind], "error_type": "validation"}, 422)
