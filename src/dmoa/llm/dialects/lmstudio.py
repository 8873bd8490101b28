"""LM Studio: models on disk are listed beside loaded ones, and loaded when asked for.

Its own API says which are embedding models, which are loaded, and with what window:
`/api/v1/models` (0.4 and newer) and `/api/v0/models` (0.3.6 and newer). A model that is unloaded
while a request waits gives "Model unloaded.", and asking again loads it.
"""

import re
from typing import Any, ClassVar

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import count
from dmoa.llm.dialect import Description, Dialect, entries
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities

_SWAPPED = re.compile(r"model (?:was |has been |is )?unloaded", re.IGNORECASE)


class LMStudio(Dialect):
    """LM Studio's server."""

    program: ClassVar[str] = "LM Studio"
    port: ClassVar[int | None] = 1234
    order: ClassVar[int] = 20
    set_by: ClassVar[str] = "where it loads the model"

    async def recognises(self, server: Server) -> bool:
        """By its own list of models."""
        return bool(await _known(server))

    async def models(self, server: Server) -> list[Model]:
        """Those of its own list."""
        return [
            Model(name, chat=_chats(entry), loaded=_loaded(entry) is not None)
            for name, entry in (await _known(server)).items()
        ]

    async def describe(self, server: Server, model: Model) -> Description:
        """The window it is loaded with; one that is not loaded gets the default."""
        server.forget()
        entry = (await _known(server)).get(model.name, {})
        loaded = _loaded(entry)
        told = entry.get("capabilities")
        flags = told if isinstance(told, dict) else {}
        named = told if isinstance(told, list) else []
        tools = flags.get("trained_for_tool_use")
        thinking = flags.get("reasoning") or flags.get("thinking")
        vision = flags.get("vision")
        if not isinstance(vision, bool):
            vision = _kind(entry) == "vlm" if _kind(entry) else None
        return Description(
            window=loaded or None,
            chat=_chats(entry),
            loaded=loaded is not None if entry else None,
            capabilities=Capabilities(
                vision=vision,
                tools=tools if isinstance(tools, bool) else ("tool_use" in named or None),
                thinking=bool(thinking) or None,
                formats=True,
            ),
        )

    def retries(self, words: str) -> bool:
        """A model that was swapped out."""
        return bool(_SWAPPED.search(words))


async def _known(server: Server) -> dict[str, dict[str, Any]]:
    """Its models by name."""
    newer = entries(await server.look("api/v1/models"), "models")
    found = {str(e["key"]): e for e in newer if e.get("key")}
    if not found:
        older = entries(await server.look("api/v0/models"), "data")
        # `/api/v0` is LM Studio's alone only with its own words in it.
        found = {
            str(entry["id"]): entry
            for entry in older
            if entry.get("id") and {"state", "loaded_context_length"} & set(entry)
        }
    return found


def _kind(entry: dict[str, Any]) -> str:
    return str(entry.get("type") or "")


def _chats(entry: dict[str, Any]) -> bool | None:
    return _kind(entry) in ("llm", "vlm") if _kind(entry) else None


def _loaded(entry: dict[str, Any]) -> int | None:
    """The window in tokens that a model is loaded with, 0 if that is not said; None if not."""
    instances = entry.get("loaded_instances")
    if isinstance(instances, list):
        lengths = [
            count(instance["config"].get("context_length"))
            for instance in instances
            if isinstance(instance, dict) and isinstance(instance.get("config"), dict)
        ]
        return max(lengths, default=0) if instances else None
    if entry.get("state") == "loaded" or entry.get("loaded_context_length"):
        return count(entry.get("loaded_context_length"))
    return None


DIALECT = LMStudio()
