"""vLLM: one model and its adapters; the window is part of the list, and prompts are counted.

It refuses a `max_tokens` that does not fit beside the prompt (vllm issue 42474) and says the
window in the refusal. Multimodal or not it only says when it refuses.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from dmoa.llm.chunks import count
from dmoa.llm.dialect import Dialect, listed, plain
from dmoa.llm.http import Server
from dmoa.protocol.conversation import Constraints, Message


class VLLM(Dialect):
    """vLLM's server."""

    program: ClassVar[str] = "vLLM"
    port: ClassVar[int | None] = 8000
    order: ClassVar[int] = 30
    room: ClassVar[int | None] = 1
    set_by: ClassVar[str] = "with its own flag --max-model-len"

    async def recognises(self, server: Server) -> bool:
        """By the owner of its models."""
        return any(entry.get("owned_by") == "vllm" for entry in await listed(server))

    async def count_tokens(
        self,
        server: Server,
        model: str,
        messages: Sequence[Message],
        constraints: Constraints | None,
    ) -> int | None:
        """By its own tokenizer and template, tools included."""
        body: dict[str, Any] = {"model": model, **plain(model, messages, constraints)}
        answer = await server.ask("tokenize", body)
        return count(answer.get("count")) or None if isinstance(answer, dict) else None


DIALECT = VLLM()
