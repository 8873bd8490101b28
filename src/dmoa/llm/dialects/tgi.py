"""Text Generation Inference: one model; `/info` says how many tokens it takes and gives.

It wants `top_p` strictly between 0 and 1, knows at most four stops, answers 422 for what it does
not accept, sends `data:` without a space, and puts errors into the stream as events of that
name. Older versions stop after 100 tokens when no `max_tokens` is sent (router/src/lib.rs).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import count
from dmoa.llm.dialect import Description, Dialect, plain
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing
from dmoa.protocol.conversation import Constraints, Message

_STOPS = 4


class TGI(Dialect):
    """Text Generation Inference."""

    program: ClassVar[str] = "TGI"
    order: ClassVar[int] = 30
    room: ClassVar[int | None] = 1
    set_by: ClassVar[str] = "with its own flag --max-total-tokens"

    async def recognises(self, server: Server) -> bool:
        """By its limits."""
        info = await server.facts("info")
        return isinstance(info.get("model_id"), str) and "max_total_tokens" in info

    async def models(self, server: Server) -> list[Model]:
        """The one it runs; older versions have no list."""
        model = (await server.facts("info")).get("model_id")
        return await super().models(server) or ([Model(model)] if isinstance(model, str) else [])

    async def describe(self, server: Server, model: Model) -> Description:
        """Its window is the bound of prompt and answer together."""
        info = await server.facts("info")
        return Description(
            window=count(info.get("max_total_tokens")) or None,
            loaded=True,
            capabilities=Capabilities(formats=True),
        )

    def request(self, outgoing: Outgoing) -> dict[str, Any]:
        """Within what its checks accept."""
        body = super().request(outgoing)
        if (top_p := body.get("top_p")) is not None and not 0 < top_p < 1:
            body["top_p"] = min(max(top_p, 1e-4), 0.9999)
        if len(body.get("stop", [])) > _STOPS:
            outgoing.note(f"only the first {_STOPS} stops are used: TGI knows no more")
            body["stop"] = body["stop"][:_STOPS]
        if body.get("seed", 0) < 0:
            body["seed"] = body["seed"] % 2**32
        body.setdefault("max_tokens", 1024)
        return body

    async def count_tokens(
        self,
        server: Server,
        model: str,
        messages: Sequence[Message],
        constraints: Constraints | None,
    ) -> int | None:
        """By its own template."""
        answer = await server.ask(
            "chat_tokenize", {"model": model, **plain(model, messages, constraints)}
        )
        tokens = answer.get("tokenize_response") if isinstance(answer, dict) else None
        return len(tokens) if isinstance(tokens, list) and tokens else None


DIALECT = TGI()
