"""SGLang: one model, like vLLM; `/get_model_info` says whether it answers or embeds.

It refuses a `max_tokens` that does not fit, with all numbers in words (tokenizer_manager.py).
"""

from typing import ClassVar

from dmoa.llm.choosing import Model
from dmoa.llm.dialect import Description, Dialect, listed
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities


class SGLang(Dialect):
    """SGLang's server."""

    program: ClassVar[str] = "SGLang"
    port: ClassVar[int | None] = 30000
    order: ClassVar[int] = 30
    room: ClassVar[int | None] = 64
    set_by: ClassVar[str] = "with its own flag --context-length"

    async def recognises(self, server: Server) -> bool:
        """By the owner of its models, or its own endpoint."""
        if any(entry.get("owned_by") == "sglang" for entry in await listed(server)):
            return True
        return "model_path" in await server.facts("get_model_info")

    async def describe(self, server: Server, model: Model) -> Description:
        """Whether it generates, and whether it sees."""
        info = await server.facts("get_model_info")
        generates, sees = info.get("is_generation"), info.get("has_image_understanding")
        hears = info.get("has_audio_understanding")
        return Description(
            window=model.window,
            chat=generates if isinstance(generates, bool) else None,
            capabilities=Capabilities(
                vision=sees if isinstance(sees, bool) else None,
                audio=hears if isinstance(hears, bool) else None,
            ),
        )


DIALECT = SGLang()
