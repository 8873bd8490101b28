"""LiteLLM's proxy: many models of many providers behind one address.

`/model/info` says of each its mode (chat, embedding, rerank, audio_transcription, ...), window
and abilities; `/utils/token_counter` counts. It is not looked for by itself: its models may
cost money.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import count
from dmoa.llm.dialect import Description, Dialect, entries, listed
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing, openai_request
from dmoa.protocol.conversation import Constraints, Message, Sampling


class LiteLLM(Dialect):
    """LiteLLM's proxy."""

    program: ClassVar[str] = "LiteLLM"
    order: ClassVar[int] = 40

    async def recognises(self, server: Server) -> bool:
        """By what it tells of its models."""
        return bool(await _infos(server))

    async def models(self, server: Server) -> list[Model]:
        """All of them, with what kind each is."""
        infos = await _infos(server)
        models = []
        for entry in await listed(server):
            mode = str(infos.get(entry["id"], {}).get("mode") or "")
            models.append(Model(entry["id"], chat=mode in ("chat", "responses") if mode else None))
        return models

    async def describe(self, server: Server, model: Model) -> Description:
        """What it knows of the model behind it."""
        info = (await _infos(server)).get(model.name, {})
        window = count(info.get("max_input_tokens")) or count(info.get("max_tokens"))
        return Description(
            window=window or None,
            chat=model.chat,
            capabilities=Capabilities(
                vision=_flag(info, "supports_vision"),
                audio=_flag(info, "supports_audio_input"),
                tools=_flag(info, "supports_function_calling"),
                thinking=_flag(info, "supports_reasoning"),
                formats=_flag(info, "supports_response_schema"),
            ),
        )

    async def count_tokens(
        self,
        server: Server,
        model: str,
        messages: Sequence[Message],
        constraints: Constraints | None,
    ) -> int | None:
        """By the tokenizer that it has for the model; tools it does not count."""
        if constraints is not None and (constraints.tools or constraints.response_format):
            return None
        request = openai_request(Outgoing(model, list(messages), Sampling()))
        body = {"model": model, "messages": request["messages"]}
        answer = await server.ask("utils/token_counter", body)
        return count(answer.get("total_tokens")) or None if isinstance(answer, dict) else None


async def _infos(server: Server) -> dict[str, dict[str, Any]]:
    return {
        str(entry["model_name"]): entry["model_info"]
        for entry in entries(await server.look("model/info"), "data")
        if entry.get("model_name") and isinstance(entry.get("model_info"), dict)
    }


def _flag(info: dict[str, Any], name: str) -> bool | None:
    value = info.get(name)
    return value if isinstance(value, bool) else None


DIALECT = LiteLLM()
