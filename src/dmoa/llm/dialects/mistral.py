"""Mistral's own API: strict about fields, and about the ids of tool calls.

What it does not know is refused with 422 "Extra inputs are not permitted", `stream_options` and
`seed` among it (it has `random_seed`); ids of calls are nine letters or digits (langchain pull
24668); content may be a list of parts, thoughts among them; tool_choice `required` is `any`.
"""

import base64
import hashlib
import re
from typing import Any, ClassVar

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import count
from dmoa.llm.dialect import Description, Dialect, listed
from dmoa.llm.habits import Habits
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing

_ID = re.compile(r"[A-Za-z0-9]{9}")


class Mistral(Dialect):
    """Mistral's API."""

    program: ClassVar[str] = "Mistral"
    order: ClassVar[int] = 40

    async def recognises(self, server: Server) -> bool:
        """By its address, or by what its models say that they can do."""
        if server.host.endswith("mistral.ai"):
            return True
        return any(
            isinstance(entry.get("capabilities"), dict)
            and "completion_chat" in entry["capabilities"]
            for entry in await listed(server)
        )

    def model(self, entry: dict[str, Any]) -> Model:
        """Each says whether it can chat."""
        chat = _abilities(entry).get("completion_chat")
        window = count(entry.get("max_context_length")) or None
        return Model(str(entry["id"]), chat=chat if isinstance(chat, bool) else None, window=window)

    async def describe(self, server: Server, model: Model) -> Description:
        """The rest of what it says."""
        entry = next((e for e in await listed(server) if e["id"] == model.name), {})
        said = {name: value for name, value in _abilities(entry).items() if isinstance(value, bool)}
        return Description(
            window=model.window,
            chat=model.chat,
            capabilities=Capabilities(
                vision=said.get("vision"),
                audio=said.get("audio"),
                tools=said.get("function_calling"),
                thinking=said.get("reasoning"),
                formats=True,
            ),
        )

    def habits(self) -> Habits:
        """The usage comes without being asked for."""
        return Habits(stream_options=False)

    def request(self, outgoing: Outgoing) -> dict[str, Any]:
        """In its own names."""
        body = super().request(outgoing)
        if "seed" in body:
            body["random_seed"] = body.pop("seed") % 2**31
        if body.get("tool_choice") == "required":
            body["tool_choice"] = "any"
        body["messages"] = [_with_short_ids(message) for message in body["messages"]]
        return body


def _abilities(entry: dict[str, Any]) -> dict[str, Any]:
    told = entry.get("capabilities")
    return told if isinstance(told, dict) else {}


def _with_short_ids(message: dict[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in message.items() if name != "reasoning_content"}
    if isinstance(message.get("tool_call_id"), str):
        changed["tool_call_id"] = _short(message["tool_call_id"])
    if message.get("tool_calls"):
        changed["tool_calls"] = [
            {**call, "id": _short(str(call.get("id", "")))} for call in message["tool_calls"]
        ]
    return changed


def _short(told: str) -> str:
    """The same nine letters for the same id, so that a result finds its call."""
    if _ID.fullmatch(told):
        return told
    digest = base64.b32encode(hashlib.sha256(told.encode()).digest())
    return digest[:9].decode()


DIALECT = Mistral()
