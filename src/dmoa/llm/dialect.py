"""What one kind of LLM server says, and how it is spoken to."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from dmoa.llm.choosing import Model
from dmoa.llm.chunks import Chunk, count, openai_chunk
from dmoa.llm.events import Event
from dmoa.llm.habits import Habits
from dmoa.llm.http import Server
from dmoa.llm.interface import Capabilities
from dmoa.llm.outgoing import Outgoing, openai_request
from dmoa.protocol.conversation import Constraints, Message, Sampling

ASSUMED_CONTEXT = 4096
"""Tokens, for a server that does not say; Ollama's and LM Studio's default too."""


class Description(msgspec.Struct, frozen=True):
    """What a server says of one model.

    Attributes:
        window: tokens of the context window that it has now; None where nobody says.
        most: tokens that the window can be made to hold by a request; None where it cannot.
        chat: whether the model can answer; None where nobody says.
        capabilities: what it can do beside text.
        loaded: whether it is in memory; None where nobody says.
    """

    window: int | None = None
    most: int | None = None
    chat: bool | None = None
    capabilities: Capabilities = Capabilities()
    loaded: bool | None = None


class Dialect:
    """OpenAI's API as everybody has it; a dialect overrides what differs.

    Attributes:
        program: what people call the server.
        port: where it usually listens, None for none that is looked at without being asked.
        order: servers are asked for dialects of lower numbers first.
        room: see `Habits.room`.
        set_by: how a user sets the window, for messages.
    """

    program: ClassVar[str]
    port: ClassVar[int | None] = None
    order: ClassVar[int] = 50
    room: ClassVar[int | None] = None
    set_by: ClassVar[str] = "in the server's own settings"

    async def recognises(self, server: Server) -> bool:
        """Whether a server speaks this dialect."""
        raise NotImplementedError

    async def models(self, server: Server) -> list[Model]:
        """Its models, in its order."""
        return [self.model(entry) for entry in await listed(server)]

    def model(self, entry: dict[str, Any]) -> Model:
        """One entry of `/v1/models`."""
        window = count(entry.get("max_model_len")) or None
        return Model(str(entry["id"]), window=window)

    async def describe(self, server: Server, model: Model) -> Description:
        """What it says of a model."""
        return Description(window=model.window)

    async def wake(self, server: Server, model: str) -> None:
        """Have a model loaded that is not, where a request does not do so by itself."""

    def habits(self) -> Habits:
        """What the server is known to take, before anything is learnt."""
        return Habits(room=self.room)

    def path(self, server: Server) -> str:
        """Where requests for answers go, under the root."""
        return server.openai_path("chat/completions")

    def embeddings_path(self, server: Server) -> str:
        """Where requests for embeddings go, under the root."""
        return server.openai_path("embeddings")

    async def is_node(self, server: Server) -> bool:
        """Whether it is a dmoa node, which speaks of its models as its own."""
        return any(entry.get("owned_by") == "dmoa" for entry in await listed(server))

    def request(self, outgoing: Outgoing) -> dict[str, Any]:
        """The body of a request for an answer."""
        return openai_request(outgoing)

    def chunk(self, event: Event) -> Chunk:
        """What an event of the answer says."""
        return openai_chunk(event.data, event.name)

    async def count_tokens(
        self,
        server: Server,
        model: str,
        messages: Sequence[Message],
        constraints: Constraints | None,
    ) -> int | None:
        """Tokens of a prompt, exactly; None where the server cannot count."""
        return None

    def retries(self, words: str) -> bool:
        """Whether an error says that the model is being swapped, and asking again helps."""
        return False


async def listed(server: Server) -> list[dict[str, Any]]:
    """The entries of OpenAI's list of models that have a name."""
    answer = await server.look(server.openai_path("models"))
    found = entries({"data": answer} if isinstance(answer, list) else answer, "data")
    return [entry for entry in found if isinstance(entry.get("id"), str) and entry["id"]]


def entries(answer: Any, key: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer, whatever it is."""
    found = answer.get(key) if isinstance(answer, dict) else None
    return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []


def plain(
    model: str, messages: Sequence[Message], constraints: Constraints | None
) -> dict[str, Any]:
    """Messages and tools as OpenAI's format has them, for endpoints that count."""
    outgoing = Outgoing(model, list(messages), Sampling())
    request = openai_request(outgoing)
    counted = {"messages": request["messages"]}
    if constraints is not None and constraints.tools:
        counted["tools"] = constraints.tools
    return counted
